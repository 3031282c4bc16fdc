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
)

// full returns a stream whose queue is full: a plug that cannot go out, behind which limit bytes have room, and
// taken of them are taken.
func full(t *testing.T, c connCase, limit, taken int, group *netstream.Group) (a, b *netstream.NetworkStream, want []byte) {
	t.Helper()
	a, b = c.pair(t, &netstream.Config{MaxPendingBytes: int64(plugSize + limit), Group: group}, nil)
	small(t, a, b)
	want, _, _ = plug(t, a)
	if taken > 0 {
		p := patterned(2, taken)
		begin(t, a, p)
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
		_, err := s.Write(patterned(9, size))
		return err
	}},
	{"WriteContext", func(s *netstream.NetworkStream, ctx context.Context, size int) error {
		_, err := s.WriteContext(ctx, patterned(9, size))
		return err
	}},
	{"WriteBuffers", func(s *netstream.NetworkStream, _ context.Context, size int) error {
		_, err := s.WriteBuffers(thirds(patterned(9, size)))
		return err
	}},
	{"ReadFrom", func(s *netstream.NetworkStream, _ context.Context, size int) error {
		_, err := s.ReadFrom(bytes.NewReader(patterned(9, size)))
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
	eachConn(t, func(t *testing.T, c connCase) {
		eachWaiter(t, func(t *testing.T, w waiter) {
			a, b, want := full(t, c, 1000, 1000, nil)
			done := async(func() error { return w.call(a, ctxNever, 700) })
			eventually(t, "it waits for room", func() bool { return a.RoomWaiters() == 1 })
			if w.name != "WaitRoom" {
				want = append(want, patterned(9, 700)...)
			}
			readExactly(t, b, want)
			if err := within(t, "it got room", done); err != nil {
				t.Fatal(err)
			}
			wantIdle(t, a)
		})
	})
}

func TestPromise13_RoomIsGivenFirstComeFirstServed(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b, want := full(t, c, 1000, 1000, nil)
		const count = 30
		var done []<-chan error
		for i := range count {
			p := record(i, i, 100+i*20) // larger and larger: a small one does not slip past a large one
			if i%2 == 0 {
				p = record(i, i, 1000-i*20)
			}
			w := styles[i%2] // Write and WriteContext
			done = append(done, async(func() error { return w.write(a, p) }))
			eventually(t, "one more waits for room", func() bool { return a.RoomWaiters() == i+1 })
			want = append(want, p...)
		}
		wantRefused(t, a, 1) // no Begin overtakes those who wait
		readExactly(t, b, want)
		for _, ch := range done {
			if err := within(t, "a write that waited", ch); err != nil {
				t.Fatal(err)
			}
		}
		wantIdle(t, a)
	})
}

// When the first one gives up, the others do not have to wait for what it needed.
func TestPromise13_WhoGivesUpLetsTheNextOneIn(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b, want := full(t, c, 1000, 500, nil)
		ctx, cancel := context.WithCancel(ctxNever)
		defer cancel()
		large := async(func() error { _, err := a.WriteContext(ctx, make([]byte, 800)); return err })
		eventually(t, "the large one waits", func() bool { return a.RoomWaiters() == 1 })
		probe := async(func() error { return a.WaitRoom(ctxNever, 300) })
		eventually(t, "the probe waits behind it", func() bool { return a.RoomWaiters() == 2 })
		fits := patterned(3, 400)
		next := async(func() error { _, err := a.Write(fits); return err })
		eventually(t, "the small one waits behind it", func() bool { return a.RoomWaiters() == 3 })
		cancel()
		wantFailure(t, "the large one", within(t, "the large one", large), 0, false, context.Canceled)
		if err := within(t, "the probe", probe); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the small one is let in", func() bool { return a.RoomWaiters() == 0 })
		wantPending(t, a, 3, plugSize+900)
		readExactly(t, b, append(want, fits...))
		if err := within(t, "the small one", next); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPromise13_WhoWaitsForRoomIsWoken(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		eachWaiter(t, func(t *testing.T, w waiter) {
			wake := func(name string, f func(t *testing.T, a *netstream.NetworkStream, cancel func()), check func(t *testing.T, err error)) {
				t.Run(name, func(t *testing.T) {
					a, _, _ := full(t, c, 1000, 1000, nil)
					ctx, cancel := context.WithCancel(ctxNever)
					defer cancel()
					done := async(func() error { return w.call(a, ctx, 700) })
					eventually(t, "it waits for room", func() bool { return a.RoomWaiters() == 1 })
					f(t, a, cancel)
					err := within(t, "it is woken", done)
					if failure := ioFailure(t, err); failure.N != 0 || failure.Torn {
						t.Fatalf("N=%d Torn=%t", failure.N, failure.Torn)
					}
					check(t, err)
				})
			}
			if w.name == "WriteContext" || w.name == "WaitRoom" {
				wake("ctx", func(_ *testing.T, _ *netstream.NetworkStream, cancel func()) { cancel() },
					func(t *testing.T, err error) { wantIs(t, "woken by ctx", err, context.Canceled) })
			}
			wake("deadline", func(t *testing.T, a *netstream.NetworkStream, _ func()) { cutNow(t, a) },
				func(t *testing.T, err error) { wantIs(t, "woken by a deadline", err, errPast) })
			wake("Close", func(_ *testing.T, a *netstream.NetworkStream, _ func()) { a.Close() },
				func(t *testing.T, err error) { wantAborted(t, "woken by Close", err, "NetworkStream") })
			wake("Socket.Close", func(_ *testing.T, a *netstream.NetworkStream, _ func()) { a.Socket().Close() },
				func(t *testing.T, err error) { wantAborted(t, "woken by Socket().Close", err, "Socket") })
		})
	})
}

