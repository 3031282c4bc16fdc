package lifecycle_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// The pattern of .NET's documentation, with results recycled under it: the operation that the caller of Begin, or the
// callback, has just ended serves another stream's write or read at once. Whoever handled a completion by a stale
// copy would handle somebody else's.
func TestResultsRecycledUnderThePatternAreHandledOnce(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const pairs, each = 4, 1500
		var wg sync.WaitGroup
		for range pairs {
			a, b := c.Pair(t, nil, nil)
			writes, reads := kit.NewOnceEach(each), kit.NewOnceEach(each)
			wg.Go(func() { writePattern(t, a, writes) })
			wg.Go(func() { readPattern(t, b, reads, each) })
			defer writes.Check(t)
			defer reads.Check(t)
		}
		kit.Within(t, "all patterns", kit.Async(func() error { wg.Wait(); return nil }))
	})
}

// writePattern writes one byte for each of the operations that once counts.
func writePattern(t *testing.T, s *netstream.NetworkStream, once *kit.OnceEach) {
	handle := func(ar netstream.AsyncResult) {
		if err := s.EndWrite(ar); err != nil {
			t.Errorf("EndWrite: %v", err)
		}
		once.Handle(ar.AsyncState().(int))
	}
	for i := range once.Handled {
		ar, err := s.BeginWrite([]byte{byte(i)}, 0, 1, func(ar netstream.AsyncResult) {
			if ar.CompletedSynchronously() {
				return
			}
			if !ar.IsCompleted() || ar.AsyncState() != i {
				t.Errorf("the callback of %d was given %v, completed %t", i, ar.AsyncState(), ar.IsCompleted())
			}
			handle(ar)
		}, i)
		if err != nil {
			t.Errorf("BeginWrite: %v", err)
			once.Handle(i)
			continue
		}
		if ar.CompletedSynchronously() {
			if !ar.IsCompleted() || ar.AsyncState() != i {
				t.Errorf("Begin of %d returned %v, completed %t", i, ar.AsyncState(), ar.IsCompleted())
			}
			handle(ar)
		}
	}
}

// readPattern reads count bytes, one read at a time, each begun by whoever handled the one before.
func readPattern(t *testing.T, s *netstream.NetworkStream, once *kit.OnceEach, count int) {
	p, place := make([]byte, 1), 0
	done := make(chan struct{})
	// handle ends a read and returns whether another one is wanted.
	handle := func(ar netstream.AsyncResult) bool {
		if n, err := s.EndRead(ar); n != 1 || err != nil || p[0] != byte(place) {
			t.Errorf("read %d: %d, %v, %d", place, n, err, p[0])
		}
		once.Handle(ar.AsyncState().(int))
		place++
		if place == count {
			close(done)
		}
		return place < count
	}
	var loop func()
	callback := func(ar netstream.AsyncResult) {
		if !ar.CompletedSynchronously() && handle(ar) {
			loop()
		}
	}
	loop = func() {
		for {
			ar, err := s.BeginRead(p, 0, 1, callback, place)
			if err != nil {
				t.Errorf("BeginRead: %v", err)
				return
			}
			if !ar.CompletedSynchronously() || !handle(ar) {
				return
			}
		}
	}
	loop()
	<-done
}

// Every copy of a result says the same, from Begin to long after End.
func TestResultsSayTheSameInEveryCopy(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		kit.GoRead(b)
		type state struct{ name string }
		mine := &state{"mine"}
		seen := make(chan netstream.AsyncResult, 1)
		ar, err := a.BeginWrite([]byte("x"), 0, 1, func(ar netstream.AsyncResult) { seen <- ar }, mine)
		if err != nil {
			t.Fatal(err)
		}
		theirs := kit.Within(t, "the callback", seen)
		check := func(when string) {
			t.Helper()
			if ar.AsyncState() != mine || theirs.AsyncState() != mine {
				t.Errorf("%s: another state", when)
			}
			if ar.CompletedSynchronously() != theirs.CompletedSynchronously() {
				t.Errorf("%s: CompletedSynchronously differs", when)
			}
			if !ar.IsCompleted() || !theirs.IsCompleted() || ar.IsZero() {
				t.Errorf("%s: not completed, or zero", when)
			}
		}
		check("in the callback")
		if err := a.EndWrite(theirs); err != nil {
			t.Fatal(err)
		}
		kit.WantEndedAlready(t, "End of the other copy", a.EndWrite(ar))
		check("after End")
		for range 100 {
			if err := a.EndWrite(kit.MustBegin(t, a, []byte("y"), nil)); err != nil {
				t.Fatal(err)
			}
		}
		check("after other operations")
	})
}

