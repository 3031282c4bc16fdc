package loop

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// eventBatch is how many events one harvest asks for. First all of them are
// dispatched, then what they lead to runs; in between, what belongs to each
// connection, the kernel's part included, should stay in the cache. Next to
// other processes, echoing on 1,000 connections took 5% to 10% less CPU with 32 or
// 64 than with 256 or more; alone on the machine there was no difference, and 8
// and 16 took more (docs/benchmarks.md).
const eventBatch = 64

// maxTurn is the most tasks that one goroutine runs between two harvests: 2,000
// flushes are 8 ms, more than the watchdog's patience, and sockets that become
// ready meanwhile would wait for all of them.
const maxTurn = 64

// A Loop is an epoll descriptor, a queue of tasks, and the goroutines that
// serve them. It has the descriptor and a poller only while sockets are
// registered, and a moment longer; tasks run without.
type Loop struct {
	batch  int           // constant: events asked for in one harvest
	number uint32        // constant: of all loops of the process, from 0, in the order in which they were made
	grace  time.Duration // constant: see there
	dog    *watchdog     // constant

	// Sends is for the owners of sockets: what others than the loop send at once.
	Sends Credit

	table table // has its own lock, never taken together with mu

	mu    sync.Mutex // a leaf: nothing is called under it
	tasks queue      // those that wait

	// Run permits: a worker may take tasks while its permit equals epoch.
	epoch     uint32 // never 0, which is "no permit"
	permits   int    // workers that hold the current epoch
	unstarted int    // goroutines started for the queue that have not come to run yet
	burst     int    // permits given out at the last rescue, see rescueLocked

	// The loop's life, see retire.
	epoll   *epoll // nil: it has ended, or not started; constant between enter and exit, and then readable without mu
	sockets int    // how many are registered or about to be
	joined  bool   // one was since ending was set, or the poller has looked
	ending  bool   // a deadline of epoll's file is set, or about to be; it has the poller look

	// The poll role: its holder parks on epoll. It is away between a harvest
	// and the next; only then may the role be taken from it.
	poller *worker
	away   bool
	since  uint32 // the watchdog's tick when it went away
}

// pool is what Pick hands out.
var pool struct {
	mu    sync.Mutex // locked before the mu of a loop
	loops []*Loop    // constant once there; guarded by mu until then
	next  uint32     // guarded by mu
}

// Pick returns one of the process's loops, in turn. There are as many as
// GOMAXPROCS was at the first call.
func Pick() *Loop {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if pool.loops == nil {
		dog := new(watchdog)
		for range runtime.GOMAXPROCS(0) {
			pool.loops = append(pool.loops, newLoop(dog, eventBatch))
		}
		dog.loops = pool.loops
	}
	pool.next++
	return pool.loops[pool.next%uint32(len(pool.loops))]
}

// numbers is how many loops were made.
var numbers atomic.Uint32

// newLoop makes a loop that has not started.
func newLoop(dog *watchdog, batch int) *Loop {
	return &Loop{batch: batch, number: numbers.Add(1) - 1, grace: grace, dog: dog, epoch: 1}
}

// Post queues t behind the tasks that are queued already. It may be called
// from any goroutine, never waits and never runs t itself. If nobody runs this
// loop's tasks it starts a goroutine that does.
func (l *Loop) Post(t Task) {
	l.mu.Lock()
	l.tasks.push(t, l.dog.now())
	if l.permits == 0 {
		l.startRunnersLocked(1)
	}
	l.mu.Unlock()
	l.dog.wake()
}

// next returns the oldest task, for w to run. Without a task: if how is a way to
// harvest, w is to do that and to ask again; if it is lookNot, w is done and has
// no permit any more, because that was lost, or given back with an empty queue.
func (l *Loop) next(w *worker) (t Task, how look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.startedLocked()
	switch {
	case w.permit != l.epoch:
		w.permit = 0
		return nil, lookNot
	case l.tasks.count == 0:
		w.permit = 0
		l.permits--
		l.burst = 0
		return nil, lookNot
	case w.turn == 0 && l.epoll != nil: // the turn is over
		w.turn, w.epoll = -1, l.epoll
		return nil, l.lookLocked(w)
	case w.turn <= 0: // what is queued now is the next turn
		w.turn = min(l.tasks.count, maxTurn)
	}
	w.turn--
	return l.tasks.pop(), lookNot
}

// look is a way to harvest.
type look uint8

const (
	lookNot  look = iota
	lookOnce      // one batch
	lookAll       // everything
)

// lookLocked says how w harvests between two turns. Whoever is not the poller
// takes everything, see harvestAll. The poller may take one batch: it harvests
// until nothing is left before it parks. But tasks can be long, and with one batch
// for each turn the last of many sockets would wait for many turns. So the poller
// takes everything too, once in each tick.
func (l *Loop) lookLocked(w *worker) look {
	if l.poller != w {
		return lookAll
	}
	now := l.dog.now()
	sameTick := now == l.since
	l.since = now
	if sameTick {
		return lookOnce
	}
	return lookAll
}

// grantLocked gives w a run permit.
func (l *Loop) grantLocked(w *worker) {
	w.permit, w.turn = l.epoch, -1
	l.permits++
}

// startRunnersLocked starts n goroutines with run permits.
func (l *Loop) startRunnersLocked(n int) {
	for range n {
		w := newWorker(l)
		l.grantLocked(w)
		w.unstarted = true
		l.unstarted++
		go w.body()
	}
}

// startPollerLocked gives the poll role to a fresh goroutine.
func (l *Loop) startPollerLocked() {
	l.poller, l.away = newWorker(l), false
	l.poller.epoll = l.epoll
	go l.pollLoop(l.poller)
}

// revokeLocked takes w's permit, if it has one that is still good, and sees to
// it that somebody runs what is queued.
func (l *Loop) revokeLocked(w *worker) {
	if w.permit != l.epoch {
		return
	}
	w.permit = 0
	l.permits--
	if l.tasks.count > 0 && l.permits == 0 {
		l.startRunnersLocked(1)
	}
}
