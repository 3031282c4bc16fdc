package fanout_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// writeKinds are all ways to write a message.
var writeKinds = []struct {
	name  string
	write func(s *netstream.NetworkStream, p []byte) error
}{
	{"Post", (*netstream.NetworkStream).Post},
	{"Broadcast", func(s *netstream.NetworkStream, p []byte) (err error) {
		netstream.Broadcast(p, slices.Values([]*netstream.NetworkStream{s}), func(_ *netstream.NetworkStream, e error) { err = e })
		return err
	}},
	{"BeginWrite", func(s *netstream.NetworkStream, p []byte) error {
		_, err := s.BeginWrite(p, 0, len(p), nil, nil)
		return err
	}},
	{"BeginWrite with a callback", func(s *netstream.NetworkStream, p []byte) error {
		_, err := s.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) { _ = s.EndWrite(ar) }, nil)
		return err
	}},
	{"BeginWritev", func(s *netstream.NetworkStream, p []byte) error {
		_, err := s.BeginWritev(kit.Thirds(p), nil, nil)
		return err
	}},
	{"Write", func(s *netstream.NetworkStream, p []byte) error { _, err := s.Write(p); return err }},
	{"WriteContext", func(s *netstream.NetworkStream, p []byte) error {
		_, err := s.WriteContext(context.Background(), p)
		return err
	}},
	{"WriteBuffers", func(s *netstream.NetworkStream, p []byte) error {
		_, err := s.WriteBuffers(kit.Thirds(p))
		return err
	}},
	{"ReadFrom", func(s *netstream.NetworkStream, p []byte) error {
		_, err := s.ReadFrom(bytes.NewReader(p))
		return err
	}},
}

// Posts take their place among all other writes, whole, and the other end of the stream comes behind them.
func TestPost_InOrderWithEveryOtherKindOfWrite(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count = 400
		a, b := c.Pair(t, nil, nil)
		sent := kit.Async(func() error {
			for i := range count {
				kind := writeKinds[i%len(writeKinds)]
				if i/20%2 == 0 {
					kind = writeKinds[0] // many posts in a row
				}
				if err := kind.write(a, framed(i, i*i*7919%5000)); err != nil {
					return fmt.Errorf("message %d by %s: %w", i, kind.name, err)
				}
			}
			if !c.Foreign {
				return a.CloseWrite()
			}
			return nil
		})
		for i, number := range readFrames(t, b, count) {
			if number != i {
				t.Fatalf("message %d where %d is due", number, i)
			}
		}
		kit.Must(t, kit.Within(t, "the writer", sent))
		if !c.Foreign {
			if o := kit.Within(t, "the end", kit.GoRead(b)); o.Err != nil || len(o.Data) != 0 {
				t.Errorf("%d bytes more, %v", len(o.Data), o.Err)
			}
		}
		kit.Must(t, a.Drain(context.Background()))
		kit.WantIdle(t, a)
		if st := a.Stats(); st.WriteErr != nil || st.LostPosts != 0 || st.Dropped != 0 || st.Posts == 0 || st.Posts >= count {
			t.Errorf("%+v", st)
		}
	})
}

// From many goroutines, with other writes between: whole, and in order as far as there is one.
func TestPost_FromManyGoroutines(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const writers, each = 6, 200
		a, b := c.Pair(t, nil, nil)
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for i := range each {
					write := writeKinds[0].write
					if i%7 == w {
						write = writeKinds[(i+w)%len(writeKinds)].write
					}
					if err := write(a, framed(w*each+i, (w+1)*i%700)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		next := make([]int, writers)
		for _, number := range readFrames(t, b, writers*each) {
			if w := number / each; number%each != next[w] {
				t.Fatalf("writer %d: message %d where %d is due", w, number%each, next[w])
			} else {
				next[w]++
			}
		}
		all.Wait()
	})
}

