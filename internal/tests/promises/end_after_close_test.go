package promises_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestPromise15_EndTellsTheOwnOutcomeAfterClose(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		done := []byte("done long before")
		succeeded, err := a.BeginWrite(done, 0, len(done), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, "the first write is out", succeeded.IsCompleted)
		first, _, cut := kit.Plug(t, a)
		_, behind := kit.Begin(t, a, []byte("never started"))
		readDone, readOne := kit.BeginRead(t, a, 10)
		_, readTwo := kit.BeginRead(t, a, 10)
		kit.Eventually(t, "the reads wait", kit.BegunReads(a, 2))
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		kit.Within(t, "Done", a.Done())

		if err := a.EndWrite(succeeded); err != nil {
			t.Fatalf("a write that had succeeded: %v", err)
		}
		err = kit.Within(t, "the write on its way", cut)
		n := kit.IOFailure(t, err).N
		if n <= 0 || n >= kit.PlugSize || uint64(n) != a.Stats().BytesWritten-uint64(len(done)) {
			t.Fatalf("N=%d, %d bytes written in all", n, a.Stats().BytesWritten)
		}
		kit.WantFailure(t, "the write on its way", err, n, true)
		kit.WantAborted(t, "the write on its way", err, "NetworkStream")
		err = kit.Within(t, "the queued write", behind)
		kit.WantFailure(t, "the queued write", err, 0, false)
		kit.WantAborted(t, "the queued write", err, "NetworkStream")
		for _, ch := range []<-chan kit.ReadOutcome{readOne, readTwo} {
			err = kit.Within(t, "a pending read", ch).Err
			kit.WantFailure(t, "a pending read", err, 0, false)
			kit.WantAborted(t, "a pending read", err, "NetworkStream")
		}
		if !readDone.IsCompleted() || !readDone.AsyncWaitHandle().WaitOne() {
			t.Fatal("an aborted operation is not completed")
		}
		if a.Err() == nil || !errors.Is(a.Err(), net.ErrClosed) {
			t.Fatalf("Err() = %v", a.Err())
		}
		kit.WantIdle(t, a)
		if err := a.Close(); err != nil {
			t.Fatalf("the second Close: %v", err)
		}
		if c.TCP() {
			return // a reset may take with it what the peer has not read
		}
		o := kit.Within(t, "the peer reads to the end", kit.GoRead(b)) // N is exact
		kit.WantEndAfterCut(t, c, kit.OrEOF(o.Err))
		kit.SameBytes(t, o.Data, append(done, first[:n]...))
	})
}

// cause is an error of the program's own, with something to find.
type cause struct{ why string }

func (c *cause) Error() string { return c.why }

func TestPromise15_TheCauseOfCloseWithErrorIsReachable(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		if a.Err() != nil {
			t.Fatalf("Err() of an open stream: %v", a.Err())
		}
		_, _, cut := kit.Plug(t, a)
		_, reading := kit.BeginRead(t, a, 10)
		blocked := kit.Async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		why := &cause{"the heart has stopped beating"}
		if err := a.CloseWithError(why); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"the write": kit.Within(t, "the write", cut), "the read": kit.Within(t, "the read", reading).Err,
			"the blocked read": kit.Within(t, "the blocked read", blocked), "Err()": a.Err(),
		} {
			var found *cause
			if !errors.Is(err, why) || !errors.As(err, &found) || found != why {
				t.Errorf("%s: %v does not hold the cause", what, err)
			}
			if what != "Err()" {
				kit.WantAborted(t, what, err, "NetworkStream")
			}
		}
		if a.CloseWithError(errors.New("too late")); !errors.Is(a.Err(), why) {
			t.Fatalf("a second Close changed the cause to %v", a.Err())
		}
		_, err := a.BeginWrite([]byte("x"), 0, 1, nil, nil)
		if _, bare := err.(*netstream.ObjectDisposedError); !bare || !errors.Is(err, why) {
			t.Fatalf("Begin after Close: %v (%T), want a bare ObjectDisposedError with the cause", err, err)
		}
		_, err = a.Write([]byte("x"))
		kit.WantAborted(t, "Write after Close", err, "NetworkStream")
		kit.IOFailure(t, err)
	})
}

func TestPromise15_DoneMeansEveryCallbackHasReturned(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		entered, release := make(chan struct{}), make(chan struct{})
		var returned atomic.Int32
		p := kit.Patterned(1, kit.PlugSize)
		ar, err := a.BeginWrite(p, 0, len(p), func(netstream.AsyncResult) {
			close(entered)
			<-release
			returned.Add(1)
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		for range 10 {
			if _, err := a.BeginWrite(p, 0, 5, func(netstream.AsyncResult) { returned.Add(1) }, nil); err != nil {
				t.Fatal(err)
			}
		}
		q := make([]byte, 5)
		if _, err := a.BeginRead(q, 0, 5, func(netstream.AsyncResult) { returned.Add(1) }, nil); err != nil {
			t.Fatal(err)
		}
		done := a.Done()
		select {
		case <-done:
			t.Fatal("Done of an open stream is closed")
		default:
		}
		a.Close() // waits for no callback
		kit.Within(t, "the first callback", entered)
		select {
		case <-done:
			t.Fatal("Done is closed while a callback runs")
		default:
		}
		close(release)
		kit.Within(t, "Done", done)
		if n := returned.Load(); n != 12 {
			t.Fatalf("Done is closed and %d of 12 callbacks have returned", n)
		}
		kit.WantAborted(t, "End after Done", a.EndWrite(ar), "NetworkStream")
		kit.Within(t, "Done, asked for when all is over", a.Done())
	})
}

// End tells what a peer's orderly end, a reset and a deadline did to each operation, whenever it is asked.
func TestPromise15_EndLongAfter(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		p := []byte("all of it")
		written, err := a.BeginWrite(p, 0, len(p), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		buffers := [][]byte{make([]byte, 4), make([]byte, 100), make([]byte, 100)}
		var reads []netstream.AsyncResult
		for _, q := range buffers {
			ar, err := b.BeginRead(q, 0, len(q), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			reads = append(reads, ar)
		}
		kit.Eventually(t, "the data has come", func() bool { return reads[1].IsCompleted() })
		a.Close()
		kit.Eventually(t, "the end has come", reads[2].IsCompleted)
		b.Close()
		if err := a.EndWrite(written); err != nil {
			t.Fatal(err)
		}
		var got []byte
		for i, ar := range reads[:2] {
			n, err := b.EndRead(ar)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, buffers[i][:n]...)
		}
		if !bytes.Equal(got, p) {
			t.Fatalf("got %q", got)
		}
		if n, err := b.EndRead(reads[2]); n != 0 || err != io.EOF {
			t.Fatalf("at the end: %d, %v", n, err)
		}
	})
}
