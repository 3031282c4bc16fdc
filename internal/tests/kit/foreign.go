package kit

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// ConnKind is a ConnCase, or a connection that the library knows nothing about but net.Conn's methods.
type ConnKind struct {
	ConnCase
	Foreign bool // a net.Conn and no more
}

// EachKind is EachConn and a foreign connection besides: nothing can be tried on that without blocking, so every
// begun operation goes through a goroutine.
func EachKind(t *testing.T, f func(t *testing.T, c ConnKind)) {
	t.Helper()
	EachConn(t, func(t *testing.T, c ConnCase) { f(t, ConnKind{c, false}) })
	foreign := ConnCase{"foreign", netstream.EnginePortable, "tcp"}
	if foreign.Usable() {
		t.Run(foreign.Name, func(t *testing.T) { f(t, ConnKind{foreign, true}) })
	}
}

// foreignConn hides from the library that it is a TCP connection.
type foreignConn struct {
	*net.TCPConn
	net.Conn              // does the work: TCPConn, or a stream where its writes hang when they are cut
	writing  atomic.Int32 // calls of Write
}

// Write counts how many calls are under way.
func (c *foreignConn) Write(p []byte) (int, error) {
	c.writing.Add(1)
	defer c.writing.Add(-1)
	return c.Conn.Write(p)
}

func (c *foreignConn) Read(p []byte) (int, error) { return c.Conn.Read(p) }
func (c *foreignConn) Close() error               { return c.Conn.Close() }
func (c *foreignConn) CloseWrite() error {
	return c.Conn.(interface{ CloseWrite() error }).CloseWrite()
}
func (c *foreignConn) LocalAddr() net.Addr                { return c.Conn.LocalAddr() }
func (c *foreignConn) RemoteAddr() net.Addr               { return c.Conn.RemoteAddr() }
func (c *foreignConn) SetDeadline(t time.Time) error      { return c.Conn.SetDeadline(t) }
func (c *foreignConn) SetReadDeadline(t time.Time) error  { return c.Conn.SetReadDeadline(t) }
func (c *foreignConn) SetWriteDeadline(t time.Time) error { return c.Conn.SetWriteDeadline(t) }

// foreignConns has the connection below each stream over a foreign one.
var foreignConns sync.Map

func newForeign(t testing.TB, conn net.Conn, cfg *netstream.Config) *netstream.NetworkStream {
	t.Helper()
	foreign := &foreignConn{TCPConn: conn.(*net.TCPConn), Conn: conn}
	if Wine() { // see wineLimits
		foreign.Conn = MustNew(t, conn, nil)
	}
	s := MustNew(t, foreign, cfg)
	foreignConns.Store(s, foreign)
	t.Cleanup(func() { foreignConns.Delete(s) })
	return s
}

// Pair is ConnCase.Pair.
func (c ConnKind) Pair(t testing.TB, cfgA, cfgB *netstream.Config) (a, b *netstream.NetworkStream) {
	t.Helper()
	if !c.Foreign {
		return c.ConnCase.Pair(t, cfgA, cfgB)
	}
	ca, cb := c.NetPair(t)
	a, b = newForeign(t, ca, c.Config(cfgA)), newForeign(t, cb, c.Config(cfgB))
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}
