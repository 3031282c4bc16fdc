package contract_test

import (
	"context"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Row 8: a conn that is nil, in each of the ways there are.
func TestContractNewNil(t *testing.T) {
	for _, k := range []struct {
		name string
		conn net.Conn
	}{
		{"R8 nil", nil},
		{"R8 nil TCPConn", (*net.TCPConn)(nil)},
		{"R8 nil UnixConn", (*net.UnixConn)(nil)},
		{"R8 nil NetworkStream", (*netstream.NetworkStream)(nil)},
	} {
		t.Run(k.name, func(t *testing.T) {
			for _, e := range []netstream.Engine{netstream.EngineAuto, netstream.EngineEpoll, netstream.EnginePortable} {
				s, err := netstream.New(k.conn, &netstream.Config{Engine: e})
				kit.NullArgument("conn")(t, err)
				if s != nil {
					t.Error("there is a stream")
				}
			}
		})
	}
	for _, ln := range []net.Listener{nil, (*net.TCPListener)(nil)} {
		l, err := netstream.NewListener(ln, nil)
		kit.NullArgument("ln")(t, err)
		if l != nil {
			t.Error("there is a listener")
		}
	}
}

// rowNotConn wants New to refuse conn with that code and to leave it alone.
func rowNotConn(t *testing.T, conn net.Conn, code netstream.SocketErrorCode) {
	t.Helper()
	for _, e := range []netstream.Engine{netstream.EngineAuto, netstream.EnginePortable} {
		s, err := netstream.New(conn, &netstream.Config{Engine: e})
		kit.Code(code)(t, err)
		if s != nil {
			t.Error("there is a stream")
			s.Close()
		}
	}
}

// Rows 9 and 10: what is not a connected stream is refused with an IOError, and left alone.
func TestContractNewUnfit(t *testing.T) {
	t.Run("R10 closed", func(t *testing.T) {
		for _, network := range []string{"tcp", "unix"} {
			a, b := kit.ConnCase{Network: network}.NetPair(t)
			b.Close()
			a.Close()
			rowNotConn(t, a, netstream.CodeNotConnected)
		}
	})
	t.Run("R10 never connected", func(t *testing.T) {
		rowNotConn(t, new(net.TCPConn), netstream.CodeNotConnected)
		rowNotConn(t, new(net.UnixConn), netstream.CodeNotConnected)
	})
	t.Run("R9 UDP, connected", func(t *testing.T) {
		conn, err := net.Dial("udp", "127.0.0.1:9")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		rowNotConn(t, conn, netstream.CodeOperationNotSupported)
		rowNotConn(t, struct{ *net.UDPConn }{conn.(*net.UDPConn)}, netstream.CodeOperationNotSupported)
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Errorf("the refused conn was touched: %v", err)
		}
	})
	t.Run("R9 UDP, unconnected", func(t *testing.T) {
		conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		rowNotConn(t, conn, netstream.CodeOperationNotSupported)
	})
	for _, network := range []string{"unixgram", "unixpacket"} {
		t.Run("R9 "+network, func(t *testing.T) { newUnixOf(t, network) })
	}
}

func newUnixOf(t *testing.T, network string) {
	dir, err := os.MkdirTemp("", "ns")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	address := &net.UnixAddr{Name: filepath.Join(dir, "s"), Net: network}
	var ln io.Closer
	if network == "unixgram" {
		ln, err = net.ListenUnixgram(network, address)
	} else {
		ln, err = net.ListenUnix(network, address)
	}
	if err != nil {
		t.Skip(err)
	}
	defer ln.Close()
	conn, err := net.Dial(network, address.Name)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	rowNotConn(t, conn, netstream.CodeOperationNotSupported)
	rowNotConn(t, struct{ *net.UnixConn }{conn.(*net.UnixConn)}, netstream.CodeOperationNotSupported)
	if gram, ok := ln.(net.Conn); ok {
		rowNotConn(t, gram, netstream.CodeOperationNotSupported)
	}
}

// A type that embeds a *net.UnixConn has its methods for datagrams, and is a stream all the same.
func TestContractNewEmbedsAUnixStream(t *testing.T) {
	c := kit.ConnCase{Network: "unix"}
	if !c.Usable() {
		t.Skip("no Unix sockets here")
	}
	a, b := c.NetPair(t)
	defer b.Close()
	s := kit.MustNew(t, struct{ *net.UnixConn }{a.(*net.UnixConn)}, nil)
	defer s.Close()
	kit.WriteText(t, b, "hello")
	kit.ReadText(t, s, "hello")
}

