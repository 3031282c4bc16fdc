//go:build unix && !linux && !darwin && !freebsd

package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Unacked cannot be asked on this system: it always returns ENOTSUP.
func Unacked(int) (int, syscall.Errno) { return 0, unix.ENOTSUP }
