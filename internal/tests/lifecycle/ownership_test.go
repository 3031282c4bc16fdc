package lifecycle_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
	"weak"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestLeaveOpen_TheConnectionIsUsableAfterClose(t *testing.T) {
	kit.EachOwned(t, func(t *testing.T, c kit.ConnCase) {
		conn, peer := c.NetPair(t)
		defer conn.Close()
		defer peer.Close()
		for round := range 3 { // stream after stream over one connection
			s := kit.MustNew(t, conn, c.Config(&netstream.Config{LeaveOpen: true}))
			_, reading := kit.BeginRead(t, s, 10) // so that an automatic stream moves to the loop
			kit.Eventually(t, "the read waits", kit.BegunReads(s, 1))
			for _, st := range kit.Styles {
				kit.Must(t, st.Write(s, []byte("through the stream")))
				kit.ReadExactly(t, peer, []byte("through the stream"))
			}
			if round == 1 { // a deadline of the stream does not stay behind
				kit.Must(t, s.SetDeadline(time.Unix(1, 0)))
			}
			kit.Must(t, s.Close())
			if err := kit.Within(t, "the pending read", reading).Err; err == nil {
				t.Fatal("a read survived Close")
			}
			if _, err := conn.Write([]byte("and directly")); err != nil {
				t.Fatalf("the connection after Close: %v", err)
			}
			kit.ReadExactly(t, peer, []byte("and directly"))
			if _, err := peer.Write([]byte("and back")); err != nil {
				t.Fatal(err)
			}
			kit.ReadExactly(t, conn, []byte("and back"))
		}
	})
}

func TestLeaveOpen_ATornConnectionIsResetAllTheSame(t *testing.T) {
	kit.EachOwned(t, func(t *testing.T, c kit.ConnCase) {
		if c.TLS() {
			t.Skip("an encrypted connection is not left open")
		}
		conn, peer := c.NetPair(t)
		defer conn.Close()
		defer peer.Close()
		s := kit.MustNew(t, conn, c.Config(&netstream.Config{LeaveOpen: true}))
		defer s.Close()
		kit.Must(t, s.Socket().SetWriteBuffer(32<<10))
		p, _, cut := kit.PlugOf(t, s, 16<<20)
		kit.Must(t, s.Close())
		err := kit.Within(t, "the cut write", cut)
		n := kit.IOFailure(t, err).N
		kit.WantFailure(t, "the cut write", err, n, true)
		o := kit.Within(t, "the peer sees the cut", kit.GoRead(peer))
		wantEndAfterPlainCut(t, c, kit.OrEOF(o.Err))
		if !c.TCP() {
			kit.SameBytes(t, o.Data, p[:n])
		}
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Fatal("the connection survived a torn write")
		}
	})
}

// wantEndAfterPlainCut is kit.WantEndAfterCut for a peer that is a plain net.Conn.
func wantEndAfterPlainCut(t *testing.T, c kit.ConnCase, err error) {
	t.Helper()
	if c.TCP() && err == io.EOF {
		t.Fatal("a cut connection ended cleanly")
	}
}

func TestLeaveOpen_SocketCloseClosesIt(t *testing.T) {
	kit.EachOwned(t, func(t *testing.T, c kit.ConnCase) {
		conn, peer := c.NetPair(t)
		defer conn.Close()
		defer peer.Close()
		s := kit.MustNew(t, conn, c.Config(&netstream.Config{LeaveOpen: true}))
		defer s.Close()
		kit.Must(t, s.Socket().Close())
		o := kit.Within(t, "the peer reads to the end", kit.GoRead(peer))
		kit.Must(t, o.Err)
		if _, err := conn.Write([]byte("x")); err == nil {
			t.Fatal("the connection survived Socket().Close")
		}
	})
}

