//go:build unix && (!linux || 386 || s390x)

package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// This is the plain twin of transfer_linux.go, over golang.org/x/sys/unix. It
// also serves Linux on 386 and s390x, where the socket calls got numbers of
// their own only in Linux 4.3 (before: socketcall(2), which x/sys/unix speaks).

// Recv receives up to len(p) bytes. (0, 0) for a non-empty p is the end of the
// stream. An empty p asks nothing useful; see [Peek].
func Recv(fd int, p []byte) (n int, errno syscall.Errno) { return recv(fd, p, dontWait) }

// Peek is [Recv] without taking the bytes out of the receive queue.
func Peek(fd int, p []byte) (n int, errno syscall.Errno) { return recv(fd, p, dontWait|unix.MSG_PEEK) }

func recv(fd int, p []byte, flags int) (n int, errno syscall.Errno) {
	errno = retry(func() (err error) {
		n, _, err = unix.Recvfrom(fd, p, flags)
		return err
	})
	if errno != 0 {
		return 0, errno
	}
	received(p[:n])
	return n, 0
}

// Send sends p and returns how many bytes the kernel took, without raising
// SIGPIPE. An empty p is really sent: it moves no bytes but reports a pending
// error of the connection.
func Send(fd int, p []byte) (n int, errno syscall.Errno) {
	sending()
	errno = retry(func() (err error) {
		n, err = unix.SendmsgN(fd, p, nil, nil, dontWait|unix.MSG_NOSIGNAL)
		return err
	})
	if errno != 0 {
		return 0, errno
	}
	sent(p[:n])
	return n, 0
}

// Sendv sends the bytes of bufs, in order, in one system call and returns how
// many the kernel took. Empty vectors are skipped; of the others at most
// maxVectors are handed over. No bytes at all is a [Send] of an empty slice.
func Sendv(fd int, bufs [][]byte) (n int, errno syscall.Errno) {
	if len(bufs) == 1 {
		return Send(fd, bufs[0])
	}
	full := make([][]byte, 0, min(len(bufs), maxVectors))
	for _, b := range bufs {
		if len(full) == maxVectors {
			break
		}
		if len(b) > 0 {
			full = append(full, b)
		}
	}
	if len(full) == 0 {
		return Send(fd, nil)
	}
	sending()
	errno = retry(func() (err error) {
		n, err = unix.SendmsgBuffers(fd, full, nil, nil, dontWait|unix.MSG_NOSIGNAL)
		return err
	})
	if errno != 0 {
		return 0, errno
	}
	sentVector(bufs, n)
	return n, 0
}

// retry runs call until it ends with something else than EINTR.
func retry(call func() error) syscall.Errno {
	for {
		if errno := errnoOf(call()); errno != unix.EINTR {
			return errno
		}
	}
}
