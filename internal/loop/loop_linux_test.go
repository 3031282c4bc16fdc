package loop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// generous bounds waits that take some 10 ms on an idle machine.
const generous = 500 * time.Millisecond

func TestPickGoesRound(t *testing.T) {
	seen := map[*Loop]bool{}
	for range 4 * runtime.GOMAXPROCS(0) {
		seen[Pick()] = true
	}
	if len(seen) != len(pool.loops) {
		t.Errorf("%d loops of %d picked", len(seen), len(pool.loops))
	}
}

func TestTasksRunInOrder(t *testing.T) {
	l := testLoop(t, 16)
	const n = 1000
	var got []int // by the loop's one runner
	done, gate := make(chan struct{}), make(chan struct{})
	post(l, func() { <-gate })
	for i := range n {
		post(l, func() {
			got = append(got, i)
			if i == n-1 {
				close(done)
			}
		})
	}
	close(gate)
	wait(t, done, "last task")
	for i, v := range got {
		if v != i {
			t.Fatalf("task %d ran at place %d", v, i)
		}
	}
}

func TestPostNeverRunsOnTheCallersStack(t *testing.T) {
	l := testLoop(t, 16)
	var mu sync.Mutex
	done := make(chan struct{})
	mu.Lock()
	post(l, func() { mu.Lock(); close(done); mu.Unlock() })
	mu.Unlock()
	wait(t, done, "task")
}

func TestTaskMayPostItselfAgain(t *testing.T) {
	l := testLoop(t, 16)
	done := make(chan struct{})
	var task job
	left := 10000
	task = job(func() {
		if left--; left == 0 {
			close(done)
			return
		}
		l.Post(task)
	})
	l.Post(task)
	wait(t, done, "last round")
}

// A task that posts itself for ever must not keep sockets from being served.
func TestEndlessTasksDoNotStarveSockets(t *testing.T) {
	l := testLoop(t, 16)
	s, peer := pair(t, l)
	var stop atomic.Bool
	stopped := make(chan struct{})
	var task job
	task = job(func() {
		if stop.Load() {
			close(stopped)
			return
		}
		l.Post(task)
	})
	l.Post(task)
	for range 20 {
		told := make(chan struct{})
		arm(t, s, func() { close(told) })
		took := watch()
		write(t, peer, "x")
		wait(t, told, "ReadReady")
		if d := took(); d > generous {
			t.Errorf("told after %v", d)
		}
		sys.Recv(s.FD(), make([]byte, 8))
	}
	stop.Store(true)
	wait(t, stopped, "end")
}

func TestPostFromEverywhere(t *testing.T) {
	l := testLoop(t, 16)
	const posters, each = 16, 2000
	var wg sync.WaitGroup
	wg.Add(posters * each * 2)
	for range posters {
		go func() {
			for range each {
				post(l, func() {
					post(l, wg.Done) // from a task
					wg.Done()
				})
			}
		}()
	}
	waitGroup(t, &wg, "tasks")
	eventually(t, "permit given back", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.permits == 0 && l.tasks.count == 0 && l.unstarted == 0
	})
}

func TestBlockedTaskDoesNotStopOthers(t *testing.T) {
	l := testLoop(t, 16)
	gate := make(chan struct{})
	defer close(gate)
	var wg sync.WaitGroup
	wg.Add(100)
	post(l, func() { <-gate })
	took := watch()
	for range 100 {
		post(l, wg.Done)
	}
	waitGroup(t, &wg, "the 100 others")
	within(t, took())
}

func within(t *testing.T, d time.Duration) {
	t.Helper()
	t.Logf("after %v", d)
	if d > generous {
		t.Errorf("served after %v, bound %v", d, generous)
	}
}

func TestFiftyTasksBlockingForEverOneAfterTheOther(t *testing.T) {
	l := testLoop(t, 16)
	gate := make(chan struct{})
	defer close(gate)
	for range 50 {
		post(l, func() { <-gate })
	}
	took := watch()
	done := make(chan struct{})
	post(l, func() { close(done) })
	wait(t, done, "task behind 50 that block")
	within(t, took())
	// And the loop is as good as before: no waiting for the watchdog.
	s, peer := pair(t, l)
	told := make(chan struct{})
	arm(t, s, func() { post(l, func() { close(told) }) })
	write(t, peer, "x")
	wait(t, told, "event")
}

func TestTasksThatBlockInTurn(t *testing.T) {
	l := testLoop(t, 16)
	gate := make(chan struct{})
	defer close(gate)
	for i := range 20 {
		post(l, func() { <-gate })
		done := make(chan struct{})
		took := watch()
		post(l, func() { close(done) })
		wait(t, done, "task behind one that blocks")
		if d := took(); d > generous {
			t.Errorf("round %d: %v", i, d)
		}
	}
}

// What counts is how long work has waited, not how long one task runs.
func TestManyShortTasksGetASecondRunner(t *testing.T) {
	l := testLoop(t, 16)
	var running, most atomic.Int64
	for rounds := 0; rounds < 20 && most.Load() < 2; rounds++ { // on a busy machine the watchdog may come late
		var wg sync.WaitGroup
		wg.Add(100)
		begun := time.Now()
		for range 100 {
			post(l, func() {
				now := running.Add(1)
				for m := most.Load(); now > m && !most.CompareAndSwap(m, now); m = most.Load() {
				}
				time.Sleep(time.Millisecond)
				running.Add(-1)
				wg.Done()
			})
		}
		waitGroup(t, &wg, "tasks")
		t.Logf("100 tasks of 1 ms: %v, up to %d at once", time.Since(begun), most.Load())
	}
	if most.Load() < 2 {
		t.Error("one runner did it all")
	}
}

