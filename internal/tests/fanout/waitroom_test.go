package fanout_test

import (
	"context"
	"errors"
	"math"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// waitRoom begins a wait with a callback that reports what EndWaitRoom says.
func waitRoom(t testing.TB, s *netstream.NetworkStream, n int64) (netstream.AsyncResult, <-chan error) {
	t.Helper()
	ch := make(chan error, 1)
	ar, err := s.BeginWaitRoom(n, func(ar netstream.AsyncResult) { ch <- s.EndWaitRoom(ar) }, "state")
	kit.Must(t, err)
	if ar.AsyncState() != "state" {
		t.Errorf("AsyncState %v", ar.AsyncState())
	}
	return ar, ch
}

// fullStream returns a stream that has limit bytes pending, none of which are going out, as far as its peer b does not read.
func fullStream(t testing.TB, c kit.ConnCase, cfg *netstream.Config) (a, b *netstream.NetworkStream, p []byte) {
	t.Helper()
	a, b = c.Pair(t, cfg, nil)
	kit.SmallBuffers(t, a, b)
	p = kit.Patterned(1, kit.PlugSize)
	kit.Must(t, a.Post(p))
	kit.Settled(t, a)
	return a, b, p
}

func TestBeginWaitRoom_CompletesAtOnceWhereThereIsRoom(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, _ := c.Pair(t, &netstream.Config{MaxPendingBytes: 100}, nil)
		for _, n := range []int64{0, 1, 100, 101, math.MaxInt64} { // anything fits into an empty queue
			ar, ch := waitRoom(t, a, n)
			if !ar.CompletedSynchronously() || !ar.IsCompleted() {
				t.Errorf("%d: synchronously %t, completed %t", n, ar.CompletedSynchronously(), ar.IsCompleted())
			}
			kit.Must(t, kit.Within(t, "the callback", ch))
			ar, err := a.BeginWaitRoom(n, nil, nil)
			kit.Must(t, err)
			kit.Must(t, a.EndWaitRoom(ar))
			if err := a.EndWaitRoom(ar); err == nil {
				t.Error("ended twice")
			}
		}
		kit.WantPending(t, a, 0, 0)
	})
}

// It completes when a write of that size is admitted and not before; it reserves nothing and holds up no Begin.
func TestBeginWaitRoom_WaitsForRoom(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for name, cfg := range map[string]*netstream.Config{
			"stream": {MaxPendingBytes: kit.PlugSize + 1000},
			"group":  {Group: &netstream.Group{MaxPendingBytes: kit.PlugSize + 1000}},
		} {
			t.Run(name, func(t *testing.T) {
				a, b, p := fullStream(t, c, cfg)
				fits, ch := waitRoom(t, a, 1000)
				if !fits.CompletedSynchronously() {
					t.Error("there is room for 1000")
				}
				kit.Must(t, kit.Within(t, "the one that fits", ch))
				half, halfDone := waitRoom(t, a, (kit.PlugSize+1000)/2)
				kit.Must(t, a.Post(make([]byte, 1000))) // no Begin waits for it
				if half.IsCompleted() || half.CompletedSynchronously() {
					t.Error("completed too early")
				}
				kit.ReadExactly(t, b, p)
				kit.Must(t, kit.Within(t, "half is free", halfDone))
				kit.ReadExactly(t, b, make([]byte, 1000))
				kit.WantIdle(t, a)
			})
		}
	})
}

// The usual loop: whoever is refused waits for half of the limit, then goes on. Everything arrives.
func TestBeginWaitRoom_AProducerThatFollowsItsConsumer(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count, limit = 2000, 20
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: limit, MaxPendingBytes: 64 << 10}, nil)
		next, waits := 0, 0
		done := make(chan struct{})
		var produce netstream.AsyncCallback
		produce = func(ar netstream.AsyncResult) {
			if !ar.IsZero() {
				kit.Must(t, a.EndWaitRoom(ar))
			}
			for ; next < count; next++ {
				switch err := a.Post(framed(next, 1000)); err {
				case nil:
				case netstream.ErrQueueFull:
					waits++
					_, err := a.BeginWaitRoom(32<<10, produce, nil)
					kit.Must(t, err)
					return
				default:
					t.Error(err)
				}
			}
			close(done)
		}
		go produce(netstream.AsyncResult{})
		for i, number := range readFrames(t, b, count) {
			if i != number {
				t.Fatalf("message %d where %d is due", number, i)
			}
		}
		kit.Within(t, "the producer", done)
		if waits == 0 {
			t.Error("it never waited")
		}
	})
}