// What is wrong with a Post is said at once, and nothing of it is left in the stream.
func TestPost_Refused(t *testing.T) {
	closedSocket := func(t *testing.T, err error) { kit.Aborted("Socket")(t, err) }
	cases := []struct {
		name  string
		cfg   netstream.Config
		setup func(t *testing.T, a, b *netstream.NetworkStream)
		p     []byte
		check func(t *testing.T, err error)
	}{
		{"nil", netstream.Config{}, nil, nil, func(t *testing.T, err error) { kit.NullArgument("p")(t, err) }},
		{"closed", netstream.Config{}, func(t *testing.T, a, _ *netstream.NetworkStream) { a.Close() }, []byte("x"),
			func(t *testing.T, err error) { kit.DisposedStream(t, err) }},
		{"closed, empty", netstream.Config{}, func(t *testing.T, a, _ *netstream.NetworkStream) { a.Close() }, []byte{},
			func(t *testing.T, err error) { kit.DisposedStream(t, err) }},
		{"read-only", netstream.Config{Access: netstream.AccessRead}, nil, []byte("x"),
			func(t *testing.T, err error) { kit.InvalidOperation(t, err) }},
		{"socket closed", netstream.Config{}, func(t *testing.T, a, _ *netstream.NetworkStream) { kit.Must(t, a.Socket().Close()) },
			[]byte("x"), closedSocket},
		{"after CloseWrite", netstream.Config{}, func(t *testing.T, a, _ *netstream.NetworkStream) { kit.Must(t, a.CloseWrite()) },
			[]byte("x"), func(t *testing.T, err error) { kit.Code(netstream.CodeShutdown)(t, err) }},
		{"after a deadline", netstream.Config{}, func(t *testing.T, a, _ *netstream.NetworkStream) { kit.CutNow(t, a) },
			[]byte("x"), func(t *testing.T, err error) {
				if kit.IOErrorIn(t, err); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("%v", err)
				}
			}},
		{"torn", netstream.Config{}, func(t *testing.T, a, b *netstream.NetworkStream) {
			kit.SmallBuffers(t, a, b)
			_, _, outcome := kit.Plug(t, a)
			kit.CutNow(t, a)
			kit.Within(t, "the torn write", outcome)
			kit.Must(t, a.SetWriteDeadline(time.Time{}))
		}, []byte("x"), func(t *testing.T, err error) { kit.WantFailure(t, "torn", err, 0, true, os.ErrDeadlineExceeded) }},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, k := range cases {
			t.Run(k.name, func(t *testing.T) {
				cfg := k.cfg
				a, b := c.Pair(t, &cfg, nil)
				if k.setup != nil {
					k.setup(t, a, b)
				}
				before := a.Stats()
				err := a.Post(k.p)
				if err == nil {
					t.Fatal("no error")
				}
				k.check(t, err)
				kit.WantIdle(t, a)
				if st := a.Stats(); st.Posts != 0 || st.LostPosts != 0 || st.BytesWritten != before.BytesWritten || st.WriteOps != before.WriteOps {
					t.Errorf("%+v", st)
				}
			})
		}
	})
}

func TestPost_AnEmptyOneDoesNothing(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 1}, nil)
		for range 3 {
			kit.Must(t, a.Post([]byte{}))
		}
		kit.WantPending(t, a, 0, 0)
		kit.Must(t, a.Post([]byte("x")))
		kit.ReadExactly(t, b, []byte("x"))
		if st := a.Stats(); st.Posts != 1 || st.WriteOps != 1 {
			t.Errorf("%+v", st)
		}
	})
}

// A broken connection is known to the first Post after somebody has met it.
func TestPost_OnABrokenConnection(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		a, peer := c.WithPeer(t, nil)
		kit.ResetPeer(t, peer)
		_, err := a.Read(make([]byte, 1))
		kit.WantIs(t, "Read", err, netstream.CodeConnectionReset)
		kit.WantFailure(t, "Post", a.Post([]byte("x")), 0, false, netstream.CodeConnectionReset)
		if st := a.Stats(); st.Posts != 0 || st.LostPosts != 0 || st.WriteErr != nil {
			t.Errorf("%+v", st)
		}
	})
}

