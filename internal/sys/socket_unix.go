//go:build unix

package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// maxVectors is the largest number of non-empty vectors one [Sendv] hands to
// the kernel. It is Linux's UIO_MAXIOV (include/uapi/linux/uio.h) and IOV_MAX
// of the BSDs and macOS; sendmsg with more fails with EMSGSIZE.
const maxVectors = 1024

// errnoOf unpacks the error of a golang.org/x/sys/unix call, which is always
// an errno. Anything else would be a bug of ours and is reported as EINVAL.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return unix.EINVAL
}

// Close closes fd. It is not retried on EINTR: Linux releases the descriptor
// first in any case (close(2), NOTES), and a second close could hit a number
// that is already reused.
func Close(fd int) syscall.Errno {
	errno := errnoOf(unix.Close(fd))
	if errno == unix.EINTR {
		return 0
	}
	return errno
}

// Dup duplicates fd with close-on-exec set in the same step, so that no child
// process can inherit the copy. The copy shares the file status flags, among
// them O_NONBLOCK.
func Dup(fd int) (int, syscall.Errno) {
	for {
		dup, err := unix.FcntlInt(uintptr(fd), syscall.F_DUPFD_CLOEXEC, 0)
		switch errno := errnoOf(err); errno {
		case 0:
			return dup, 0
		case unix.EINTR:
		default:
			return -1, errno
		}
	}
}

// SetNonblock puts fd in non-blocking mode, and with it every descriptor of the
// same open file.
func SetNonblock(fd int) syscall.Errno {
	return errnoOf(unix.SetNonblock(fd, true))
}

// ShutdownRead ends the receiving half of the connection.
func ShutdownRead(fd int) syscall.Errno {
	return errnoOf(unix.Shutdown(fd, unix.SHUT_RD))
}

// ShutdownWrite ends the sending half: a FIN follows the last byte.
func ShutdownWrite(fd int) syscall.Errno {
	return errnoOf(unix.Shutdown(fd, unix.SHUT_WR))
}

// Buffered returns how many received bytes can be read at once (FIONREAD).
func Buffered(fd int) (int, syscall.Errno) {
	n, err := unix.IoctlGetInt(fd, fionread)
	if errno := errnoOf(err); errno != 0 {
		return 0, errno
	}
	return n, 0
}

// Writable reports whether a send would do something now: move bytes, or fail. It
// leaves the error of the connection where it is.
func Writable(fd int) bool {
	fds := [1]unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	n, err := unix.Poll(fds[:], 0)
	return n > 0 || err != nil // not known: a send tells
}

// Peername returns the address of fd's peer.
func Peername(fd int) (unix.Sockaddr, syscall.Errno) {
	sa, err := unix.Getpeername(fd)
	return sa, errnoOf(err)
}