// Row 11: a conn does not remember that a half was shut down, so it can still become a stream.
func TestContractNewAfterShutdown(t *testing.T) {
	for _, c := range kit.ConnCases {
		if c.Network == "pipe" || !c.Usable() {
			continue
		}
		t.Run("R11 "+c.Name, func(t *testing.T) {
			a, b := c.NetPair(t)
			defer b.Close()
			rowOK(t, a.(interface{ CloseWrite() error }).CloseWrite())
			s := kit.MustNew(t, a, c.Config(nil))
			defer s.Close()
			kit.WriteText(t, b, "in")
			kit.ReadText(t, s, "in")
			kit.Code(netstream.CodeShutdown)(t, s.EndWrite(kit.StartWrite(t, s, "x")))
		})
	}
}

// Row 12: access, and every other field of a Config out of its range.
func TestContractConfig(t *testing.T) {
	for _, k := range []struct {
		access      netstream.Access
		read, write bool
	}{
		{netstream.AccessReadWrite, true, true},
		{netstream.AccessRead, true, false},
		{netstream.AccessWrite, false, true},
	} {
		a, b := netstream.Pipe(&netstream.Config{Access: k.access})
		if a.CanRead() != k.read || a.CanWrite() != k.write {
			t.Errorf("R12 Access %d: CanRead %v, CanWrite %v", k.access, a.CanRead(), a.CanWrite())
		}
		a.Close()
		b.Close()
	}
	for _, k := range []struct {
		cfg    netstream.Config
		param  string
		actual any
	}{
		{netstream.Config{Access: -1}, "Access", netstream.Access(-1)},
		{netstream.Config{Access: 3}, "Access", netstream.Access(3)},
		{netstream.Config{Access: 42}, "Access", netstream.Access(42)},
		{netstream.Config{MaxPendingBytes: -2}, "MaxPendingBytes", int64(-2)},
		{netstream.Config{MaxPendingBytes: math.MinInt64}, "MaxPendingBytes", int64(math.MinInt64)},
		{netstream.Config{MaxPendingWrites: -2}, "MaxPendingWrites", -2},
		{netstream.Config{Overflow: -1}, "Overflow", netstream.Overflow(-1)},
		{netstream.Config{Overflow: 3}, "Overflow", netstream.Overflow(3)},
		{netstream.Config{Send: -1}, "Send", netstream.SendMode(-1)},
		{netstream.Config{Send: 2}, "Send", netstream.SendMode(2)},
		{netstream.Config{Engine: -1}, "Engine", netstream.Engine(-1)},
		{netstream.Config{Engine: 99}, "Engine", netstream.Engine(99)},
	} {
		conn, peer := kit.ConnCase{Network: "tcp"}.NetPair(t)
		want := kit.OutOfRange(k.param, k.actual)
		_, err := netstream.New(conn, &k.cfg)
		want(t, err)
		_, err = netstream.Dial(t.Context(), "tcp", "127.0.0.1:1", &k.cfg)
		want(t, err)
		_, err = netstream.Listen("tcp", "127.0.0.1:0", &k.cfg)
		want(t, err)
		_, err = netstream.BeginConnect(t.Context(), "tcp", "127.0.0.1:1", &k.cfg, kit.NeverCalled(t), nil)
		want(t, err)
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Errorf("the refused conn was touched: %v", err)
		}
		conn.Close()
		peer.Close()
	}
}

// Row 13: the zero Config owns the connection; with LeaveOpen it comes back, and a new stream can be built on it.
func TestContractOwnership(t *testing.T) {
	for _, c := range kit.ConnCases {
		if c.Network == "pipe" || !c.Usable() {
			continue
		}
		t.Run("R13 "+c.Name, func(t *testing.T) {
			conn, peer := c.NetPair(t)
			defer peer.Close()
			for i := range 3 {
				s := kit.MustNew(t, conn, c.Config(&netstream.Config{LeaveOpen: i < 2}))
				rowOK(t, s.EndWrite(kit.StartWrite(t, s, "out")))
				kit.ReadText(t, peer, "out")
				read, _ := kit.StartRead(t, s, 2) // which moves an EngineAuto stream to the loop
				kit.WriteText(t, peer, "in")
				_, err := s.EndRead(read)
				rowOK(t, err)
				kit.CloseSoon(t, s)
			}
			if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) && !errors.Is(err, kit.BrokenPipe) { // it may linger
				t.Errorf("the conn of an owning stream after Close: %v", err)
			}
			if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("the peer reads %d, %v", n, err)
			}
		})
	}
	t.Run("R13 LeaveOpen is for New only", func(t *testing.T) {
		cfg := &netstream.Config{LeaveOpen: true}
		_, err1 := netstream.Dial(t.Context(), "tcp", "127.0.0.1:1", cfg)
		_, err2 := netstream.Listen("tcp", "127.0.0.1:0", cfg)
		for _, err := range []error{err1, err2} {
			if e, ok := kit.BareAs[*netstream.ArgumentError](err); !ok || e.ParamName != "LeaveOpen" {
				t.Errorf("%T %v", err, err)
			}
		}
	})
}

