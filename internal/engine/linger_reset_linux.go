package engine

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

// MoveOrReset is move on the socket fd, and the error that the kernel does not pass on. splice(2) and sendfile(2) send in
// several steps. When some bytes are out and the next step fails, they return the count alone (splice_to_socket, fs/splice.c),
// and the error is gone: the next write says EPIPE, and a read says a clean end.
//
// So a count that is short, while the connection has ended during the call, is a reset. A peer that ended its own
// direction before has told its end; the next write tells the rest.
func MoveOrReset(fd int, n int64, move func(fd int, n int64) (int, syscall.Errno)) (int, syscall.Errno) {
	before, unknown := sys.TCPState(fd)
	m, errno := move(fd, n)
	if m <= 0 || int64(m) >= n || errno != 0 || unknown != 0 || before == sys.TCPCloseWait || before == sys.TCPClose {
		return m, errno
	}
	if now, unknown := sys.TCPState(fd); unknown != 0 || now != sys.TCPClose {
		return m, 0
	}
	if _, errno = sys.Send(fd, nil); errno == 0 || errno == syscall.EPIPE { // else it came after the call, and is told
		errno = syscall.ECONNRESET
	}
	return m, errno
}
