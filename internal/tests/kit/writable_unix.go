//go:build unix

package kit

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// writable reports whether poll says that the descriptor takes more.
func writable(raw syscall.RawConn) bool {
	fds := []unix.PollFd{{Events: unix.POLLOUT}}
	err := raw.Control(func(fd uintptr) {
		fds[0].Fd = int32(fd)
		if _, err := unix.Poll(fds, 0); err != nil {
			fds[0].Revents = unix.POLLOUT // not known: look again
		}
	})
	return err != nil || fds[0].Revents&unix.POLLOUT != 0
}