// Looks at a result from everywhere while its operation completes, is ended and lives on as others: no look may
// hang, panic, hold the operation up or touch a later life.
func TestResultsLookedAtWhileTheyAreRecycled(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count = 1000
		a, b := c.Pair(t, nil, nil)
		kit.GoRead(b)
		var current atomic.Pointer[netstream.AsyncResult]
		stop := make(chan struct{})
		var lookers sync.WaitGroup
		for i := range 4 {
			lookers.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
						runtime.Gosched()
					}
					ar := current.Load()
					if ar == nil {
						continue
					}
					switch i {
					case 0:
						ar.IsCompleted()
					case 1:
						ar.AsyncWaitHandle().WaitOne()
					case 2:
						if a.Cancel(*ar) && !ar.IsCompleted() {
							t.Error("cancelled and not completed")
						}
					case 3:
						if _, err := a.EndRead(*ar); err == nil {
							t.Error("EndRead took a write")
						}
					}
				}
			})
		}
		for range count {
			ar := kit.MustBegin(t, a, []byte("x"), nil)
			current.Store(&ar)
			if err := a.EndWrite(ar); err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
			if !ar.IsCompleted() {
				t.Fatal("not completed after End")
			}
		}
		close(stop)
		kit.Within(t, "all who look", kit.Async(func() error { lookers.Wait(); return nil }))
	})
}

// Pipelined BeginWrite with a callback that was bound once allocates nothing. What is allowed for, a hundredth of an
// allocation each, is what a garbage collection takes from the pools, and a goroutine that starts now and then.
func TestResultsOfPipelinedWritesAllocateNothing(t *testing.T) {
	if kit.RaceEnabled {
		t.Skip("the race detector allocates, and has pools drop things")
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const window, count = 1024, 100_000
		a, b := c.Pair(t, nil, nil)
		discard := kit.Async(func() error {
			for p := make([]byte, 256<<10); ; {
				if _, err := b.Read(p); err != nil {
					return nil
				}
			}
		})
		free := make(chan struct{}, window)
		var failed atomic.Int64
		callback := func(ar netstream.AsyncResult) {
			if a.EndWrite(ar) != nil {
				failed.Add(1)
			}
			<-free
		}
		message := make([]byte, 64)
		run := func(n int) {
			for range n {
				free <- struct{}{}
				if _, err := a.BeginWrite(message, 0, len(message), callback, nil); err != nil {
					t.Fatal(err)
				}
			}
			for range window { // all callbacks have run
				free <- struct{}{}
			}
			for range window {
				<-free
			}
		}
		run(10 * window) // fills the pools
		// A message that takes the portable engine's way over a goroutine costs some, when the peer is slow.
		perWrite, limit := 0.0, 0.01
		if c.Engine != netstream.EngineEpoll {
			limit = 0.1
		}
		for range 5 { // what allocates does so each time, what a busy machine adds does not
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			run(count)
			runtime.ReadMemStats(&after)
			perWrite = float64(after.Mallocs-before.Mallocs) / count
			t.Logf("%.4f allocations, %.1f bytes for each write", perWrite, float64(after.TotalAlloc-before.TotalAlloc)/count)
			if perWrite <= limit {
				break
			}
		}
		if perWrite > limit {
			t.Errorf("%.4f allocations for each write", perWrite)
		}
		if failed.Load() != 0 {
			t.Errorf("%d writes failed", failed.Load())
		}
		a.Close()
		kit.Within(t, "the peer", discard)
	})
}