// A write that waits for room when CloseWrite is called goes out before the FIN or fails with Shutdown.
func TestPromise13_CloseWriteWhileSomebodyWaitsForRoom(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b, want := full(t, c, 1000, 1000, nil)
		p := patterned(9, 700)
		done := async(func() error { _, err := a.Write(p); return err })
		eventually(t, "it waits for room", func() bool { return a.RoomWaiters() == 1 })
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		o := within(t, "the peer reads to the end", goRead(b))
		if o.err != nil {
			t.Fatal(o.err)
		}
		if err := within(t, "the write that waited", done); err != nil {
			wantFailure(t, "the write that waited", err, 0, false, netstream.CodeShutdown)
		} else {
			want = append(want, p...)
		}
		sameBytes(t, o.data, want)
		wantIdle(t, a)
	})
}

func TestPromise13_TimeoutsWakeWhoWaitsForRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(&netstream.Config{MaxPendingWrites: 1})
		defer func() { a.Close(); b.Close() }()
		plug(t, a)
		if err := a.SetWriteTimeout(3 * time.Second); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(ctxNever, 2*time.Second)
		defer cancel()
		begins := time.Now()
		probe := async(func() error { return a.WaitRoom(ctx, 1) })
		write := async(func() error { _, err := a.Write([]byte("x")); return err })
		wantFailure(t, "WaitRoom", <-probe, 0, false, context.DeadlineExceeded)
		if waited := time.Since(begins); waited != 2*time.Second {
			t.Fatalf("WaitRoom waited %v", waited)
		}
		wantFailure(t, "Write", <-write, 0, false, errPast)
		if waited := time.Since(begins); waited != 3*time.Second {
			t.Fatalf("Write waited %v", waited)
		}
		wantPending(t, a, 1, plugSize)
	})
}

func TestPromise13_WaitRoomRefuses(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, _ := c.pair(t, nil, nil)
		if err := a.WaitRoom(ctxNever, 1<<40); err != nil { // the queue is empty: anything would be admitted
			t.Fatal(err)
		}
		if err := a.WaitRoom(ctxNever, -1); err == nil || !strings.Contains(err.Error(), "bytes") {
			t.Fatalf("WaitRoom(-1): %v", err)
		}
		ctx, cancel := context.WithCancel(ctxNever)
		cancel()
		wantFailure(t, "WaitRoom with a ctx that is done", a.WaitRoom(ctx, 1), 0, false, context.Canceled)
		a.Close()
		wantIs(t, "WaitRoom of a closed stream", a.WaitRoom(ctxNever, 1), net.ErrClosed)
	})
}

func TestPromise13_AGroupsLimitHoldsOverAllItsStreams(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		group := &netstream.Group{MaxPendingBytes: plugSize + 1000, MaxPendingWrites: 3}
		cfg := &netstream.Config{Group: group}
		a, aPeer := c.pair(t, cfg, nil)
		b, bPeer := c.pair(t, cfg, nil)
		small(t, a, aPeer)
		small(t, b, bPeer)
		want, _, _ := plug(t, a)
		wantRefused(t, b, 1001)
		one := patterned(2, 600)
		begin(t, a, one)
		wantRefused(t, b, 401) // in bytes
		probe := async(func() error { return b.WaitRoom(ctxNever, 401) })
		eventually(t, "another stream's probe waits", func() bool { return b.RoomWaiters() == 1 })
		two := patterned(3, 100)
		begin(t, a, two)
		wantRefused(t, b, 1) // in writes
		streams := 2
		if c.network == "pipe" {
			streams = 4 // both ends of a pipe have one Config
		}
		if st := group.Stats(); st.PendingWrites != 3 || st.PendingBytes != plugSize+700 || st.Streams != streams {
			t.Fatalf("the group counts %d writes, %d bytes, %d streams", st.PendingWrites, st.PendingBytes, st.Streams)
		}
		readExactly(t, aPeer, bytes.Join([][]byte{want, one, two}, nil))
		if err := within(t, "another stream's probe", probe); err != nil {
			t.Fatal(err)
		}
		if err := beginThen(b, one, func(netstream.AsyncResult) {}); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		readExactly(t, bPeer, one)
		wantIdle(t, a)
		wantIdle(t, b)
	})
}

// A blocking Write that waits for the group's room is let in when another stream of the group gives it up.
func TestPromise13_AGroupsRoomWakesItsOtherStreams(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		group := &netstream.Group{MaxPendingBytes: 2*plugSize + 1000}
		cfg := &netstream.Config{Group: group}
		a, aPeer := c.pair(t, cfg, nil)
		b, bPeer := c.pair(t, cfg, nil)
		small(t, a, aPeer)
		small(t, b, bPeer)
		plug(t, a)
		want, _, _ := plug(t, b)
		ar, _ := begin(t, a, make([]byte, 800))
		p := patterned(5, 700)
		done := async(func() error { _, err := b.Write(p); return err })
		eventually(t, "b's write waits for room", func() bool { return b.RoomWaiters() == 1 })
		if !a.Cancel(ar) { // a gives 800 bytes back and neither stream moves a byte
			t.Fatal("could not cancel")
		}
		eventually(t, "b's write is let in", func() bool { return b.RoomWaiters() == 0 })
		readExactly(t, bPeer, append(want, p...))
		if err := within(t, "b's write", done); err != nil {
			t.Fatal(err)
		}
	})
}
