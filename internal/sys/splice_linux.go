package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// NewPipe makes a pipe that holds about size bytes and returns how many it
// does: fewer once the user has many pipes, which /proc/sys/fs/pipe-user-pages-soft
// bounds (pipe(7)). Both ends are non-blocking and closed on exec.
func NewPipe(size int) (r, w, holds int, errno syscall.Errno) {
	var ends [2]int
	if err := unix.Pipe2(ends[:], unix.O_CLOEXEC|unix.O_NONBLOCK); err != nil {
		return -1, -1, 0, errnoOf(err)
	}
	holds, err := unix.FcntlInt(uintptr(ends[1]), unix.F_SETPIPE_SZ, size)
	if err != nil {
		holds, err = unix.FcntlInt(uintptr(ends[1]), unix.F_GETPIPE_SZ, 0)
	}
	if err != nil {
		holds = 0
	}
	return ends[0], ends[1], holds, 0
}

// Splice moves up to count bytes from in to out, one of which is a pipe,
// without bringing them into the program. A socket that is the other one has
// to be non-blocking for the call not to wait. The scheduler is told.
func Splice(in, out, count int) (int, syscall.Errno) {
	for {
		n, err := unix.Splice(in, nil, out, nil, count, unix.SPLICE_F_NONBLOCK)
		switch errno := errnoOf(err); errno {
		case 0:
			return int(n), 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// ReadPipe reads up to len(p) bytes from a pipe.
func ReadPipe(fd int, p []byte) (int, syscall.Errno) {
	for {
		n, err := unix.Read(fd, p)
		switch errno := errnoOf(err); errno {
		case 0:
			return n, 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}
