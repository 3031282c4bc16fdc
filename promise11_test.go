package netstream_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// wantTornNow checks that every kind of write on a torn stream fails with Torn and sends nothing.
func wantTornNow(t *testing.T, a *netstream.NetworkStream, cause error, soft bool) {
	t.Helper()
	before := a.Stats().BytesWritten
	p := []byte("after")
	_, err := a.BeginWrite(p, 0, len(p), func(netstream.AsyncResult) { t.Error("the callback of a refused Begin ran") }, nil)
	wantFailure(t, "BeginWrite on a torn stream", err, 0, true, cause)
	_, err = a.BeginWritev([][]byte{p}, nil, nil)
	wantFailure(t, "BeginWritev on a torn stream", err, 0, true, cause)
	n, err := a.WriteContext(ctxNever, p)
	wantFailure(t, "WriteContext on a torn stream", err, 0, true, cause)
	if n != 0 {
		t.Fatalf("WriteContext on a torn stream: n=%d", n)
	}
	if !soft {
		n, err = a.Write(p)
		wantFailure(t, "Write on a torn stream", err, 0, true, cause)
		if n != 0 {
			t.Fatalf("Write on a torn stream: n=%d", n)
		}
	}
	if after := a.Stats().BytesWritten; after != before {
		t.Fatalf("%d bytes followed a torn message", after-before)
	}
}

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
	return async(func() error { _, err := s.WriteContext(ctx, p); return err })
}

var tearings = []tearing{
	{"BeginWrite-deadline",
		func(t *testing.T, s *netstream.NetworkStream, p []byte, _ context.Context) <-chan error {
			_, ch := begin(t, s, p)
			return ch
		},
		func(t *testing.T, s *netstream.NetworkStream, _ func()) { cutNow(t, s) }, errPast},
	{"BeginWritev-deadline", beginVectored,
		func(t *testing.T, s *netstream.NetworkStream, _ func()) { cutNow(t, s) }, errPast},
	{"WriteContext-deadline", writeContext,
		func(t *testing.T, s *netstream.NetworkStream, _ func()) { cutNow(t, s) }, errPast},
	{"WriteContext-cancel", writeContext,
		func(_ *testing.T, _ *netstream.NetworkStream, cancel func()) { cancel() }, context.Canceled},
}

func TestPromise11_ATornWritePoisons(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		for _, way := range tearings {
			t.Run(way.name, func(t *testing.T) { tornWritePoisons(t, c, way) })
		}
	})
}

func tornWritePoisons(t *testing.T, c connCase, way tearing) {
	a, b := c.pair(t, nil, nil)
	small(t, a, b)
	ctx, cancel := context.WithCancel(ctxNever)
	defer cancel()
	p := patterned(1, plugSize)
	cutOne := way.write(t, a, p, ctx)
	hasInput(t, b)
	settled(t, a)
	_, behind := begin(t, a, []byte("behind"))
	_, further := begin(t, a, []byte("further behind"))
	way.cut(t, a, cancel)

	err := within(t, "the cut write", cutOne)
	failure := ioFailure(t, err)
	n := failure.N
	if n <= 0 || n >= plugSize || uint64(n) != a.Stats().BytesWritten {
		t.Fatalf("N=%d, BytesWritten=%d, size=%d", n, a.Stats().BytesWritten, plugSize)
	}
	wantFailure(t, "the cut write", err, n, true, way.cause)
	// A deadline ends what is queued for its own reason, a context only the one write: what is behind it is torn.
	queuedTorn := way.cause != errPast
	wantFailure(t, "queued behind", within(t, "queued behind", behind), 0, queuedTorn, way.cause)
	wantFailure(t, "queued further behind", within(t, "queued further behind", further), 0, queuedTorn, way.cause)
	if err := a.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	wantTornNow(t, a, way.cause, false)
	wantIdle(t, a)

	readExactly(t, b, p[:n])
	if a.Err() != nil {
		t.Fatalf("Err() of an open stream: %v", a.Err())
	}
	a.Close()
	if !errors.Is(a.Err(), way.cause) {
		t.Fatalf("Err() after Close: %v, want %v", a.Err(), way.cause)
	}
	o := within(t, "the peer sees the cut", goRead(b))
	if len(o.data) != 0 {
		t.Fatalf("%d bytes came behind the torn message", len(o.data))
	}
	wantEndAfterCut(t, c, orEOF(o.err))
}

// orEOF turns io.ReadAll's nil back into the io.EOF it stands for.
func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// The peer breaks the connection while half a message is out: what is queued and what is begun fails with Torn.
func TestPromise11_AnErrorInTheMiddlePoisons(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		var a *netstream.NetworkStream
		var breakIt func()
		if c.network == "pipe" {
			s, b := c.pair(t, nil, nil)
			a, breakIt = s, func() { b.Close() }
		} else {
			s, peer := c.withPeer(t, nil)
			a, breakIt = s, func() {
				if c.tcp() {
					resetPeer(t, peer)
					return
				}
				peer.Close()
			}
		}
		if err := a.Socket().SetWriteBuffer(32 << 10); err != nil {
			t.Fatal(err)
		}
		_, _, cut := plugOf(t, a, 16<<20) // a plain peer has net's buffers
		_, behind := begin(t, a, []byte("behind"))
		breakIt()
		err := within(t, "the broken write", cut)
		failure := ioFailure(t, err)
		if failure.N <= 0 || failure.N >= 16<<20 || !failure.Torn {
			t.Fatalf("the broken write: N=%d Torn=%t: %v", failure.N, failure.Torn, err)
		}
		wantIs(t, "the broken write", err)
		if c.tcp() {
			wantIs(t, "the broken write", err, netstream.CodeConnectionReset)
		}
		wantFailure(t, "behind", within(t, "behind", behind), 0, true, failure.Err)
		wantTornNow(t, a, failure.Err, false)
		wantIdle(t, a)
	})
}

