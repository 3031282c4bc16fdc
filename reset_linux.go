package netstream

import (
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// rawSawReset reports whether the TCP connection is over although we have not sent a FIN: tcp_reset (net/ipv4/
// tcp_input.c) goes to TCP_CLOSE, while a FIN of the peer leaves CLOSE_WAIT.
func rawSawReset(raw syscall.RawConn) bool {
	state, err := control(raw, func(fd int) (int, syscall.Errno) {
		s, errno := sys.TCPState(fd)
		return int(s), errno
	})
	return err == nil && state == sys.TCPClose
}
