package promises_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// tearing is one way to write whose cut tears the stream for good.
type tearing struct {
	name  string
	write func(t *testing.T, s *netstream.NetworkStream, p []byte, cancelled context.Context) <-chan error
	cut   func(t *testing.T, s *netstream.NetworkStream, cancel func())
	cause error
}

func beginVectored(t *testing.T, s *netstream.NetworkStream, p []byte, _ context.Context) <-chan error {
	ch := make(chan error, 1)
	buffers := [][]byte{p[:10], nil, p[10 : len(p)/2], p[len(p)/2:]}
	if _, err := s.BeginWritev(buffers, func(ar netstream.AsyncResult) { ch <- s.EndWrite(ar) }, nil); err != nil {
		t.Fatal(err)
	}
	return ch
}

func writeContext(_ *testing.T, s *netstream.NetworkStream, p []byte, ctx context.Context) <-chan error {
	return kit.Async(func() error { _, err := s.WriteContext(ctx, p); return err })
}

var tearings = []tearing{
	{"BeginWrite-deadline",
		func(t *testing.T, s *netstream.NetworkStream, p []byte, _ context.Context) <-chan error {
			_, ch := kit.Begin(t, s, p)
			return ch
		},
		func(t *testing.T, s *netstream.NetworkStream, _ func()) { kit.CutNow(t, s) }, kit.ErrPast},
	{"BeginWritev-deadline", beginVectored,
		func(t *testing.T, s *netstream.NetworkStream, _ func()) { kit.CutNow(t, s) }, kit.ErrPast},
	{"WriteContext-deadline", writeContext,
		func(t *testing.T, s *netstream.NetworkStream, _ func()) { kit.CutNow(t, s) }, kit.ErrPast},
	{"WriteContext-cancel", writeContext,
		func(_ *testing.T, _ *netstream.NetworkStream, cancel func()) { cancel() }, context.Canceled},
}

func TestPromise11_ATornWritePoisons(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, way := range tearings {
			t.Run(way.name, func(t *testing.T) { tornWritePoisons(t, c, way) })
		}
	})
}

func tornWritePoisons(t *testing.T, c kit.ConnCase, way tearing) {
	a, b := c.Pair(t, nil, nil)
	kit.SmallBuffers(t, a, b)
	ctx, cancel := context.WithCancel(kit.CtxNever)
	defer cancel()
	p := kit.Patterned(1, kit.PlugSize)
	cutOne := way.write(t, a, p, ctx)
	kit.HasInput(t, b)
	kit.Settled(t, a)
	_, behind := kit.Begin(t, a, []byte("behind"))
	_, further := kit.Begin(t, a, []byte("further behind"))
	way.cut(t, a, cancel)

	err := kit.Within(t, "the cut write", cutOne)
	failure := kit.IOFailure(t, err)
	n := failure.N
	if n <= 0 || n >= kit.PlugSize || uint64(n) != a.Stats().BytesWritten {
		t.Fatalf("N=%d, BytesWritten=%d, size=%d", n, a.Stats().BytesWritten, kit.PlugSize)
	}
	kit.WantFailure(t, "the cut write", err, n, true, way.cause)
	// A deadline ends what is queued for its own reason, a context only the one write: what is behind it is torn.
	queuedTorn := way.cause != kit.ErrPast
	kit.WantFailure(t, "queued behind", kit.Within(t, "queued behind", behind), 0, queuedTorn, way.cause)
	kit.WantFailure(t, "queued further behind", kit.Within(t, "queued further behind", further), 0, queuedTorn, way.cause)
	if err := a.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	kit.WantTornNow(t, a, way.cause, false)
	kit.WantIdle(t, a)

	kit.ReadExactly(t, b, p[:n])
	if a.Err() != nil {
		t.Fatalf("Err() of an open stream: %v", a.Err())
	}
	a.Close()
	if !errors.Is(a.Err(), way.cause) {
		t.Fatalf("Err() after Close: %v, want %v", a.Err(), way.cause)
	}
	o := kit.Within(t, "the peer sees the cut", kit.GoRead(b))
	if len(o.Data) != 0 {
		t.Fatalf("%d bytes came behind the torn message", len(o.Data))
	}
	kit.WantEndAfterCut(t, c, kit.OrEOF(o.Err))
}

// The peer breaks the connection while half a message is out: what is queued and what is begun fails with Torn.
func TestPromise11_AnErrorInTheMiddlePoisons(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		var a *netstream.NetworkStream
		var breakIt func()
		if c.Network == "pipe" {
			s, b := c.Pair(t, nil, nil)
			a, breakIt = s, func() { b.Close() }
		} else {
			s, peer := c.WithPeer(t, nil)
			a, breakIt = s, func() {
				if c.TCP() {
					kit.ResetPeer(t, peer)
					return
				}
				peer.Close()
			}
		}
		if err := a.Socket().SetWriteBuffer(32 << 10); err != nil {
			t.Fatal(err)
		}
		_, _, cut := kit.PlugOf(t, a, 16<<20) // a plain peer has net's buffers
		_, behind := kit.Begin(t, a, []byte("behind"))
		breakIt()
		err := kit.Within(t, "the broken write", cut)
		failure := kit.IOFailure(t, err)
		if failure.N <= 0 || failure.N >= 16<<20 || !failure.Torn {
			t.Fatalf("the broken write: N=%d Torn=%t: %v", failure.N, failure.Torn, err)
		}
		kit.WantIs(t, "the broken write", err)
		if c.TCP() {
			kit.WantIs(t, "the broken write", err, netstream.CodeConnectionReset)
		}
		kit.WantFailure(t, "behind", kit.Within(t, "behind", behind), 0, true, failure.Err)
		kit.WantTornNow(t, a, failure.Err, false)
		kit.WantIdle(t, a)
	})
}