func plugOf(t testing.TB, a *netstream.NetworkStream, size int) (p []byte, ar netstream.AsyncResult, outcome <-chan error) {
	t.Helper()
	p = patterned(1, size)
	ar, outcome = begin(t, a, p)
	settled(t, a)
	return p, ar, outcome
}

// cutBlockingWrite has a blocking Write cut in the middle and returns what was to be written and how much was.
func cutBlockingWrite(t *testing.T, a, b *netstream.NetworkStream) (p []byte, n int) {
	t.Helper()
	small(t, a, b)
	p = patterned(1, plugSize)
	cut := async(func() error {
		var err error
		n, err = a.Write(p)
		return err
	})
	hasInput(t, b)
	cutNow(t, a)
	err := within(t, "the cut Write", cut)
	if n <= 0 || n >= plugSize {
		t.Fatalf("the cut Write returned n=%d", n)
	}
	wantFailure(t, "the cut Write", err, int64(n), true, errPast, netstream.CodeTimedOut)
	if err := a.SetWriteDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	return p, n
}

func TestPromise11_TheNextBlockingWriteGoesThrough(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		p, n := cutBlockingWrite(t, a, b)
		wantTornNow(t, a, errPast, true)
		got := goRead(b)
		half := n + (plugSize-n)/2
		if m, err := a.Write(p[n:half]); err != nil || m != half-n {
			t.Fatalf("the next blocking Write: %d, %v", m, err)
		}
		if m, err := a.WriteBuffers(thirds(p[half:])); err != nil || m != int64(plugSize-half) {
			t.Fatalf("WriteBuffers behind it: %d, %v", m, err)
		}
		// That state is over: everything works again, and the end is a clean one.
		for _, st := range styles {
			if err := st.write(a, []byte(st.name)); err != nil {
				t.Fatalf("%s after the state has ended: %v", st.name, err)
			}
			p = append(p, st.name...)
		}
		a.Close()
		o := within(t, "the peer reads to the end", got)
		if o.err != nil {
			t.Fatal(o.err)
		}
		sameBytes(t, o.data, p)
	})
}

func TestPromise11_CloseAfterACutBlockingWriteResets(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		p, n := cutBlockingWrite(t, a, b)
		readExactly(t, b, p[:n])
		a.Close()
		o := within(t, "the peer sees the cut", goRead(b))
		if len(o.data) != 0 {
			t.Fatalf("%d bytes came behind the cut", len(o.data))
		}
		wantEndAfterCut(t, c, orEOF(o.err))
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
		p := patterned(1, 100_000) // the pipe holds 65,536
		var n int
		cut := async(func() error { var err error; n, err = a.Write(p); return err })
		synctest.Wait()
		_, begun := begin(t, a, []byte("begun behind"))
		withContext := async(func() error { _, err := a.WriteContext(ctxNever, []byte("behind, with a context")); return err })
		begins := time.Now()
		wantFailure(t, "the cut Write", <-cut, 64<<10, true, errPast)
		if n != 64<<10 || time.Since(begins) != time.Second {
			t.Fatalf("cut after %v at %d", time.Since(begins), n)
		}
		wantFailure(t, "begun behind", <-begun, 0, true, errPast)
		if err := ioFailure(t, <-withContext); err.N != 0 || !errors.Is(err, errPast) {
			t.Fatalf("WriteContext behind: %v", err)
		}
		wantTornNow(t, a, errPast, true)
		got := goRead(b)
		if _, err := a.Write(p[n:]); err != nil {
			t.Fatal(err)
		}
		a.Close()
		sameBytes(t, (<-got).data, p)
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
		p := patterned(1, 100_000)
		cut := async(func() error { _, err := a.Write(p); return err })
		synctest.Wait()
		if err := a.SetWriteTimeout(time.Hour); err != nil { // of the next one
			t.Fatal(err)
		}
		other := async(func() error { _, err := a.Write([]byte("of another goroutine")); return err })
		wantFailure(t, "the cut Write", <-cut, 64<<10, true, errPast)
		synctest.Wait()
		got := goRead(b)
		wantFailure(t, "the Write that waited", <-other, 0, true, errPast)
		if _, err := a.Write(p[64<<10:]); err != nil {
			t.Fatal(err)
		}
		a.Close()
		sameBytes(t, (<-got).data, p)
	})
}

// A write that is cut before its first byte tears nothing.
func TestPromise11_ACutBeforeTheFirstByteTearsNothing(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		eachStyle(t, func(t *testing.T, st style) {
			a, b := c.pair(t, nil, nil)
			cutNow(t, a)
			err := st.write(a, []byte("too late"))
			wantFailure(t, "a write after the deadline", err, 0, false, errPast, netstream.CodeTimedOut)
			if err := a.SetWriteDeadline(time.Time{}); err != nil {
				t.Fatal(err)
			}
			if err := st.write(a, []byte("in time")); err != nil {
				t.Fatal(err)
			}
			readExactly(t, b, []byte("in time"))
		})
	})
}
