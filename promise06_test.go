package netstream_test

import (
	"errors"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// pendingOf begins an operation of that direction on a fresh pair, and returns what completes it.
func pendingOf(t *testing.T, c connKind, read bool) (a, b *netstream.NetworkStream, ar netstream.AsyncResult, complete func()) {
	t.Helper()
	a, b = c.pair(t, nil, nil)
	small(t, a, b)
	if read {
		ar = mustBeginRead(t, a, make([]byte, 1), nil)
		return a, b, ar, func() { b.Write([]byte("x")) }
	}
	ar = mustBegin(t, a, make([]byte, plugSize), nil)
	settled(t, a)
	return a, b, ar, func() { goRead(b) }
}

// eachDirection runs f for an operation of each direction that waits for the peer.
func eachDirection(t *testing.T, f func(t *testing.T, c connKind, read bool)) {
	eachKind(t, func(t *testing.T, c connKind) {
		t.Run("write", func(t *testing.T) { f(t, c, false) })
		t.Run("read", func(t *testing.T) { f(t, c, true) })
	})
}

func TestPromise06_OfManyEndsAtOnceExactlyOneWins(t *testing.T) {
	eachDirection(t, func(t *testing.T, c connKind, read bool) {
		a, _, ar, complete := pendingOf(t, c, read)
		end := ended(a, read)
		const ends = 8
		outcomes := make(chan error, ends)
		for range ends {
			go func() { outcomes <- end(ar) }()
		}
		for range ends - 1 { // all but one return although the operation is still pending
			wantEndedAlready(t, "an End that lost", within(t, "an End that lost", outcomes))
		}
		if ar.IsCompleted() || len(outcomes) != 0 {
			t.Fatal("the operation has completed by itself")
		}
		complete()
		if err := within(t, "the End that won", outcomes); err != nil {
			t.Fatal(err)
		}
		wantEndedAlready(t, "an End much later", end(ar))
	})
}

// Two Ends meet at a completed operation, whose recycling the winner begins while the loser still looks at it.
func TestPromise06_TwoEndsOfACompletedOperation(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		const count = 2000
		a, b := c.pair(t, nil, nil)
		goRead(b)
		var won, lost atomic.Int64
		var wg sync.WaitGroup
		results := [2]chan netstream.AsyncResult{make(chan netstream.AsyncResult, 1), make(chan netstream.AsyncResult, 1)}
		for _, ch := range results {
			wg.Go(func() {
				for ar := range ch {
					if err := a.EndWrite(ar); err == nil {
						won.Add(1)
					} else if endedAlready(err) {
						lost.Add(1)
					} else {
						t.Errorf("End: %v", err)
					}
				}
			})
		}
		for range count {
			ar := mustBegin(t, a, []byte("x"), nil)
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
	eachDirection(t, func(t *testing.T, c connKind, read bool) {
		a, b, ar, complete := pendingOf(t, c, read)
		closed, _ := c.pair(t, nil, nil)
		closed.Close()
		wantForeign(t, "End of the other kind", ended(a, !read)(ar))
		wantForeign(t, "End of the peer", ended(b, read)(ar))
		wantForeign(t, "End of a closed stream", ended(closed, read)(ar))
		if b.Cancel(ar) || closed.Cancel(ar) {
			t.Error("another stream cancelled it")
		}
		if ar.IsCompleted() {
			t.Fatal("a foreign End completed it")
		}
		complete()
		owner := async(func() error { return ended(a, read)(ar) })
		if err := within(t, "the owner's End", owner); err != nil {
			t.Fatal(err)
		}
		wantEndedAlready(t, "the owner's second End", ended(a, read)(ar))
		// A foreign End of what has been ended is an error as well, whichever.
		for what, err := range map[string]error{"the other kind": ended(a, !read)(ar), "the peer": ended(b, read)(ar)} {
			if err == nil {
				t.Errorf("End of %s took a result that was ended", what)
			}
		}
	})
}

func TestPromise06_TheZeroResult(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		a, _ := c.pair(t, nil, nil)
		var zero netstream.AsyncResult
		for _, read := range []bool{false, true} {
			var null *netstream.ArgumentNullError
			if err := ended(a, read)(zero); !errors.As(err, &null) || null.ParamName != "asyncResult" {
				t.Errorf("End of the zero result: %v", err)
			}
		}
		if zero.IsCompleted() || zero.CompletedSynchronously() || zero.AsyncState() != nil || a.Cancel(zero) {
			t.Error("the zero result claims to be something")
		}
		a.Close()
		for _, read := range []bool{false, true} {
			var disposed *netstream.ObjectDisposedError
			if err := ended(a, read)(zero); !errors.As(err, &disposed) {
				t.Errorf("End of the zero result after Close: %v", err)
			}
		}
	})
}

