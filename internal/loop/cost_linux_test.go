package loop

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestWatchdogEndsWhenIdle(t *testing.T) {
	l := testLoop(t, 16)
	before := runtime.NumGoroutine()
	for range 3 {
		var wg sync.WaitGroup
		wg.Add(100)
		for range 100 {
			post(l, wg.Done)
		}
		waitGroup(t, &wg, "tasks")
		eventually(t, "end of the watchdog", func() bool { return !l.dog.running.Load() })
		eventually(t, "goroutine count back", func() bool { return runtime.NumGoroutine() <= before })
	}
	// A task that runs while nothing waits keeps nobody awake.
	gate := make(chan struct{})
	post(l, func() { <-gate })
	eventually(t, "end of the watchdog", func() bool { return !l.dog.running.Load() })
	done := make(chan struct{})
	post(l, func() { close(done) })
	wait(t, done, "task behind a long one")
	close(gate)
}

func TestIdleLoopsUseNoCPU(t *testing.T) {
	l := testLoop(t, 16)
	for range 100 {
		pair(t, l)
	}
	eventually(t, "end of the watchdog", func() bool { return !l.dog.running.Load() })
	time.Sleep(50 * time.Millisecond)
	var used time.Duration
	for range 5 { // a loop that is not idle uses it each time, a collection or a busy machine does not
		var a, b unix.Rusage
		unix.Getrusage(unix.RUSAGE_SELF, &a)
		time.Sleep(500 * time.Millisecond)
		unix.Getrusage(unix.RUSAGE_SELF, &b)
		used = time.Duration(b.Utime.Nano() + b.Stime.Nano() - a.Utime.Nano() - a.Stime.Nano())
		t.Logf("%v of CPU in 500 ms", used)
		if used <= 25*time.Millisecond {
			return
		}
	}
	t.Errorf("idle loop used %v of CPU in 500 ms", used)
}

func TestEventToTaskAllocatesNothing(t *testing.T) {
	if runtime.GOARCH == "386" || runtime.GOARCH == "s390x" {
		t.Skip("internal/sys allocates here, see transfer_unix.go")
	}
	l := testLoop(t, 16)
	s, peer := pair(t, l)
	back, err := l.Add(peer, false)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Remove()
	round := func(n int64) (mallocs uint64) {
		left, done := new(atomic.Int64), make(chan struct{})
		left.Store(n)
		a, b := newEcho(s, left, done), newEcho(back, left, done)
		var from, to runtime.MemStats
		runtime.ReadMemStats(&from)
		l.Post(a)
		l.Post(b)
		write(t, peer, "x")
		wait(t, done, "end of the round")
		runtime.ReadMemStats(&to)
		s.CancelRead()
		back.CancelRead()
		return to.Mallocs - from.Mallocs
	}
	round(1000)
	const events = 20000
	var n uint64
	for range 5 { // what allocates for an event does so each time, what a busy machine adds does not
		// The watchdog's goroutines and the round itself cost a few.
		if n = round(events); n <= events/50 {
			return
		}
	}
	t.Errorf("%d allocations for %d events", n, events)
}

// Tasks that post, block, end their goroutine and wait for events, all at once.
func TestEverythingAtOnce(t *testing.T) {
	l := testLoop(t, 4)
	gate := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		s, peer := pair(t, l)
		back, err := l.Add(peer, false)
		if err != nil {
			t.Fatal(err)
		}
		defer back.Remove()
		left, done := new(atomic.Int64), make(chan struct{})
		left.Store(2000)
		l.Post(newEcho(s, left, done))
		l.Post(newEcho(back, left, done))
		write(t, peer, "x")
		wg.Add(1)
		go func() { <-done; wg.Done() }()
	}
	for i := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range 200 {
				wg.Add(1)
				switch i {
				case 0:
					post(l, func() { wg.Done(); runtime.Goexit() })
				case 1:
					post(l, func() { time.Sleep(200 * time.Microsecond); wg.Done() })
				default:
					post(l, func() { post(l, wg.Done) })
				}
			}
			post(l, func() { <-gate })
		}()
	}
	waitGroup(t, &wg, "end of it all")
	close(gate)
	eventually(t, "rest", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.permits == 0 && l.tasks.count == 0 && l.unstarted == 0 && !l.away
	})
}

// A panic in a task ends the program with its message, as any panic.
func TestPanicInATaskCrashes(t *testing.T) {
	if os.Getenv("LOOP_TEST_PANIC") != "" {
		post(Pick(), func() { panic("a task's own trouble") })
		time.Sleep(patienceOfTests)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestPanicInATaskCrashes$")
	cmd.Env = append(os.Environ(), "LOOP_TEST_PANIC=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: a task's own trouble") {
		t.Errorf("%v\n%s", err, out)
	}
}
