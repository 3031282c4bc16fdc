package netstream_test

import (
	"bytes"
	"context"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// full returns a stream whose queue is full: a plug that cannot go out, behind which limit bytes have room, and
// taken of them are taken.
func full(t *testing.T, c kit.ConnCase, limit, taken int, group *netstream.Group) (a, b *netstream.NetworkStream, want []byte) {
	t.Helper()
	a, b = c.Pair(t, &netstream.Config{MaxPendingBytes: int64(kit.PlugSize + limit), Group: group}, nil)
	kit.SmallBuffers(t, a, b)
	want, _, _ = kit.Plug(t, a)
	if taken > 0 {
		p := kit.Patterned(2, taken)
		kit.Begin(t, a, p)
		want = append(want, p...)
	}
	return a, b, want
}

// waiter is one call that waits for room.
type waiter struct {
	name string
	call func(s *netstream.NetworkStream, ctx context.Context, size int) error
}

var waiters = []waiter{
	{"Write", func(s *netstream.NetworkStream, _ context.Context, size int) error {
		_, err := s.Write(kit.Patterned(9, size))
		return err
	}},
	{"WriteContext", func(s *netstream.NetworkStream, ctx context.Context, size int) error {
		_, err := s.WriteContext(ctx, kit.Patterned(9, size))
		return err
	}},
	{"WriteBuffers", func(s *netstream.NetworkStream, _ context.Context, size int) error {
		_, err := s.WriteBuffers(kit.Thirds(kit.Patterned(9, size)))
		return err
	}},
	{"ReadFrom", func(s *netstream.NetworkStream, _ context.Context, size int) error {
		_, err := s.ReadFrom(bytes.NewReader(kit.Patterned(9, size)))
		return err
	}},
	{"WaitRoom", func(s *netstream.NetworkStream, ctx context.Context, size int) error {
		return s.WaitRoom(ctx, int64(size))
	}},
}

func eachWaiter(t *testing.T, f func(t *testing.T, w waiter)) {
	t.Helper()
	for _, w := range waiters {
		t.Run(w.name, func(t *testing.T) { f(t, w) })
	}
}

func TestPromise13_BlockingCallsWaitForRoomAndGetIt(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		eachWaiter(t, func(t *testing.T, w waiter) {
			a, b, want := full(t, c, 1000, 1000, nil)
			done := kit.Async(func() error { return w.call(a, kit.CtxNever, 700) })
			kit.Eventually(t, "it waits for room", func() bool { return a.RoomWaiters() == 1 })
			if w.name != "WaitRoom" {
				want = append(want, kit.Patterned(9, 700)...)
			}
			kit.ReadExactly(t, b, want)
			if err := kit.Within(t, "it got room", done); err != nil {
				t.Fatal(err)
			}
			kit.WantIdle(t, a)
		})
	})
}

func TestPromise13_RoomIsGivenFirstComeFirstServed(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b, want := full(t, c, 1000, 1000, nil)
		const count = 30
		var done []<-chan error
		for i := range count {
			p := kit.Record(i, i, 100+i*20) // larger and larger: a small one does not slip past a large one
			if i%2 == 0 {
				p = kit.Record(i, i, 1000-i*20)
			}
			w := kit.Styles[i%2] // Write and WriteContext
			done = append(done, kit.Async(func() error { return w.Write(a, p) }))
			kit.Eventually(t, "one more waits for room", func() bool { return a.RoomWaiters() == i+1 })
			want = append(want, p...)
		}
		kit.WantRefused(t, a, 1) // no Begin overtakes those who wait
		kit.ReadExactly(t, b, want)
		for _, ch := range done {
			if err := kit.Within(t, "a write that waited", ch); err != nil {
				t.Fatal(err)
			}
		}
		kit.WantIdle(t, a)
	})
}

