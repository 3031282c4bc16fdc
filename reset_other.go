//go:build !linux

package netstream

import "syscall"

// rawSawReset cannot be known here; what either direction has reported is remembered all the same.
func rawSawReset(syscall.RawConn) bool { return false }