// A result is kept while its operation lives a million other lives.
func TestPromise06_AStaleResultAfterAMillionReuses(t *testing.T) {
	reuses := 1_000_000
	if raceEnabled || testing.Short() {
		reuses = 20_000 // the race detector is slow, and has the pool drop a part of what it is given
	}
	a, b := connCase{"pipe", netstream.EnginePortable, "pipe"}.pair(t, nil, nil)
	// A zero-byte write into a pipe completes at once and leaves nothing. One processor and no collection mean that
	// one operation serves them all: the pool can lose it to nobody.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	write := func() netstream.AsyncResult {
		ar := mustBegin(t, a, []byte{}, nil)
		if err := a.EndWrite(ar); err != nil {
			t.Fatal(err)
		}
		return ar
	}
	stale, lives := write(), 0
	for range reuses {
		if netstream.SameOperation(stale, write()) {
			lives++
		}
	}
	if lives < reuses && !raceEnabled {
		t.Errorf("%d of %d operations were in the same place", lives, reuses)
	}
	wantStale(t, a, stale)
	// And so it is while somebody else's operation is pending in the same place, if the pool has it that way.
	pending := mustBeginRead(t, b, make([]byte, 1), nil)
	for i := 0; i < 100 && !netstream.SameOperation(stale, pending); i++ {
		pending = mustBeginRead(t, b, make([]byte, 1), nil)
	}
	t.Logf("a later life is pending: %t", netstream.SameOperation(stale, pending))
	wantStale(t, a, stale)
	if pending.IsCompleted() {
		t.Error("a stale result completed somebody else's operation")
	}
}

// wantStale checks everything that a result says whose operation was ended long ago.
func wantStale(t *testing.T, s *netstream.NetworkStream, stale netstream.AsyncResult) {
	t.Helper()
	wantEndedAlready(t, "EndWrite of a stale result", s.EndWrite(stale))
	if _, err := s.EndRead(stale); err == nil {
		t.Error("EndRead took a stale result of a write")
	}
	if !stale.IsCompleted() {
		t.Error("a stale result is not completed")
	}
	if !stale.AsyncWaitHandle().WaitOneTimeout(0) {
		t.Error("the wait handle of a stale result is not set")
	}
	if s.Cancel(stale) {
		t.Error("a stale result was cancelled")
	}
}

// A wait handle that was asked for stays the handle of its operation, whatever lives come after it.
func TestPromise06_AWaitHandleOutlivesItsOperation(t *testing.T) {
	eachDirection(t, func(t *testing.T, c connKind, read bool) {
		a, b, ar, complete := pendingOf(t, c, read)
		handle := ar.AsyncWaitHandle()
		if handle.WaitOneTimeout(0) {
			t.Fatal("set before completion")
		}
		if ar.AsyncWaitHandle() != handle {
			t.Error("another handle at the second call")
		}
		complete()
		within(t, "completion", handle.Done())
		if err := ended(a, read)(ar); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			mustBeginRead(t, b, make([]byte, 1), nil)
		}
		if !handle.WaitOneTimeout(0) || !ar.AsyncWaitHandle().WaitOneTimeout(0) || !ar.IsCompleted() {
			t.Error("not set any more after End")
		}
	})
}

// Nothing keeps what was never ended: the states, which stand for everything an operation refers to, are collected
// while the stream lives on.
func TestPromise06_AnOperationNeverEndedCostsGarbageOnly(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		const count = 3000
		a, b := c.pair(t, nil, nil)
		goRead(b)
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
		if err := a.Drain(ctxNever); err != nil {
			t.Fatal(err)
		}
		wantIdle(t, a)
		// All but a few that a stack or a register still shows to the collector.
		for end := time.Now().Add(patience); collected.Load() < count-10; runtime.GC() {
			if time.Now().After(end) {
				t.Fatalf("%d of %d states were collected", collected.Load(), count)
			}
		}
		if err := a.EndWrite(mustBegin(t, a, []byte("x"), nil)); err != nil { // and the stream is well
			t.Fatal(err)
		}
	})
}