// cutBlockingWrite has a blocking Write cut in the middle and returns what was to be written and how much was.
func cutBlockingWrite(t *testing.T, a, b *netstream.NetworkStream) (p []byte, n int) {
	t.Helper()
	kit.SmallBuffers(t, a, b)
	p = kit.Patterned(1, kit.PlugSize)
	cut := kit.Async(func() error {
		var err error
		n, err = a.Write(p)
		return err
	})
	kit.HasInput(t, b)
	kit.CutNow(t, a)
	err := kit.Within(t, "the cut Write", cut)
	if n <= 0 || n >= kit.PlugSize {
		t.Fatalf("the cut Write returned n=%d", n)
	}
	kit.WantFailure(t, "the cut Write", err, int64(n), true, kit.ErrPast, netstream.CodeTimedOut)
	if err := a.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	return p, n
}

func TestPromise11_TheNextBlockingWriteGoesThrough(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		p, n := cutBlockingWrite(t, a, b)
		kit.WantTornNow(t, a, kit.ErrPast, true)
		got := kit.GoRead(b)
		half := n + (kit.PlugSize-n)/2
		if m, err := a.Write(p[n:half]); err != nil || m != half-n {
			t.Fatalf("the next blocking Write: %d, %v", m, err)
		}
		if m, err := a.WriteBuffers(kit.Thirds(p[half:])); err != nil || m != int64(kit.PlugSize-half) {
			t.Fatalf("WriteBuffers behind it: %d, %v", m, err)
		}
		// That state is over: everything works again, and the end is a clean one.
		for _, st := range kit.Styles {
			if err := st.Write(a, []byte(st.Name)); err != nil {
				t.Fatalf("%s after the state has ended: %v", st.Name, err)
			}
			p = append(p, st.Name...)
		}
		a.Close()
		o := kit.Within(t, "the peer reads to the end", got)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		kit.SameBytes(t, o.Data, p)
	})
}

func TestPromise11_CloseAfterACutBlockingWriteResets(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		p, n := cutBlockingWrite(t, a, b)
		kit.ReadExactly(t, b, p[:n])
		a.Close()
		o := kit.Within(t, "the peer sees the cut", kit.GoRead(b))
		if len(o.Data) != 0 {
			t.Fatalf("%d bytes came behind the cut", len(o.Data))
		}
		kit.WantEndAfterCut(t, c, kit.OrEOF(o.Err))
	})
}

// WriteTimeout cuts one blocking Write: a write that was begun behind it must not follow half a message.
func TestPromise11_QueuedBehindABlockingWriteThatTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(nil)
		defer func() { a.Close(); b.Close() }()
		if err := a.SetWriteTimeout(time.Second); err != nil {
			t.Fatal(err)
		}
		p := kit.Patterned(1, 100_000) // the pipe holds 65,536
		var n int
		cut := kit.Async(func() error { var err error; n, err = a.Write(p); return err })
		synctest.Wait()
		_, begun := kit.Begin(t, a, []byte("begun behind"))
		withContext := kit.Async(func() error { _, err := a.WriteContext(kit.CtxNever, []byte("behind, with a context")); return err })
		begins := time.Now()
		kit.WantFailure(t, "the cut Write", <-cut, 64<<10, true, kit.ErrPast)
		if n != 64<<10 || time.Since(begins) != time.Second {
			t.Fatalf("cut after %v at %d", time.Since(begins), n)
		}
		kit.WantFailure(t, "begun behind", <-begun, 0, true, kit.ErrPast)
		if err := kit.IOFailure(t, <-withContext); err.N != 0 || !errors.Is(err, kit.ErrPast) {
			t.Fatalf("WriteContext behind: %v", err)
		}
		kit.WantTornNow(t, a, kit.ErrPast, true)
		got := kit.GoRead(b)
		if _, err := a.Write(p[n:]); err != nil {
			t.Fatal(err)
		}
		a.Close()
		kit.SameBytes(t, (<-got).Data, p)
	})
}

// A blocking Write that waited behind the one that was cut does not know where the stream stands: it is not "the
// next", it was queued.
func TestPromise11_ABlockingWriteThatWaitedBehindTheCutOneIsTornToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(nil)
		defer func() { a.Close(); b.Close() }()
		if err := a.SetWriteTimeout(time.Second); err != nil {
			t.Fatal(err)
		}
		p := kit.Patterned(1, 100_000)
		cut := kit.Async(func() error { _, err := a.Write(p); return err })
		synctest.Wait()
		if err := a.SetWriteTimeout(time.Hour); err != nil { // of the next one
			t.Fatal(err)
		}
		other := kit.Async(func() error { _, err := a.Write([]byte("of another goroutine")); return err })
		kit.WantFailure(t, "the cut Write", <-cut, 64<<10, true, kit.ErrPast)
		synctest.Wait()
		got := kit.GoRead(b)
		kit.WantFailure(t, "the Write that waited", <-other, 0, true, kit.ErrPast)
		if _, err := a.Write(p[64<<10:]); err != nil {
			t.Fatal(err)
		}
		a.Close()
		kit.SameBytes(t, (<-got).Data, p)
	})
}

// A write that is cut before its first byte tears nothing.
func TestPromise11_ACutBeforeTheFirstByteTearsNothing(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			a, b := c.Pair(t, nil, nil)
			kit.CutNow(t, a)
			err := st.Write(a, []byte("too late"))
			kit.WantFailure(t, "a write after the deadline", err, 0, false, kit.ErrPast, netstream.CodeTimedOut)
			if err := a.SetWriteDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			if err := st.Write(a, []byte("in time")); err != nil {
				t.Fatal(err)
			}
			kit.ReadExactly(t, b, []byte("in time"))
		})
	})
}
