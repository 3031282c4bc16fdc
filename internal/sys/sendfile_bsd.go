//go:build darwin || dragonfly || freebsd

package sys

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

// Sendfile moves up to count bytes from the file in, at its position, which it
// moves, to the socket out. The system call of these systems leaves the
// position alone, and it may have sent something when it reports EAGAIN or
// EINTR (sendfile(2)).
func Sendfile(out, in, count int) (int, syscall.Errno) {
	for {
		at, err := unix.Seek(in, 0, io.SeekCurrent)
		if err != nil {
			return 0, errnoOf(err)
		}
		offset := at
		n, err := unix.Sendfile(out, in, &offset, count)
		if n > 0 {
			_, err = unix.Seek(in, at+int64(n), io.SeekStart)
			return n, errnoOf(err)
		}
		if errno := errnoOf(err); errno != unix.EINTR {
			return 0, errno
		}
	}
}
