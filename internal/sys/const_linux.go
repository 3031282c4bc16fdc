package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	fionread     = unix.TIOCINQ // the same number as FIONREAD, tcp(7)
	keepIdle     = unix.TCP_KEEPIDLE
	keepInterval = unix.TCP_KEEPINTVL
	keepCount    = unix.TCP_KEEPCNT
	soLinger     = unix.SO_LINGER
)

// Unacked returns how many bytes wait in the send queue: for TCP those sent
// and not yet acknowledged included (SIOCOUTQ, tcp(7)), for Unix sockets those
// the peer has not read yet, with the kernel's overhead (unix(7)).
func Unacked(fd int) (int, syscall.Errno) {
	n, err := unix.IoctlGetInt(fd, unix.SIOCOUTQ)
	if errno := errnoOf(err); errno != 0 {
		return 0, errno
	}
	return n, 0
}
