package kit

import (
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// Budget counts the goroutines that are there now and returns a function that fails the test unless, soon, there are
// between least and most more than that.
func Budget(t *testing.T) func(what string, least, most int) {
	t.Helper()
	settled, same := 0, 0
	Eventually(t, "the number of goroutines settles", func() bool { // the watchdog watches for 32 ms after the last work
		if now := runtime.NumGoroutine(); now == settled {
			same++
		} else {
			settled, same = now, 0
		}
		time.Sleep(10 * time.Millisecond)
		return same >= 10
	})
	return func(what string, least, most int) {
		t.Helper()
		var more int
		within := func() bool {
			more = runtime.NumGoroutine() - settled
			return more >= least && more <= most
		}
		for end := time.Now().Add(Patience); !within(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d goroutines more, want %d to %d", what, more, least, most)
			}
		}
	}
}

// Slack is what the loops' own goroutines (pollers, those that were relieved, runners, the watchdog) may add or, when the
// loops end, take away.
var Slack = 8 + runtime.GOMAXPROCS(0)

// HeapNow is what the heap holds after everything that can be collected was.
func HeapNow() int64 {
	var m runtime.MemStats
	for range 2 { // the second one empties the pools
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// leftovers returns the goroutines and the descriptors that should not be there any more.
func leftovers() (sockets []string, goroutines error) {
	return NewDescriptors(atStart), goleak.Find(goleak.IgnoreAnyFunction("runtime.handleEvent"))
}

// atStart has the descriptors from before the first test.
var atStart []string

// SocketsClosed waits until the sockets of earlier tests are closed: a connection may linger, and keeps a goroutine. Only
// Linux tells.
func SocketsClosed(t testing.TB) {
	t.Helper()
	Eventually(t, "the sockets of earlier tests are closed", func() bool { return len(NewDescriptors(atStart)) == 0 })
}

// OpenDescriptors lists this process's descriptors with what they are; empty where the system does not tell.
func OpenDescriptors() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var list []string
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			list = append(list, e.Name()+" "+target)
		}
	}
	return list
}

// NewDescriptors returns the sockets and epoll descriptors that are open now and were not before.
func NewDescriptors(before []string) []string {
	var left []string
	for _, d := range OpenDescriptors() {
		if (strings.Contains(d, "socket:") || strings.Contains(d, "[eventpoll]")) && !slices.Contains(before, d) {
			left = append(left, d)
		}
	}
	return left
}
