package engine

import (
	"net"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// finish ends the sending half and reports whether the peer has acknowledged everything.
func finish(c *net.TCPConn, raw syscall.RawConn) (acknowledged bool) {
	_ = c.CloseWrite() // a dead connection has nothing to shut down
	all, known := acknowledges(raw)
	return all && known
}

// acknowledges reports whether the peer has acknowledged everything, our FIN included: in these states it has. It cannot
// be known before Windows 10.0.15063, nor under Wine 8.
func acknowledges(raw syscall.RawConn) (all, known bool) {
	state, err := control(raw, func(fd int) (int, syscall.Errno) {
		s, errno := sys.TCPState(fd)
		return int(s), errno
	})
	return state == sys.TCPFinWait2 || state == sys.TCPTimeWait || state == sys.TCPClosed, err == nil
}

// rawSawReset reports whether the TCP connection has ended with a reset.
func rawSawReset(raw syscall.RawConn) (reset bool) {
	err := raw.Control(func(fd uintptr) { reset = loop.WasReset(int(fd)) })
	return err == nil && reset
}

// MoveOrReset is move: nothing is moved that way here, see HaveSendfile.
func MoveOrReset(fd int, n int64, move func(fd int, n int64) (int, syscall.Errno)) (int, syscall.Errno) {
	return move(fd, n)
}
