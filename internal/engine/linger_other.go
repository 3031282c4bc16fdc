//go:build !windows

package engine

import (
	"net"
	"syscall"
)

// finish ends the sending half and reports whether the peer had acknowledged everything. It asks first: the FIN counts as
// well.
func finish(c *net.TCPConn, raw syscall.RawConn) (acknowledged bool) {
	unsent, err := rawUnacked(raw)
	_ = c.CloseWrite() // a dead connection has nothing to shut down
	return unsent == 0 && err == nil
}

// acknowledges reports whether the peer has acknowledged everything, our FIN included.
func acknowledges(raw syscall.RawConn) (all, known bool) {
	unsent, err := rawUnacked(raw)
	return unsent == 0, err == nil
}