func TestBeginWaitRoom_IsTakenBackAndEnded(t *testing.T) {
	ends := []struct {
		name string
		end  func(t *testing.T, a *netstream.NetworkStream, ar netstream.AsyncResult)
		want error
	}{
		{"Cancel", func(t *testing.T, a *netstream.NetworkStream, ar netstream.AsyncResult) {
			if !a.Cancel(ar) || a.Cancel(ar) {
				t.Error("Cancel takes it back, once")
			}
		}, context.Canceled},
		{"Close", func(_ *testing.T, a *netstream.NetworkStream, _ netstream.AsyncResult) { a.Close() }, net.ErrClosed},
		{"Socket().Close", func(_ *testing.T, a *netstream.NetworkStream, _ netstream.AsyncResult) { _ = a.Socket().Close() }, net.ErrClosed},
		{"a deadline", func(t *testing.T, a *netstream.NetworkStream, _ netstream.AsyncResult) { kit.CutNow(t, a) }, os.ErrDeadlineExceeded},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, k := range ends {
			t.Run(k.name, func(t *testing.T) {
				a, _, _ := fullStream(t, c, &netstream.Config{MaxPendingWrites: 1})
				first, firstDone := waitRoom(t, a, 1)
				second, err := a.BeginWaitRoom(1, nil, nil)
				kit.Must(t, err)
				k.end(t, a, first)
				err = kit.Within(t, "the first", firstDone)
				if kit.IOErrorIn(t, err); !errors.Is(err, k.want) {
					t.Errorf("%v, want %v", err, k.want)
				}
				if k.name == "Cancel" {
					if second.IsCompleted() {
						t.Error("the other one is over, too")
					}
					a.Close()
				}
				if err := a.EndWaitRoom(second); err == nil {
					t.Error("the second found room")
				}
			})
		}
	})
}

func TestBeginWaitRoom_BadInput(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		refused := func(s *netstream.NetworkStream, n int64) error {
			ar, err := s.BeginWaitRoom(n, func(netstream.AsyncResult) { t.Error("a callback of a refused Begin ran") }, nil)
			if !ar.IsZero() {
				t.Error("a result beside the error")
			}
			return err
		}
		kit.OutOfRange("n", int64(-1))(t, refused(a, -1))
		kit.NullArgument("asyncResult")(t, a.EndWaitRoom(netstream.AsyncResult{}))
		read, err := a.BeginRead(make([]byte, 1), 0, 1, nil, nil)
		kit.Must(t, err)
		kit.WantForeign(t, "a foreign result", a.EndWaitRoom(read))
		room, err := a.BeginWaitRoom(1, nil, nil)
		kit.Must(t, err)
		kit.WantForeign(t, "a foreign result", a.EndWrite(room))
		kit.WantForeign(t, "a foreign result", b.EndWaitRoom(room))
		kit.Must(t, a.EndWaitRoom(room))
		readOnly, _ := c.Pair(t, &netstream.Config{Access: netstream.AccessRead}, nil)
		kit.InvalidOperation(t, refused(readOnly, 1))
		a.Close()
		kit.DisposedStream(t, refused(a, 1))
		kit.DisposedStream(t, a.EndWaitRoom(netstream.AsyncResult{}))
		torn, tornPeer := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, torn, tornPeer)
		_, _, outcome := kit.Plug(t, torn)
		kit.CutNow(t, torn)
		kit.Within(t, "the torn write", outcome)
		kit.Must(t, torn.SetWriteDeadline(time.Time{}))
		kit.WantFailure(t, "torn", refused(torn, 1), 0, true, os.ErrDeadlineExceeded)
	})
}

// Its callback is one of the writing direction's, in completion order, and its wait handle is set.
func TestBeginWaitRoom_CallbackAndHandle(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b, p := fullStream(t, c, &netstream.Config{MaxPendingWrites: 1})
		ar, ch := waitRoom(t, a, 1)
		handle := ar.AsyncWaitHandle()
		if handle.WaitOneTimeout(0) {
			t.Error("set too early")
		}
		kit.ReadExactly(t, b, p)
		handle.WaitOne()
		kit.Must(t, kit.Within(t, "the callback", ch))
		entered, release := make(chan struct{}), make(chan struct{})
		kit.MustBegin(t, a, []byte("x"), func(netstream.AsyncResult) { close(entered); <-release })
		kit.Within(t, "a callback that blocks", entered)
		_, ch = waitRoom(t, a, 1)
		select {
		case <-ch:
			t.Error("its callback ran beside another one of the direction")
		case <-time.After(10 * time.Millisecond): // never too short for a right program
		}
		close(release)
		kit.Must(t, kit.Within(t, "the callback", ch))
	})
}
