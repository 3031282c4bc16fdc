package netstream_test

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"
	"weak"

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

// What a stream did last must not keep it: no timer that is still ahead, and no wait that nobody needs any more.
func TestUnreachable_WhateverWasDoneLast(t *testing.T) {
	for name, act := range map[string]func(t *testing.T, s *netstream.NetworkStream){
		"deadlines far ahead": func(t *testing.T, s *netstream.NetworkStream) {
			must(t, s.SetDeadline(time.Now().Add(time.Hour)))
		},
		"deadlines that have passed": func(t *testing.T, s *netstream.NetworkStream) {
			must(t, s.SetDeadline(time.Now().Add(time.Hour)))
			must(t, s.SetDeadline(time.Unix(1, 0)))
		},
		"a read that a deadline ended": func(t *testing.T, s *netstream.NetworkStream) {
			_, read := waitingRead(t, s)
			must(t, s.SetReadDeadline(time.Unix(1, 0)))
			within(t, "the read", read)
			must(t, s.SetReadDeadline(time.Now().Add(time.Hour)))
		},
		"a cancelled read": func(t *testing.T, s *netstream.NetworkStream) {
			ar, read := waitingRead(t, s)
			if !s.Cancel(ar) {
				t.Error("not cancelled")
			}
			within(t, "the read", read)
		},
		"cancelled reads, the first one last": func(t *testing.T, s *netstream.NetworkStream) {
			first, read := waitingRead(t, s)
			second, read2 := beginRead(t, s, 1)
			if !s.Cancel(second) || !s.Cancel(first) {
				t.Error("not cancelled")
			}
			within(t, "the read", read)
			within(t, "the second read", read2)
		},
		"a read that its context ended": func(t *testing.T, s *netstream.NetworkStream) {
			ctx, cancel := context.WithCancel(context.Background())
			read := async(func() error { _, err := s.ReadContext(ctx, make([]byte, 1)); return err })
			eventually(t, "the read waits", s.ReadWaits)
			cancel()
			within(t, "the read", read)
		},
		"a read that its timeout ended": func(t *testing.T, s *netstream.NetworkStream) {
			must(t, s.SetReadTimeout(time.Millisecond))
			_, err := s.Read(make([]byte, 1))
			if err == nil {
				t.Error("read something")
			}
		},
		"a write that its timeout ended before it began": func(t *testing.T, s *netstream.NetworkStream) {
			must(t, s.SetWriteTimeout(20*time.Millisecond))
			for n := 1; n > 0; {
				n, _ = s.Write(make([]byte, 1<<20))
			}
		},
		"a write that a deadline ended": func(t *testing.T, s *netstream.NetworkStream) {
			_, _, outcome := plugOf(t, s, 16<<20)
			must(t, s.SetWriteDeadline(time.Unix(1, 0)))
			within(t, "the write", outcome)
		},
	} {
		t.Run(name, func(t *testing.T) {
			eachOwned(t, func(t *testing.T, c connCase) {
				peer, stream := forgetAfter(t, c, act)
				defer peer.Close()
				eventually(t, "the stream is collected", func() bool { // the peer has not read: its buffers stay full
					runtime.GC()
					return stream.Value() == nil
				})
				ended := async(func() error { _, err := io.Copy(io.Discard, peer); return err })
				eventually(t, "the peer sees the end", func() bool {
					runtime.GC() // the descriptor may be of an object that the stream has held
					return len(ended) == 1
				})
				must(t, <-ended)
			})
		})
	}
}

func waitingRead(t *testing.T, s *netstream.NetworkStream) (netstream.AsyncResult, <-chan readOutcome) {
	t.Helper()
	ar, read := beginRead(t, s, 1)
	eventually(t, "the read waits", s.ReadWaits)
	return ar, read
}

// forgetAfter makes a stream, has act use it and forgets it.
//
//go:noinline
func forgetAfter(t *testing.T, c connCase, act func(*testing.T, *netstream.NetworkStream)) (net.Conn, weak.Pointer[netstream.NetworkStream]) {
	conn, peer := c.netPair(t)
	s := mustNew(t, conn, c.config(&netstream.Config{Group: new(netstream.Group)}))
	act(t, s)
	return peer, weak.Make(s)
}
