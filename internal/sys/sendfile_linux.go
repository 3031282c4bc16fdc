package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// Sendfile moves up to count bytes from the file in, at its position, which it
// moves, to the socket out. The scheduler is told: reading the file may wait
// for a disk.
func Sendfile(out, in, count int) (int, syscall.Errno) {
	for {
		n, err := unix.Sendfile(out, in, nil, count)
		switch errno := errnoOf(err); errno {
		case 0:
			return n, 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
