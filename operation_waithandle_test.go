package netstream

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var _ = [1]struct{}{}[Infinite+1] // Infinite is -1, as .NET's Timeout.Infinite

func TestManualResetEvent(t *testing.T) {
	var zero ManualResetEvent
	for name, e := range map[string]*ManualResetEvent{"zero": &zero, "new": NewManualResetEvent(false)} {
		if e.WaitOneTimeout(0) || isClosed(e.Done()) {
			t.Errorf("%s: set from the start", name)
		}
		before := e.Done()
		e.Set()
		e.Set()
		if !e.WaitOne() || !e.WaitOne() || //nolint:staticcheck // asked twice on purpose
			!e.WaitOneTimeout(0) || !isClosed(before) || !isClosed(e.Done()) {
			t.Errorf("%s: not set after Set, again and again (row 112)", name)
		}
		e.Reset()
		if e.WaitOneTimeout(0) || isClosed(e.Done()) {
			t.Errorf("%s: set after Reset", name)
		}
		if !isClosed(before) {
			t.Errorf("%s: Reset took back what Set had told", name)
		}
		if after := e.Done(); after == before || after != e.Done() {
			t.Errorf("%s: Done gives the wrong channel after Reset", name)
		}
	}
	if e := newCompletedEvent(); !e.WaitOne() || !isClosed(e.Done()) {
		t.Error("a completed event is not set")
	}
}

func TestManualResetEventResetKeepsWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewManualResetEvent(false)
		woken := false
		go func() { woken = e.WaitOne() }()
		synctest.Wait()
		e.Reset() // not set: nothing may happen to who waits
		e.Set()
		e.Reset()
		synctest.Wait()
		if !woken {
			t.Error("Set and Reset in one go missed the waiter")
		}
	})
}

// Row 111, in a bubble: the time is exact and costs none.
func TestWaitOneTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewManualResetEvent(false)
		start := time.Now()
		if e.WaitOneTimeout(200*time.Millisecond) || time.Since(start) != 200*time.Millisecond {
			t.Errorf("not false after exactly 200 ms but after %v", time.Since(start))
		}
		time.AfterFunc(time.Hour, e.Set)
		if e.WaitOneTimeout(time.Minute) {
			t.Error("set too early")
		}
		if !e.WaitOneTimeout(-2) || time.Since(start) < time.Hour {
			t.Error("a negative timeout other than Infinite does not wait")
		}
		e.Reset()
		time.AfterFunc(time.Hour, e.Set)
		if !e.WaitOneTimeout(2 * time.Hour) {
			t.Error("not woken before the timeout")
		}
	})
}

func TestWaitManyWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := NewManualResetEvent(false)
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { e.WaitOne() })
		}
		synctest.Wait()
		e.Set()
		wg.Wait()
	})
}

func waitEvents(set ...bool) []WaitHandle {
	handles := make([]WaitHandle, len(set))
	for i, s := range set {
		handles[i] = NewManualResetEvent(s)
	}
	return handles
}

func TestWaitAny(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		if got := WaitAny(Infinite, waitEvents(false, true, true)...); got != 1 {
			t.Errorf("%d, want the lowest, 1", got)
		}
		h := waitEvents(false, false, false)
		start := time.Now()
		if got := WaitAny(0, h...); got != WaitTimeout || time.Since(start) != 0 {
			t.Errorf("only looking: %d after %v", got, time.Since(start))
		}
		if got := WaitAny(time.Second, h...); got != WaitTimeout || time.Since(start) != time.Second {
			t.Errorf("timeout: %d after %v", got, time.Since(start))
		}
		time.AfterFunc(time.Second, h[2].(*ManualResetEvent).Set)
		if got := WaitAny(Infinite, h...); got != 2 {
			t.Errorf("%d, want 2", got)
		}
		if got := WaitAny(Infinite, append([]WaitHandle{nil}, h...)...); got != 3 {
			t.Errorf("%d, want 3: nil is never set", got)
		}
		if got := WaitAny(Infinite, h[2]); got != 0 {
			t.Errorf("%d, want 0", got)
		}
	})
}