// Row 14: one stream at a time. The next one is made when the first has given its connection back, and knows nothing of
// it; who has taken the connection for good leaves nothing to make another one of.
func TestContractSecondStream(t *testing.T) {
	for _, c := range kit.ConnCases {
		if c.Network == "pipe" || !c.Usable() {
			continue
		}
		t.Run("R14 one after the other "+c.Name, func(t *testing.T) {
			conn, peer := c.NetPair(t)
			defer peer.Close()
			first := kit.MustNew(t, conn, c.Config(&netstream.Config{LeaveOpen: true, Access: netstream.AccessRead}))
			rowOK(t, first.SetReadTimeout(time.Second))
			kit.CloseSoon(t, first)
			second := kit.MustNew(t, conn, c.Config(nil))
			defer second.Close()
			if first.CanRead() || !second.CanRead() || !second.CanWrite() || second.ReadTimeout() != netstream.Infinite {
				t.Error("the second stream is not one of its own")
			}
			_, err := first.BeginRead(make([]byte, 1), 0, 1, kit.NeverCalled(t), nil)
			kit.DisposedStream(t, err)
			rowOK(t, second.EndWrite(kit.StartWrite(t, second, "out")))
			kit.ReadText(t, peer, "out")
		})
		if c.Engine != netstream.EngineEpoll {
			continue // the stream works on conn itself, and cannot know who else does
		}
		t.Run("R14 two at once "+c.Name, func(t *testing.T) {
			conn, peer := c.NetPair(t)
			defer peer.Close()
			first := kit.MustNew(t, conn, c.Config(nil))
			defer first.Close()
			rowNotConn(t, conn, netstream.CodeNotConnected)
			rowOK(t, first.EndWrite(kit.StartWrite(t, first, "out")))
			kit.ReadText(t, peer, "out")
		})
	}
}

// Addresses and networks that are none.
func TestContractAddresses(t *testing.T) {
	for _, k := range []struct{ name, network, address string }{
		{"no port", "tcp", "127.0.0.1"},
		{"empty", "tcp", ""},
		{"port too big", "tcp", "127.0.0.1:99999"},
		{"port is a word", "tcp", "127.0.0.1:nosuchservice"},
		{"too many colons", "tcp", "::1:80"},
		{"not an IPv4 address", "tcp4", "[::1]:80"},
		{"UDP", "udp", "127.0.0.1:9"},
		{"unixgram", "unixgram", "/tmp/x"},
		{"unixpacket", "unixpacket", "/tmp/x"},
		{"IP", "ip4:icmp", "127.0.0.1"},
		{"no network", "", "127.0.0.1:9"},
		{"unknown network", "nosuch", "127.0.0.1:9"},
		{"no such socket", "unix", filepath.Join(kit.TempDir(t), "none")},
	} {
		t.Run(k.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()
			s, err := netstream.Dial(ctx, k.network, k.address, nil)
			rowAddress(t, "dial", err)
			if s != nil {
				t.Error("there is a stream")
			}
			if ar, err := netstream.BeginConnect(ctx, k.network, k.address, nil, nil, nil); err != nil {
				rowAddress(t, "dial", err)
			} else {
				_, err := netstream.EndConnect(ar)
				rowAddress(t, "dial", err)
			}
			if k.name == "empty" || k.name == "no such socket" {
				return // one can listen there
			}
			ln, err := netstream.Listen(k.network, k.address, nil)
			rowAddress(t, "listen", err)
			if ln != nil {
				t.Error("there is a listener")
				ln.Close()
			}
		})
	}
}

func rowAddress(t *testing.T, op string, err error) {
	t.Helper()
	if kit.IOErrorIn(t, err) == nil {
		return
	}
	var e *netstream.SocketError
	var outer *net.OpError
	if !errors.As(err, &e) || !errors.As(err, &outer) || outer.Op != op {
		t.Errorf("%v: no SocketError, or not of %s", err, op)
	}
}
