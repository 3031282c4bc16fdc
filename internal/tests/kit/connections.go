package kit

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// One suite holds every engine to one contract, in every style of calling it. Each test takes its cases from EachConn or
// EachKind (how the two ends are connected) and, where it writes or reads, from EachStyle (how it is asked for).

// ConnCase is one way to get two connected streams.
type ConnCase struct {
	Name    string           // of its subtests
	Engine  netstream.Engine // that is asked for
	Network string           // "tcp", "unix", or "pipe"
}

// ConnCases are all ways to get two connected streams.
var ConnCases = []ConnCase{
	{"auto-tcp", netstream.EngineAuto, "tcp"},
	{"epoll-tcp", netstream.EngineEpoll, "tcp"},
	{"epoll-unix", netstream.EngineEpoll, "unix"},
	{"portable-tcp", netstream.EnginePortable, "tcp"},
	{"portable-unix", netstream.EnginePortable, "unix"},
	{"pipe", netstream.EnginePortable, "pipe"},
	{"epoll-tls", netstream.EngineEpoll, "tcp"},
	{"portable-tls", netstream.EnginePortable, "tcp"},
	{"pipe-tls", netstream.EnginePortable, "pipe"},
}

// TCP reports whether the connection can be reset.
func (c ConnCase) TCP() bool { return c.Network == "tcp" }

// TLS reports whether the two ends make a handshake first.
func (c ConnCase) TLS() bool { return strings.HasSuffix(c.Name, "-tls") }

// Usable reports whether this system has the engine, and whether NETSTREAM_TEST_ENGINE (auto, epoll, portable)
// asks for it.
func (c ConnCase) Usable() bool {
	if forced := os.Getenv("NETSTREAM_TEST_ENGINE"); forced != "" && forced != c.Engine.String() {
		return false
	}
	switch {
	case c.Network == "unix" && !HaveUnixSockets(), c.Network != "pipe" && !HaveSockets:
		return false
	}
	return c.Engine != netstream.EngineEpoll || HaveEpoll
}

// AskedEngine is the engine that NETSTREAM_TEST_ENGINE asks for, for tests that have only one; EngineAuto without it.
func AskedEngine() netstream.Engine {
	for _, e := range []netstream.Engine{netstream.EngineEpoll, netstream.EnginePortable} {
		if os.Getenv("NETSTREAM_TEST_ENGINE") == e.String() {
			return e
		}
	}
	return netstream.EngineAuto
}

// EachConn runs f for every way to connect two streams, as subtests.
func EachConn(t *testing.T, f func(t *testing.T, c ConnCase)) {
	t.Helper()
	for _, c := range ConnCases {
		if c.Usable() {
			t.Run(c.Name, func(t *testing.T) { f(t, c) })
		}
	}
}

// EachTCP runs f for every engine over TCP alone.
func EachTCP(t *testing.T, f func(t *testing.T, c ConnCase)) {
	t.Helper()
	EachConn(t, func(t *testing.T, c ConnCase) {
		if !c.TCP() || c.TLS() {
			t.Skip("needs a connection of TCP alone, which can be reset")
		}
		f(t, c)
	})
}

// EachOwned runs f for every way to connect a stream over a plain net.Conn.
func EachOwned(t *testing.T, f func(t *testing.T, c ConnCase)) {
	t.Helper()
	EachConn(t, func(t *testing.T, c ConnCase) {
		if c.Network == "pipe" {
			t.Skip("a pipe is made with its streams")
		}
		f(t, c)
	})
}

// Config returns cfg (nil: an empty one) with the case's engine.
func (c ConnCase) Config(cfg *netstream.Config) *netstream.Config {
	out := netstream.Config{}
	if cfg != nil {
		out = *cfg
	}
	out.Engine = c.Engine
	return &out
}

// Pair returns two connected streams, each with its own configuration (nil: default), closed at the end of the
// test.
func (c ConnCase) Pair(t testing.TB, cfgA, cfgB *netstream.Config) (a, b *netstream.NetworkStream) {
	t.Helper()
	if c.Network == "pipe" {
		a, b = netstream.Pipe(c.Config(cfgA))
	} else {
		ca, cb := c.NetPair(t)
		a, b = MustNew(t, ca, c.Config(cfgA)), MustNew(t, cb, c.Config(cfgB))
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	if c.TLS() {
		MustAuthenticate(t, a, b)
	}
	return a, b
}

// WithPeer returns a stream and the plain net.Conn at its other end, over TLS a *tls.Conn, both closed at the end of the
// test. Not for pipes.
func (c ConnCase) WithPeer(t testing.TB, cfg *netstream.Config) (*netstream.NetworkStream, net.Conn) {
	t.Helper()
	ca, cb := c.NetPair(t)
	s := MustNew(t, ca, c.Config(cfg))
	if c.TLS() {
		cb = MustAuthenticateWith(t, s, cb)
	}
	t.Cleanup(func() { s.Close(); cb.Close() })
	return s, cb
}

// MustNew makes a stream over conn, which becomes its own.
func MustNew(t testing.TB, conn net.Conn, cfg *netstream.Config) *netstream.NetworkStream {
	t.Helper()
	s, err := netstream.New(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// NetPair returns both ends of a net connection.
func (c ConnCase) NetPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	client, server, err := c.plainPair()
	if err != nil {
		t.Fatal(err)
	}
	return client, server
}

// StressPair is Pair for a million rounds: the peer is a plain connection, and nothing is kept until the test ends.
func (c ConnCase) StressPair(cfg *netstream.Config) (*netstream.NetworkStream, net.Conn, error) {
	if c.Network == "pipe" {
		a, b := netstream.Pipe(c.Config(cfg))
		return a, b, nil
	}
	ca, cb, err := c.plainPair()
	if err != nil {
		return nil, nil, err
	}
	s, err := netstream.New(ca, c.Config(cfg))
	return s, cb, err
}

// plainPair is NetPair without a test.
func (c ConnCase) plainPair() (client, server net.Conn, err error) {
	address := "127.0.0.1:0"
	if c.Network == "unix" {
		dir, err := os.MkdirTemp("", "ns") // t.TempDir can be too long for a socket's name
		if err != nil {
			return nil, nil, err
		}
		defer removeAll(dir)
		address = dir + "/s"
	}
	ln, err := net.Listen(c.Network, address)
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if client, err = net.Dial(c.Network, ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	server, err = ln.Accept()
	return client, server, err
}

// SmallBuffers makes the buffers between a and b small, so that a peer that does not read is felt soon.
func SmallBuffers(t testing.TB, a, b *netstream.NetworkStream) {
	t.Helper()
	if err := a.Socket().SetWriteBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	if err := b.Socket().SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
}
