package netstream_test

import (
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// eachOwned runs f for every way to connect a stream over a plain net.Conn.
func eachOwned(t *testing.T, f func(t *testing.T, c connCase)) {
	t.Helper()
	eachConn(t, func(t *testing.T, c connCase) {
		if c.network == "pipe" {
			t.Skip("a pipe is made with its streams")
		}
		f(t, c)
	})
}

func TestLeaveOpen_TheConnectionIsUsableAfterClose(t *testing.T) {
	eachOwned(t, func(t *testing.T, c connCase) {
		conn, peer := c.netPair(t)
		defer conn.Close()
		defer peer.Close()
		for round := range 3 { // stream after stream over one connection
			s := mustNew(t, conn, c.config(&netstream.Config{LeaveOpen: true}))
			_, reading := beginRead(t, s, 10) // so that an automatic stream moves to the loop
			eventually(t, "the read waits", s.ReadWaits)
			for _, st := range styles {
				must(t, st.write(s, []byte("through the stream")))
				readExactly(t, peer, []byte("through the stream"))
			}
			if round == 1 { // a deadline of the stream does not stay behind
				must(t, s.SetDeadline(time.Unix(1, 0)))
			}
			must(t, s.Close())
			if err := within(t, "the pending read", reading).err; err == nil {
				t.Fatal("a read survived Close")
			}
			if _, err := conn.Write([]byte("and directly")); err != nil {
				t.Fatalf("the connection after Close: %v", err)
			}
			readExactly(t, peer, []byte("and directly"))
			if _, err := peer.Write([]byte("and back")); err != nil {
				t.Fatal(err)
			}
			readExactly(t, conn, []byte("and back"))
		}
	})
}

func TestLeaveOpen_ATornConnectionIsResetAllTheSame(t *testing.T) {
	eachOwned(t, func(t *testing.T, c connCase) {
		conn, peer := c.netPair(t)
		defer conn.Close()
		defer peer.Close()
		s := mustNew(t, conn, c.config(&netstream.Config{LeaveOpen: true}))
		defer s.Close()
		must(t, s.Socket().SetWriteBuffer(32<<10))
		p, _, cut := plugOf(t, s, 16<<20)
		must(t, s.Close())
		err := within(t, "the cut write", cut)
		n := ioFailure(t, err).N
		wantFailure(t, "the cut write", err, n, true)
		o := within(t, "the peer sees the cut", goRead(peer))
		wantEndAfterPlainCut(t, c, orEOF(o.err))
		if !c.tcp() {
			sameBytes(t, o.data, p[:n])
		}
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Fatal("the connection survived a torn write")
		}
	})
}

// wantEndAfterPlainCut is wantEndAfterCut for a peer that is a plain net.Conn.
func wantEndAfterPlainCut(t *testing.T, c connCase, err error) {
	t.Helper()
	if c.tcp() && err == io.EOF {
		t.Fatal("a cut connection ended cleanly")
	}
}

func TestLeaveOpen_SocketCloseClosesIt(t *testing.T) {
	eachOwned(t, func(t *testing.T, c connCase) {
		conn, peer := c.netPair(t)
		defer conn.Close()
		defer peer.Close()
		s := mustNew(t, conn, c.config(&netstream.Config{LeaveOpen: true}))
		defer s.Close()
		must(t, s.Socket().Close())
		o := within(t, "the peer reads to the end", goRead(peer))
		must(t, o.err)
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Fatal("the connection survived Socket().Close")
		}
	})
}

// A stream that is forgotten open is collected, and its descriptor closed: the peer sees the end.
func TestUnreachable_AnOpenStreamIsClosedByTheCollector(t *testing.T) {
	eachOwned(t, func(t *testing.T, c connCase) {
		peer := forget(t, c)
		defer peer.Close()
		ended := make(chan error, 1)
		go func() {
			_, err := peer.Read(make([]byte, 10))
			ended <- err
		}()
		eventually(t, "the peer sees the end", func() bool {
			runtime.GC()
			select {
			case err := <-ended:
				if err != io.EOF {
					t.Errorf("the peer of a forgotten stream: %v", err)
				}
				return true
			default:
				return false
			}
		})
	})
}

// forget makes a stream, uses it in every style, so that it has moved to where it lives, and forgets it.
//
//go:noinline
func forget(t *testing.T, c connCase) net.Conn {
	conn, peer := c.netPair(t)
	s := mustNew(t, conn, c.config(&netstream.Config{Group: new(netstream.Group)}))
	for _, st := range styles {
		must(t, st.write(s, []byte("ping")))
		readExactly(t, peer, []byte("ping"))
		pong := make(chan error, 1)
		go func() { _, err := peer.Write([]byte("pong")); pong <- err }()
		p := make([]byte, 4)
		n, err := st.read(s, p)
		must(t, err)
		if n < 4 {
			readExactly(t, s, []byte("pong")[n:])
		}
		must(t, <-pong)
	}
	return peer
}