func TestGoexitLosesNothing(t *testing.T) {
	l := testLoop(t, 16)
	l.dog.running.Store(true) // nobody watches: it must do without relief
	var wg sync.WaitGroup
	wg.Add(200)
	for range 100 {
		post(l, func() { wg.Done(); runtime.Goexit() })
		post(l, wg.Done)
	}
	waitGroup(t, &wg, "tasks around Goexit")
}

func TestGoexitOnThePollerLosesNothing(t *testing.T) {
	l := testLoop(t, 16)
	l.dog.running.Store(true) // nobody watches: it must do without relief
	s, peer := pair(t, l)
	for range 100 {
		var wg sync.WaitGroup
		wg.Add(2)
		arm(t, s, func() {
			post(l, func() { wg.Done(); runtime.Goexit() })
			post(l, wg.Done)
		})
		write(t, peer, "x")
		waitGroup(t, &wg, "tasks of an event")
		sys.Recv(s.FD(), make([]byte, 8))
	}
}

// The poller runs a task that blocks: polling and the queue move on.
func TestPollingIsHandedOver(t *testing.T) {
	l := testLoop(t, 16)
	gate := make(chan struct{})
	defer close(gate)
	for i := range 5 {
		s, peer := pair(t, l)
		blocked := make(chan struct{})
		arm(t, s, func() { post(l, func() { close(blocked); <-gate }) })
		write(t, peer, "x")
		wait(t, blocked, "the task that blocks")
		s2, peer2 := pair(t, l)
		told := make(chan struct{})
		arm(t, s2, func() { post(l, func() { close(told) }) })
		took := watch()
		write(t, peer2, "x")
		wait(t, told, "event while the poller is blocked")
		if d := took(); d > generous {
			t.Errorf("round %d: %v", i, d)
		}
	}
}

func TestPollingIsHandedOverFromAStuckWaiter(t *testing.T) {
	l := testLoop(t, 16)
	gate := make(chan struct{})
	s, peer := pair(t, l)
	inside := make(chan struct{})
	arm(t, s, func() { close(inside); <-gate })
	write(t, peer, "x")
	wait(t, inside, "ReadReady")
	s2, peer2 := pair(t, l)
	told := make(chan struct{})
	arm(t, s2, func() { post(l, func() { close(told) }) })
	took := watch()
	write(t, peer2, "x")
	wait(t, told, "event while a Waiter is stuck")
	within(t, took())
	close(gate)
	eventually(t, "one poller", func() bool { return goroutines("(*Loop).pollLoop(") <= 1+pollersOfPool() })
}

func pollersOfPool() int { return len(pool.loops) }

// Workers that were relieved while they were blocked end when their task does.
func TestRelievedWorkersEnd(t *testing.T) {
	l := testLoop(t, 16)
	gate := make(chan struct{})
	var ran atomic.Int64
	for range 30 {
		post(l, func() { <-gate; ran.Add(1) })
	}
	done := make(chan struct{})
	post(l, func() { close(done) })
	wait(t, done, "task behind")
	close(gate)
	exactly(t, &ran, 30, "blocked tasks")
	eventually(t, "no runners left", func() bool { return goroutines("(*worker).runLoop(") == 0 })
}

// The poller takes one batch of events between turns, but everything once in a tick: turns can be long. Anybody else
// takes everything, because nobody comes after him.
func TestLongTurnsLetAllEventsInOnceInATick(t *testing.T) {
	l := quietLoop(t, eventBatch)
	w := newWorker(l)
	l.poller = w
	l.since = l.dog.now()
	for tick := range 3 {
		for i := range 3 {
			want := lookOnce
			if tick > 0 && i == 0 {
				want = lookAll
			}
			if got := l.lookLocked(w); got != want {
				t.Errorf("tick %d, look %d: %d, want %d", tick, i, got, want)
			}
			if got := l.lookLocked(newWorker(l)); got != lookAll {
				t.Errorf("somebody else: %d, want %d", got, lookAll)
			}
		}
		l.dog.ticks.Add(1)
	}
}

// However many tasks are queued, a socket that becomes ready waits for few of them.
func TestManyQueuedTasksDoNotKeepSocketsWaiting(t *testing.T) {
	for _, role := range []string{"poller", "runner"} {
		t.Run(role, func(t *testing.T) {
			l := quietLoop(t, 16) // without a poller: one runner does it all
			if role == "poller" {
				l = testLoop(t, 16)
			}
			l.dog.running.Store(true) // nobody watches: it must do without relief
			ran, before := 0, -1      // by the loop's one goroutine
			s, peer := pair(t, l)
			done := make(chan struct{})
			fill := func() {
				post(l, func() { write(t, peer, "x") })
				for range 2000 {
					post(l, func() { ran++ })
				}
				post(l, func() { close(done) })
			}
			arm(t, s, func() { before = ran })
			if role == "poller" {
				other, its := pair(t, l)
				arm(t, other, func() { post(l, fill) })
				write(t, its, "x")
			} else {
				post(l, fill)
			}
			wait(t, done, "the last task")
			if before < 0 || before > maxTurn {
				t.Errorf("told after %d tasks", before)
			}
		})
	}
}