// Whoever ends a stream in order has its posts delivered.
func TestPost_OrderlyEndsDeliver(t *testing.T) {
	ways := []struct {
		name string
		end  func(a *netstream.NetworkStream) error
	}{
		{"CloseTimeout", func(a *netstream.NetworkStream) error { return a.CloseTimeout(kit.Patience) }},
		{"Drain and Close", func(a *netstream.NetworkStream) error {
			err := a.Drain(context.Background())
			a.Close()
			return err
		}},
		{"CloseWrite", (*netstream.NetworkStream).CloseWrite},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				a, b := c.Pair(t, nil, nil)
				kit.SmallBuffers(t, a, b)
				p := kit.Patterned(1, kit.PlugSize/2)
				for at := 0; at < len(p); at += 4096 {
					kit.Must(t, a.Post(p[at:at+4096]))
				}
				ended := kit.Async(func() error { return way.end(a) })
				o := kit.Within(t, "the peer", kit.GoRead(b))
				kit.Must(t, o.Err)
				kit.SameBytes(t, o.Data, p)
				kit.Must(t, kit.Within(t, "the end", ended))
			})
		}
	})
}

// Post never waits, whatever the peer and the callbacks do, and a callback may post to its own stream.
func TestPost_NeverWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(nil)
		defer b.Close()
		defer a.Close()
		release := make(chan struct{})
		kit.MustBegin(t, a, []byte("x"), func(netstream.AsyncResult) {
			kit.Must(t, a.Post([]byte("from the callback")))
			<-release
		})
		synctest.Wait()
		begins := time.Now()
		for range 1000 {
			kit.Must(t, a.Post(make([]byte, 1000)))
		}
		if waited := time.Since(begins); waited != 0 {
			t.Errorf("waited %v", waited)
		}
		close(release)
		got := make([]byte, 18)
		kit.Must(t, func() error { _, err := io.ReadFull(b, got); return err }())
		if string(got) != "xfrom the callback" {
			t.Errorf("%q", got)
		}
	})
}

// The loop sends posts, so the first one takes a stream there.
func TestPost_MovesToTheLoop(t *testing.T) {
	if !kit.HaveEpoll || !kit.ConnCases[0].Usable() {
		t.Skip("EngineAuto stays portable here")
	}
	a, peer := kit.ConnCases[0].WithPeer(t, nil)
	kit.Must(t, a.Post([]byte("x")))
	kit.ReadExactly(t, peer, []byte("x"))
	kit.Must(t, a.Drain(context.Background()))
	if engine, why := a.Socket().Engine(); engine != netstream.EngineEpoll {
		t.Error(engine, why)
	}
}

// A message that waits for many streams is in memory once, and a stream that has sent it holds nothing.
func TestPost_AllocatesNothing(t *testing.T) {
	if kit.RaceEnabled {
		t.Skip("the race detector empties pools")
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Engine != netstream.EngineEpoll || c.TLS() {
			t.Skip("other engines start a goroutine for it, and crypto/tls allocates")
		}
		a, b := c.WithPeer(t, nil) // net reads without allocating also as a 32-bit program
		p, got := kit.Patterned(1, 100), make([]byte, 100)
		allocs := testing.AllocsPerRun(200, func() {
			kit.Must(t, a.Post(p))
			_, err := io.ReadFull(b, got)
			kit.Must(t, err)
		})
		if allocs >= 1 {
			t.Errorf("%v allocations for a Post", allocs)
		}
	})
}

// Under the race detector whoever changes a posted message is found out: it is read when it is sent.
func TestPost_ChangingAPostedMessageIsARace(t *testing.T) {
	if !kit.RaceEnabled {
		t.Skip("needs the race detector")
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		out := runRaceChild(t, "^TestPost_RaceChild$", c.Name)
		if !strings.Contains(out, "DATA RACE") {
			t.Errorf("the race detector is silent:\n%s", out)
		}
	})
}

func TestPost_ReadOnlyUseOfAPostedMessageIsNoRace(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		p := []byte("posted to many")
		var peers []*netstream.NetworkStream
		for range 10 {
			a, b := c.Pair(t, nil, nil)
			kit.Must(t, a.Post(p))
			kit.Must(t, a.Post(p))
			peers = append(peers, b)
		}
		for _, b := range peers {
			kit.ReadExactly(t, b, []byte("posted to many"+string(p)))
		}
	})
}
