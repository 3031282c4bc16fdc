package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// TCPClose is the state of a TCP socket without a connection, after a reset
// for instance (TCP_CLOSE, include/net/tcp_states.h).
const TCPClose = 7

// TCPCloseWait is the state after the end of the peer's direction, while ours goes on.
const TCPCloseWait = 8

// TCPState returns the state of a TCP socket: the first byte of TCP_INFO
// (struct tcp_info in include/uapi/linux/tcp.h).
func TCPState(fd int) (state uint8, errno syscall.Errno) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if errno := errnoOf(err); errno != 0 {
		return 0, errno
	}
	return info.State, 0
}
