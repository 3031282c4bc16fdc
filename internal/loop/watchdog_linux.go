package loop

import (
	"sync/atomic"
	"time"
)

const (
	// tickLength and patience make relief come 4 to 12 ms after the wait
	// began: late enough that a loaded loop does not shed goroutines all the
	// time, soon enough for nobody to notice.
	tickLength = 4 * time.Millisecond
	patience   = 2 // ticks

	// idleTicks is how long it watches after it last saw work.
	idleTicks = 8

	// maxBurst bounds the permits given out in one tick.
	maxBurst = 64
)

// watchdog looks after loops. Its goroutine exists only while there is work;
// now and wake are cheap enough for every Post.
type watchdog struct {
	loops []*Loop // constant once the loops run

	ticks   atomic.Uint32 // the clock: stands still while nobody watches
	running atomic.Bool   // a goroutine is watching
}

func (d *watchdog) now() uint32 { return d.ticks.Load() }

// wake makes sure that somebody watches. The caller has published its work
// before; watch looks again after it has cleared running. So one of the two
// sees the other.
func (d *watchdog) wake() {
	if !d.running.Load() && d.running.CompareAndSwap(false, true) {
		go d.watch()
	}
}

func (d *watchdog) watch() {
	for idle := 0; idle < idleTicks; {
		time.Sleep(tickLength)
		idle++
		d.ticks.Add(1)
		if d.check() {
			idle = 0
		}
	}
	d.running.Store(false)
	if d.check() {
		d.wake()
	}
}

// check relieves every loop that needs it and reports whether any has work.
func (d *watchdog) check() (busy bool) {
	for _, l := range d.loops {
		if l.relieve() {
			busy = true
		}
	}
	return busy
}

// relieve gives waiting work to fresh goroutines. It reports whether work
// waits at all. A task that runs while nothing waits is nobody's concern: the
// next Post wakes the watchdog.
func (l *Loop) relieve() (busy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.dog.now() // under mu: no stamp of this loop is newer
	if l.away {
		busy = true
		if now-l.since >= patience {
			l.relievePollerLocked()
		}
	}
	if l.tasks.count == 0 {
		l.burst = 0
		return busy
	}
	if now-l.tasks.oldest().stamp >= patience {
		l.rescueLocked()
	} else {
		l.burst = 0
	}
	return true
}

// relievePollerLocked gives the poll role to a fresh goroutine, and takes the
// run permit from the old poller, if it has one: what the new poller harvests
// must not wait for the stuck one a second time.
func (l *Loop) relievePollerLocked() {
	old := l.poller
	l.startPollerLocked()
	l.revokeLocked(old)
}

// rescueLocked takes the permits from the workers, who may all be stuck, and
// gives fresh ones out: one, and twice as many with each tick that the oldest
// task is still overdue, so that any number of tasks that block, one queued
// behind the other, is got over in a few ticks. If goroutines started before
// have not come to run yet, what lacks is processors, and more goroutines
// would not help.
func (l *Loop) rescueLocked() {
	if l.unstarted > 0 {
		return
	}
	l.burst = min(max(1, 2*l.burst), maxBurst)
	if l.epoch++; l.epoch == 0 {
		l.epoch = 1
	}
	l.permits = 0
	l.startRunnersLocked(min(l.burst, l.tasks.count))
}
