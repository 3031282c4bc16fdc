package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// TCPClose is the state of a TCP socket without a connection, after a reset
// for instance (TCP_CLOSE, include/net/tcp_states.h).
const TCPClose = 7

// TCPState returns the state of a TCP socket: the first byte of TCP_INFO
// (struct tcp_info in include/uapi/linux/tcp.h).
func TCPState(fd int) (state uint8, errno syscall.Errno) {
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if errno := errnoOf(err); errno != 0 {
		return 0, errno
	}
	return info.State, 0
}

// Accept4 accepts one connection; the new descriptor is non-blocking and
// closed on exec from the start.
func Accept4(fd int) (int, unix.Sockaddr, syscall.Errno) {
	for {
		nfd, sa, err := unix.Accept4(fd, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
		switch errno := errnoOf(err); errno {
		case 0:
			return nfd, sa, 0
		case unix.EINTR:
		default:
			return -1, nil, errno
		}
	}
}
