//go:build unix

package sys

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// PollWritable waits until fd takes data, has failed, or wait has passed.
func PollWritable(fd int, wait time.Duration) syscall.Errno {
	fds := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	_, err := unix.Poll(fds, int(wait.Milliseconds()))
	if errno := errnoOf(err); errno != unix.EINTR {
		return errno
	}
	return 0
}