// When the first one gives up, the others do not have to wait for what it needed.
func TestPromise13_WhoGivesUpLetsTheNextOneIn(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b, want := full(t, c, 1000, 500, nil)
		ctx, cancel := context.WithCancel(kit.CtxNever)
		defer cancel()
		large := kit.Async(func() error { _, err := a.WriteContext(ctx, make([]byte, 800)); return err })
		kit.Eventually(t, "the large one waits", func() bool { return a.RoomWaiters() == 1 })
		probe := kit.Async(func() error { return a.WaitRoom(kit.CtxNever, 300) })
		kit.Eventually(t, "the probe waits behind it", func() bool { return a.RoomWaiters() == 2 })
		fits := kit.Patterned(3, 400)
		next := kit.Async(func() error { _, err := a.Write(fits); return err })
		kit.Eventually(t, "the small one waits behind it", func() bool { return a.RoomWaiters() == 3 })
		cancel()
		kit.WantFailure(t, "the large one", kit.Within(t, "the large one", large), 0, false, context.Canceled)
		if err := kit.Within(t, "the probe", probe); err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, "the small one is let in", func() bool { return a.RoomWaiters() == 0 })
		kit.WantPending(t, a, 3, kit.PlugSize+900)
		kit.ReadExactly(t, b, append(want, fits...))
		if err := kit.Within(t, "the small one", next); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPromise13_WhoWaitsForRoomIsWoken(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		eachWaiter(t, func(t *testing.T, w waiter) {
			wake := func(name string, f func(t *testing.T, a *netstream.NetworkStream, cancel func()), check func(t *testing.T, err error)) {
				t.Run(name, func(t *testing.T) {
					a, _, _ := full(t, c, 1000, 1000, nil)
					ctx, cancel := context.WithCancel(kit.CtxNever)
					defer cancel()
					done := kit.Async(func() error { return w.call(a, ctx, 700) })
					kit.Eventually(t, "it waits for room", func() bool { return a.RoomWaiters() == 1 })
					f(t, a, cancel)
					err := kit.Within(t, "it is woken", done)
					if failure := kit.IOFailure(t, err); failure.N != 0 || failure.Torn {
						t.Fatalf("N=%d Torn=%t", failure.N, failure.Torn)
					}
					check(t, err)
				})
			}
			if w.name == "WriteContext" || w.name == "WaitRoom" {
				wake("ctx", func(_ *testing.T, _ *netstream.NetworkStream, cancel func()) { cancel() },
					func(t *testing.T, err error) { kit.WantIs(t, "woken by ctx", err, context.Canceled) })
			}
			wake("deadline", func(t *testing.T, a *netstream.NetworkStream, _ func()) { kit.CutNow(t, a) },
				func(t *testing.T, err error) { kit.WantIs(t, "woken by a deadline", err, kit.ErrPast) })
			wake("Close", func(_ *testing.T, a *netstream.NetworkStream, _ func()) { a.Close() },
				func(t *testing.T, err error) { kit.WantAborted(t, "woken by Close", err, "NetworkStream") })
			wake("Socket.Close", func(_ *testing.T, a *netstream.NetworkStream, _ func()) { a.Socket().Close() },
				func(t *testing.T, err error) { kit.WantAborted(t, "woken by Socket().Close", err, "Socket") })
		})
	})
}

// A write that waits for room when CloseWrite is called goes out before the FIN or fails with Shutdown.
func TestPromise13_CloseWriteWhileSomebodyWaitsForRoom(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b, want := full(t, c, 1000, 1000, nil)
		p := kit.Patterned(9, 700)
		done := kit.Async(func() error { _, err := a.Write(p); return err })
		kit.Eventually(t, "it waits for room", func() bool { return a.RoomWaiters() == 1 })
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if err := kit.Within(t, "the write that waited", done); err != nil {
			kit.WantFailure(t, "the write that waited", err, 0, false, netstream.CodeShutdown)
		} else {
			want = append(want, p...)
		}
		kit.SameBytes(t, o.Data, want)
		kit.WantIdle(t, a)
	})
}

func TestPromise13_TimeoutsWakeWhoWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(&netstream.Config{MaxPendingWrites: 1})
		defer func() { a.Close(); b.Close() }()
		kit.Plug(t, a)
		if err := a.SetWriteTimeout(3 * time.Second); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(kit.CtxNever, 2*time.Second)
		defer cancel()
		begins := time.Now()
		probe := kit.Async(func() error { return a.WaitRoom(ctx, 1) })
		write := kit.Async(func() error { _, err := a.Write([]byte("x")); return err })
		kit.WantFailure(t, "WaitRoom", <-probe, 0, false, context.DeadlineExceeded)
		if waited := time.Since(begins); waited != 2*time.Second {
			t.Fatalf("WaitRoom waited %v", waited)
		}
		kit.WantFailure(t, "Write", <-write, 0, false, kit.ErrPast)
		if waited := time.Since(begins); waited != 3*time.Second {
			t.Fatalf("Write waited %v", waited)
		}
		kit.WantPending(t, a, 1, kit.PlugSize)
	})
}

