//go:build race

package sys

// The variable of a net.Conn is internal/poll's ioSync here, which only a call of
// net on a socket reaches: what a stream and a net.Conn order between them, the
// race detector does not see.

func acquireNet() {}
func releaseNet() {}