// Two become set while WaitAny sleeps, the higher one last: whichever has woken
// it, the lower index is the answer. At the very moment of the timeout, being set
// may win or lose, but nothing else may come out.
func TestWaitAnyLowest(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			h := waitEvents(false, false, false, false)
			setTwo := func() {
				h[1].(*ManualResetEvent).Set()
				h[3].(*ManualResetEvent).Set()
			}
			time.AfterFunc(time.Second, setTwo)
			if i := WaitAny(time.Minute, h...); i != 1 {
				t.Fatalf("index %d, want 1", i)
			}
			synctest.Wait()
			h[1].(*ManualResetEvent).Reset()
			h[3].(*ManualResetEvent).Reset()
			time.AfterFunc(time.Second, setTwo)
			if i := WaitAny(time.Second, h...); i != 1 && i != WaitTimeout {
				t.Fatalf("index %d, want 1 or WaitTimeout", i)
			}
		})
	}
}

func TestWaitNothing(t *testing.T) {
	if WaitAny(Infinite) != WaitTimeout || WaitAny(Infinite, nil, nil) != WaitTimeout {
		t.Error("WaitAny found one among none")
	}
	if !WaitAll(Infinite) || !WaitAll(0) {
		t.Error("WaitAll of none is not true")
	}
	if WaitAll(Infinite, newCompletedEvent(), nil) {
		t.Error("WaitAll with nil is true")
	}
}

func TestWaitAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		h := waitEvents(false, true, false)
		if WaitAll(0, h...) || time.Since(start) != 0 {
			t.Error("only looking")
		}
		if WaitAll(time.Second, h...) || time.Since(start) != time.Second {
			t.Errorf("timeout after %v", time.Since(start))
		}
		time.AfterFunc(2*time.Second, h[0].(*ManualResetEvent).Set)
		time.AfterFunc(time.Second, h[2].(*ManualResetEvent).Set)
		if !WaitAll(Infinite, h...) || time.Since(start) != 3*time.Second {
			t.Errorf("all set after %v", time.Since(start))
		}
		if !WaitAll(0, h...) || !WaitAll(time.Second, h...) {
			t.Error("all are set, but not said so")
		}
		// The timeout is one for all: the second wait does not start anew.
		start = time.Now()
		h = waitEvents(false, false)
		time.AfterFunc(700*time.Millisecond, h[0].(*ManualResetEvent).Set)
		if WaitAll(time.Second, h...) || time.Since(start) != time.Second {
			t.Errorf("one of two: %v", time.Since(start))
		}
	})
}

// One that is set at the very moment of the timeout counts or not; the timeout holds for the others all the same.
func TestWaitAllAtTheTimeout(t *testing.T) {
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			h := waitEvents(false, false)
			time.AfterFunc(time.Second, h[0].(*ManualResetEvent).Set)
			start := time.Now()
			time.AfterFunc(time.Hour, h[1].(*ManualResetEvent).Set)
			if WaitAll(time.Second, h...) || time.Since(start) != time.Second {
				t.Errorf("not false after a second, but after %v", time.Since(start))
			}
		})
	}
}

// What is set when the time is up counts.
func TestWaitOneAtTheTimeout(t *testing.T) {
	e := newCompletedEvent()
	for range 1000 {
		if !waitOne(time.Nanosecond, e.Done()) {
			t.Fatal("it was set")
		}
	}
}

// More handles than one reflect.Select takes; synctest fails if a watching
// goroutine is left behind.
func TestWaitAnyVeryMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 70_000
		h := make([]WaitHandle, n)
		for i := range h {
			h[i] = new(ManualResetEvent)
		}
		if got := WaitAny(time.Second, h...); got != WaitTimeout {
			t.Errorf("timeout: %d", got)
		}
		time.AfterFunc(time.Second, h[n-1].(*ManualResetEvent).Set)
		if got := WaitAny(Infinite, h...); got != n-1 {
			t.Errorf("%d, want %d", got, n-1)
		}
		if WaitAll(time.Second, h...) {
			t.Error("all set")
		}
	})
}

func TestManualResetEventConcurrently(t *testing.T) {
	e := NewManualResetEvent(false)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 1000 {
				e.Set()
				e.Reset()
			}
		})
		wg.Go(func() {
			for range 1000 {
				<-e.Done()
				e.WaitOneTimeout(time.Nanosecond)
				WaitAny(0, e, e)
			}
		})
	}
	settled := make(chan struct{})
	go func() { wg.Wait(); close(settled) }()
	for !isClosed(settled) { // the setters may end first, leaving it reset
		e.Set()
		runtime.Gosched()
	}
}

func BenchmarkManualResetEvent(b *testing.B) {
	b.Run("unwatched", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e := NewManualResetEvent(false)
			e.Set()
			e.WaitOne()
		}
	})
	b.Run("Done", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e := NewManualResetEvent(false)
			done := e.Done()
			e.Set()
			<-done
		}
	})
}