func TestPromise13_WaitRoomRefuses(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, _ := c.Pair(t, nil, nil)
		if err := a.WaitRoom(kit.CtxNever, 1<<40); err != nil { // the queue is empty: anything would be admitted
			t.Fatal(err)
		}
		if err := a.WaitRoom(kit.CtxNever, -1); err == nil || !strings.Contains(err.Error(), "bytes") {
			t.Fatalf("WaitRoom(-1): %v", err)
		}
		ctx, cancel := context.WithCancel(kit.CtxNever)
		cancel()
		kit.WantFailure(t, "WaitRoom with a ctx that is done", a.WaitRoom(ctx, 1), 0, false, context.Canceled)
		a.Close()
		kit.WantIs(t, "WaitRoom of a closed stream", a.WaitRoom(kit.CtxNever, 1), net.ErrClosed)
	})
}

func TestPromise13_AGroupsLimitHoldsOverAllItsStreams(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		group := &netstream.Group{MaxPendingBytes: kit.PlugSize + 1000, MaxPendingWrites: 3}
		cfg := &netstream.Config{Group: group}
		a, aPeer := c.Pair(t, cfg, nil)
		b, bPeer := c.Pair(t, cfg, nil)
		kit.SmallBuffers(t, a, aPeer)
		kit.SmallBuffers(t, b, bPeer)
		want, _, _ := kit.Plug(t, a)
		kit.WantRefused(t, b, 1001)
		one := kit.Patterned(2, 600)
		kit.Begin(t, a, one)
		kit.WantRefused(t, b, 401) // in bytes
		probe := kit.Async(func() error { return b.WaitRoom(kit.CtxNever, 401) })
		kit.Eventually(t, "another stream's probe waits", func() bool { return b.RoomWaiters() == 1 })
		two := kit.Patterned(3, 100)
		kit.Begin(t, a, two)
		kit.WantRefused(t, b, 1) // in writes
		streams := 2
		if c.Network == "pipe" {
			streams = 4 // both ends of a pipe have one Config
		}
		if st := group.Stats(); st.PendingWrites != 3 || st.PendingBytes != kit.PlugSize+700 || st.Streams != streams {
			t.Fatalf("the group counts %d writes, %d bytes, %d streams", st.PendingWrites, st.PendingBytes, st.Streams)
		}
		kit.ReadExactly(t, aPeer, bytes.Join([][]byte{want, one, two}, nil))
		if err := kit.Within(t, "another stream's probe", probe); err != nil {
			t.Fatal(err)
		}
		if err := kit.BeginThen(b, one, func(netstream.AsyncResult) {}); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		kit.ReadExactly(t, bPeer, one)
		kit.WantIdle(t, a)
		kit.WantIdle(t, b)
	})
}

// A blocking Write that waits for the group's room is let in when another stream of the group gives it up.
func TestPromise13_AGroupsRoomWakesItsOtherStreams(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		group := &netstream.Group{MaxPendingBytes: 2*kit.PlugSize + 1000}
		cfg := &netstream.Config{Group: group}
		a, aPeer := c.Pair(t, cfg, nil)
		b, bPeer := c.Pair(t, cfg, nil)
		kit.SmallBuffers(t, a, aPeer)
		kit.SmallBuffers(t, b, bPeer)
		kit.Plug(t, a)
		want, _, _ := kit.Plug(t, b)
		ar, _ := kit.Begin(t, a, make([]byte, 800))
		p := kit.Patterned(5, 700)
		done := kit.Async(func() error { _, err := b.Write(p); return err })
		kit.Eventually(t, "b's write waits for room", func() bool { return b.RoomWaiters() == 1 })
		if !a.Cancel(ar) { // a gives 800 bytes back and neither stream moves a byte
			t.Fatal("could not cancel")
		}
		kit.Eventually(t, "b's write is let in", func() bool { return b.RoomWaiters() == 0 })
		kit.ReadExactly(t, bPeer, append(want, p...))
		if err := kit.Within(t, "b's write", done); err != nil {
			t.Fatal(err)
		}
	})
}

// A write that is cancelled gives its room at once to whoever waits for it, although nothing moves on the connection.
func TestCancelLetsInWhoWaitsForRoom(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 80}, nil)
		kit.SmallBuffers(t, a, b)
		kit.Plug(t, a)
		var last netstream.AsyncResult
		for range 79 { // more than the portable engine holds on to
			last = kit.MustBegin(t, a, []byte("x"), func(netstream.AsyncResult) {})
		}
		waiting := kit.Async(func() error { return a.WaitRoom(kit.CtxNever, 1) })
		kit.Eventually(t, "WaitRoom waits", func() bool { return a.RoomWaiters() == 1 })
		kit.MustCancel(t, a, last)
		if err := kit.Within(t, "WaitRoom after the cancel", waiting); err != nil {
			t.Fatal(err)
		}
	})
}
