//go:build !unix

package kit

import "syscall"

// writable is for systems that can be asked: elsewhere a connection is full when it stands still.
func writable(syscall.RawConn) bool { return false }
