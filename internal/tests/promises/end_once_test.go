package promises_test

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// pendingOf begins an operation of that direction on a fresh pair, and returns what completes it.
func pendingOf(t *testing.T, c kit.ConnKind, read bool) (a, b *netstream.NetworkStream, ar netstream.AsyncResult, complete func()) {
	t.Helper()
	a, b = c.Pair(t, nil, nil)
	kit.SmallBuffers(t, a, b)
	if read {
		ar = kit.MustBeginRead(t, a, make([]byte, 1), nil)
		return a, b, ar, func() { b.Write([]byte("x")) }
	}
	ar = kit.MustBegin(t, a, make([]byte, kit.PlugSize), nil)
	kit.Settled(t, a)
	return a, b, ar, func() { kit.GoRead(b) }
}

// eachDirection runs f for an operation of each direction that waits for the peer.
func eachDirection(t *testing.T, f func(t *testing.T, c kit.ConnKind, read bool)) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		t.Run("write", func(t *testing.T) { f(t, c, false) })
		t.Run("read", func(t *testing.T) { f(t, c, true) })
	})
}

func TestPromise06_OfManyEndsAtOnceExactlyOneWins(t *testing.T) {
	eachDirection(t, func(t *testing.T, c kit.ConnKind, read bool) {
		a, _, ar, complete := pendingOf(t, c, read)
		end := kit.EndOf(a, read)
		const ends = 8
		outcomes := make(chan error, ends)
		for range ends {
			go func() { outcomes <- end(ar) }()
		}
		for range ends - 1 { // all but one return although the operation is still pending
			kit.WantEndedAlready(t, "an End that lost", kit.Within(t, "an End that lost", outcomes))
		}
		if ar.IsCompleted() || len(outcomes) != 0 {
			t.Fatal("the operation has completed by itself")
		}
		complete()
		if err := kit.Within(t, "the End that won", outcomes); err != nil {
			t.Fatal(err)
		}
		kit.WantEndedAlready(t, "an End much later", end(ar))
	})
}

// Two Ends meet at a completed operation, whose recycling the winner begins while the loser still looks at it.
func TestPromise06_TwoEndsOfACompletedOperation(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count = 2000
		a, b := c.Pair(t, nil, nil)
		kit.GoRead(b)
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		results := [2]chan netstream.AsyncResult{make(chan netstream.AsyncResult, 1), make(chan netstream.AsyncResult, 1)}
		for _, ch := range results {
			wg.Go(func() {
				for ar := range ch {
					if err := a.EndWrite(ar); err == nil {
						won.Add(1)
					} else if kit.EndedAlready(err) {
						lost.Add(1)
					} else {
						t.Errorf("End: %v", err)
					}
				}
			})
		}
		for range count {
			ar := kit.MustBegin(t, a, []byte("x"), nil)
			results[0] <- ar
			results[1] <- ar
		}
		close(results[0])
		close(results[1])
		wg.Wait()
		if won.Load() != count || lost.Load() != count {
			t.Errorf("%d Ends won and %d lost of %d pairs", won.Load(), lost.Load(), count)
		}
	})
}

func TestPromise06_AForeignResultIsAnErrorAndItsOwnerCanStillEnd(t *testing.T) {
	eachDirection(t, func(t *testing.T, c kit.ConnKind, read bool) {
		a, b, ar, complete := pendingOf(t, c, read)
		closed, _ := c.Pair(t, nil, nil)
		closed.Close()
		kit.WantForeign(t, "End of the other kind", kit.EndOf(a, !read)(ar))
		kit.WantForeign(t, "End of the peer", kit.EndOf(b, read)(ar))
		kit.WantForeign(t, "End of a closed stream", kit.EndOf(closed, read)(ar))
		if b.Cancel(ar) || closed.Cancel(ar) {
			t.Error("another stream cancelled it")
		}
		if ar.IsCompleted() {
			t.Fatal("a foreign End completed it")
		}
		complete()
		owner := kit.Async(func() error { return kit.EndOf(a, read)(ar) })
		if err := kit.Within(t, "the owner's End", owner); err != nil {
			t.Fatal(err)
		}
		kit.WantEndedAlready(t, "the owner's second End", kit.EndOf(a, read)(ar))
		// A foreign End of what has been ended is an error as well, whichever.
		for what, err := range map[string]error{"the other kind": kit.EndOf(a, !read)(ar), "the peer": kit.EndOf(b, read)(ar)} {
			if err == nil {
				t.Errorf("End of %s took a result that was ended", what)
			}
		}
	})
}

func TestPromise06_TheZeroResult(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, _ := c.Pair(t, nil, nil)
		var zero netstream.AsyncResult
		for _, read := range []bool{false, true} {
			var null *netstream.ArgumentNullError
			if err := kit.EndOf(a, read)(zero); !errors.As(err, &null) || null.ParamName != "asyncResult" {
				t.Errorf("End of the zero result: %v", err)
			}
		}
		if zero.IsCompleted() || zero.CompletedSynchronously() || zero.AsyncState() != nil || a.Cancel(zero) {
			t.Error("the zero result claims to be something")
		}
		a.Close()
		for _, read := range []bool{false, true} {
			var disposed *netstream.ObjectDisposedError
			if err := kit.EndOf(a, read)(zero); !errors.As(err, &disposed) {
				t.Errorf("End of the zero result after Close: %v", err)
			}
		}
	})
}

// A wait handle that was asked for stays the handle of its operation, whatever lives come after it.
func TestPromise06_AWaitHandleOutlivesItsOperation(t *testing.T) {
	eachDirection(t, func(t *testing.T, c kit.ConnKind, read bool) {
		a, b, ar, complete := pendingOf(t, c, read)
		handle := ar.AsyncWaitHandle()
		if handle.WaitOneTimeout(0) {
			t.Fatal("set before completion")
		}
		if ar.AsyncWaitHandle() != handle {
			t.Error("another handle at the second call")
		}
		complete()
		kit.Within(t, "completion", handle.Done())
		if err := kit.EndOf(a, read)(ar); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			kit.MustBeginRead(t, b, make([]byte, 1), nil)
		}
		if !handle.WaitOneTimeout(0) || !ar.AsyncWaitHandle().WaitOneTimeout(0) || !ar.IsCompleted() {
			t.Error("not set any more after End")
		}
	})
}

// Nothing keeps what was never ended: the states, which stand for everything an operation refers to, are collected
// while the stream lives on.
func TestPromise06_AnOperationNeverEndedCostsGarbageOnly(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count = 3000
		a, b := c.Pair(t, nil, nil)
		kit.GoRead(b)
		var collected atomic.Int64
		type state struct{ _ [64]byte }
		for i := range count {
			mine := new(state)
			runtime.AddCleanup(mine, func(int) { collected.Add(1) }, 0)
			var callback netstream.AsyncCallback
			if i%2 == 0 {
				callback = func(netstream.AsyncResult) {}
			}
			if _, err := a.BeginWrite(make([]byte, 100), 0, 100, callback, mine); err != nil {
				t.Fatal(err)
			}
		}
		if err := a.Drain(kit.CtxNever); err != nil {
			t.Fatal(err)
		}
		kit.WantIdle(t, a)
		// All but a few that a stack or a register still shows to the collector.
		for end := time.Now().Add(kit.Patience); collected.Load() < count-10; runtime.GC() {
			if time.Now().After(end) {
				t.Fatalf("%d of %d states were collected", collected.Load(), count)
			}
		}
		if err := a.EndWrite(kit.MustBegin(t, a, []byte("x"), nil)); err != nil { // and the stream is well
			t.Fatal(err)
		}
	})
}
