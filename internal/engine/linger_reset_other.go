//go:build !linux && !windows

package engine

import "syscall"

// rawSawReset cannot be known here; what either direction has reported is remembered all the same.
func rawSawReset(syscall.RawConn) bool { return false }

// MoveOrReset is move. Whether it has kept a reset to itself cannot be known here.
func MoveOrReset(fd int, n int64, move func(fd int, n int64) (int, syscall.Errno)) (int, syscall.Errno) {
	return move(fd, n)
}