// A stream that is forgotten open is collected, and its descriptor closed: the peer sees the end.
func TestUnreachable_AnOpenStreamIsClosedByTheCollector(t *testing.T) {
	kit.EachOwned(t, func(t *testing.T, c kit.ConnCase) {
		peer := forget(t, c)
		defer peer.Close()
		ended := make(chan error, 1)
		go func() {
			_, err := peer.Read(make([]byte, 10))
			ended <- err
		}()
		kit.Eventually(t, "the peer sees the end", func() bool {
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
func forget(t *testing.T, c kit.ConnCase) net.Conn {
	conn, peer := c.NetPair(t)
	s := kit.MustNew(t, conn, c.Config(&netstream.Config{Group: new(netstream.Group)}))
	for _, st := range kit.Styles {
		kit.Must(t, st.Write(s, []byte("ping")))
		kit.ReadExactly(t, peer, []byte("ping"))
		pong := make(chan error, 1)
		go func() { _, err := peer.Write([]byte("pong")); pong <- err }()
		p := make([]byte, 4)
		n, err := st.Read(s, p)
		kit.Must(t, err)
		if n < 4 {
			kit.ReadExactly(t, s, []byte("pong")[n:])
		}
		kit.Must(t, <-pong)
	}
	return peer
}

// What a stream did last must not keep it: no timer that is still ahead, and no wait that nobody needs any more.
func TestUnreachable_WhateverWasDoneLast(t *testing.T) {
	for name, act := range map[string]func(t *testing.T, s *netstream.NetworkStream){
		"deadlines far ahead": func(t *testing.T, s *netstream.NetworkStream) {
			kit.Must(t, s.SetDeadline(time.Now().Add(time.Hour)))
		},
		"deadlines that have passed": func(t *testing.T, s *netstream.NetworkStream) {
			kit.Must(t, s.SetDeadline(time.Now().Add(time.Hour)))
			kit.Must(t, s.SetDeadline(time.Unix(1, 0)))
		},
		"a read that a deadline ended": func(t *testing.T, s *netstream.NetworkStream) {
			_, read := waitingRead(t, s)
			kit.Must(t, s.SetReadDeadline(time.Unix(1, 0)))
			kit.Within(t, "the read", read)
			kit.Must(t, s.SetReadDeadline(time.Now().Add(time.Hour)))
		},
		"a cancelled read": func(t *testing.T, s *netstream.NetworkStream) {
			ar, read := waitingRead(t, s)
			if !s.Cancel(ar) {
				t.Error("not cancelled")
			}
			kit.Within(t, "the read", read)
		},
		"cancelled reads, the first one last": func(t *testing.T, s *netstream.NetworkStream) {
			first, read := waitingRead(t, s)
			second, read2 := kit.BeginRead(t, s, 1)
			if !s.Cancel(second) || !s.Cancel(first) {
				t.Error("not cancelled")
			}
			kit.Within(t, "the read", read)
			kit.Within(t, "the second read", read2)
		},
		"a read that its context ended": func(t *testing.T, s *netstream.NetworkStream) {
			ctx, cancel := context.WithCancel(context.Background())
			read := kit.Async(func() error { _, err := s.ReadContext(ctx, make([]byte, 1)); return err })
			kit.Eventually(t, "the read waits", kit.BegunReads(s, 1))
			cancel()
			kit.Within(t, "the read", read)
		},
		"a read that its timeout ended": func(t *testing.T, s *netstream.NetworkStream) {
			kit.Must(t, s.SetReadTimeout(time.Millisecond))
			_, err := s.Read(make([]byte, 1))
			if err == nil {
				t.Error("read something")
			}
		},
		"a write that its timeout ended before it began": func(t *testing.T, s *netstream.NetworkStream) {
			kit.Must(t, s.SetWriteTimeout(20*time.Millisecond))
			for n := 1; n > 0; {
				n, _ = s.Write(make([]byte, 1<<20))
			}
		},
		"a write that a deadline ended": func(t *testing.T, s *netstream.NetworkStream) {
			_, _, outcome := kit.PlugOf(t, s, 16<<20)
			kit.Must(t, s.SetWriteDeadline(time.Unix(1, 0)))
			kit.Within(t, "the write", outcome)
		},
	} {
		t.Run(name, func(t *testing.T) {
			kit.EachOwned(t, func(t *testing.T, c kit.ConnCase) {
				peer, stream := forgetAfter(t, c, act)
				defer peer.Close()
				kit.Eventually(t, "the stream is collected", func() bool { // the peer has not read: its buffers stay full
					runtime.GC()
					return stream.Value() == nil
				})
				ended := kit.Async(func() error { _, err := io.Copy(io.Discard, peer); return err })
				kit.Eventually(t, "the peer sees the end", func() bool {
					runtime.GC() // the descriptor may be of an object that the stream has held
					return len(ended) == 1
				})
				kit.Must(t, <-ended)
			})
		})
	}
}

func waitingRead(t *testing.T, s *netstream.NetworkStream) (netstream.AsyncResult, <-chan kit.ReadOutcome) {
	t.Helper()
	ar, read := kit.BeginRead(t, s, 1)
	kit.Eventually(t, "the read waits", kit.BegunReads(s, 1))
	return ar, read
}

// forgetAfter makes a stream, has act use it and forgets it.
//
//go:noinline
func forgetAfter(t *testing.T, c kit.ConnCase, act func(*testing.T, *netstream.NetworkStream)) (net.Conn, weak.Pointer[netstream.NetworkStream]) {
	conn, peer := c.NetPair(t)
	s := kit.MustNew(t, conn, c.Config(&netstream.Config{Group: new(netstream.Group)}))
	act(t, s)
	return peer, weak.Make(s)
}
