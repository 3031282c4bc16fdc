package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const fionwrite = 0x40046677 // _IOR('f', 119, int), sys/filio.h

// Unacked returns how many bytes wait in the send queue (FIONWRITE).
func Unacked(fd int) (int, syscall.Errno) {
	n, err := unix.IoctlGetInt(fd, fionwrite)
	if errno := errnoOf(err); errno != 0 {
		return 0, errno
	}
	return n, 0
}
