package loop

import (
	"errors"
	"os"
	"sync"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// worker is one goroutine of a loop, with the roles it holds.
type worker struct {
	loop *Loop            // constant while in use
	body func()           // constant: runLoop; a go statement with arguments allocates
	take func(fd uintptr) // constant: takeEvents, likewise

	// Guarded by loop.mu.
	permit    uint32 // the epoch of its run permit, 0 for none
	unstarted bool   // it is counted in loop.unstarted
	turn      int    // tasks to run before the next harvest; -1: to be set, without one

	// Used by its goroutine only; epoll also by whoever starts it.
	epoll   *epoll // what it harvests from
	how     look   // how takeEvents is to harvest
	taken   []sys.EpollEvent
	events  []sys.EpollEvent
	sockets []*Socket // scratch of dispatch; nil pointers between harvests
	clean   bool      // it ends of its own accord
}

// workerPool spares a Post that starts a goroutine the allocations.
var workerPool = sync.Pool{New: func() any { return new(worker) }}

func newWorker(l *Loop) *worker {
	w := workerPool.Get().(*worker)
	if w.body == nil {
		w.body, w.take = w.runLoop, w.takeEvents
	}
	w.loop = l
	return w
}

// keptEvents is how much room for events a worker keeps in the pool: 4 KiB.
const keptEvents = 256

// recycle puts w back. It holds no role any more, so nobody else knows it.
func (w *worker) recycle() {
	if cap(w.events) > keptEvents {
		w.events, w.sockets = nil, nil // grown for a rare flood
	}
	w.loop, w.epoll, w.taken, w.clean = nil, nil, nil, false
	workerPool.Put(w)
}

// startedLocked notes that the goroutine is running.
func (w *worker) startedLocked() {
	if w.unstarted {
		w.unstarted = false
		w.loop.unstarted--
	}
}

// runLoop is a goroutine that runs tasks until the queue is empty or its
// permit is lost.
func (w *worker) runLoop() {
	defer w.leave()
	w.run()
	w.clean = true
}

// pollLoop is the goroutine that parks on the epoll descriptor, and runs the
// tasks that its events lead to unless another one is at it already. It ends
// when it lost the poll role, or with the loop.
func (l *Loop) pollLoop(w *worker) {
	defer w.leave()
	var events []sys.EpollEvent
	harvest := func(fd uintptr) bool {
		events = w.harvestBatch(int(fd))
		return len(events) != 0 // 0 is fewer than asked for: only then it may park
	}
	for {
		// Nothing but the harvest happens inside Read, which holds the file's
		// lock: a waiter stuck in there could not be relieved.
		err := w.epoll.conn.Read(harvest)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			if w.clean = l.retire(w.epoll); w.clean {
				return
			}
			continue
		}
		if err != nil {
			panic("loop: epoll descriptor: " + err.Error())
		}
		l.depart(w)
		w.dispatch(events)
		w.run()
		if !l.arrive(w) {
			w.clean = true
			return
		}
	}
}

// depart notes that the poller has left the epoll descriptor, and takes the
// run permit if it is free, so that what its events post just queues up.
func (l *Loop) depart(w *worker) {
	l.mu.Lock()
	l.away, l.since = true, l.dog.now()
	if l.permits == 0 {
		l.grantLocked(w)
	}
	l.mu.Unlock()
	l.dog.wake()
}

// arrive notes that w is about to park; false if it is the poller no more.
func (l *Loop) arrive(w *worker) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.poller != w {
		return false
	}
	l.away = false
	return true
}

// leave ends a worker's goroutine. If a task ended it by runtime.Goexit, or by
// a panic, the roles it held go to fresh goroutines.
func (w *worker) leave() {
	if w.clean {
		w.recycle()
		return
	}
	l := w.loop
	l.mu.Lock()
	defer l.mu.Unlock()
	w.startedLocked()
	l.revokeLocked(w)
	if l.poller == w {
		l.startPollerLocked()
	}
}

// run takes tasks while it may. After those that were queued when a turn began,
// or maxTurn of them, it looks for new events, so that sockets do not starve
// behind tasks.
func (w *worker) run() {
	for {
		t, how := w.loop.next(w)
		switch {
		case how != lookNot:
			w.dispatch(w.look(how))
		case t == nil:
			return
		default:
			t.Run()
		}
	}
}

// look harvests while other goroutines use the descriptor, which the loop's end
// may close: in Control it stays, or there is none and nothing to harvest.
func (w *worker) look(how look) []sys.EpollEvent {
	w.how, w.taken = how, nil
	_ = w.epoll.conn.Control(w.take)
	return w.taken
}

func (w *worker) takeEvents(fd uintptr) {
	if w.how == lookOnce {
		w.taken = w.harvestBatch(int(fd))
	} else {
		w.taken = w.harvestAll(int(fd))
	}
}

// reserve makes room for one harvest.
func (w *worker) reserve() {
	if len(w.events) < w.loop.batch {
		w.events = make([]sys.EpollEvent, w.loop.batch)
	}
}

// harvest takes what events there are, as many as into holds.
func (w *worker) harvest(fd int, into []sys.EpollEvent) int {
	n, errno := sys.EpollWait(fd, into)
	if errno != 0 {
		panic("loop: epoll_wait: " + errno.Error())
	}
	return n
}

// harvestBatch takes one batch of events and may leave others behind. That is
// for the poller, and for one who has just lost that role: whoever has it
// harvests until nothing is left before it parks.
func (w *worker) harvestBatch(fd int) []sys.EpollEvent {
	w.reserve()
	return w.events[:w.harvest(fd, w.events[:w.loop.batch])]
}

// harvestAll takes every event there is, without parking. It leaves none
// behind because the poller may be parked: for events that stay in the kernel's
// list after a full harvest it would not be woken.
func (w *worker) harvestAll(fd int) []sys.EpollEvent {
	w.reserve()
	for at := 0; ; {
		at += w.harvest(fd, w.events[at:])
		if at < len(w.events) {
			return w.events[:at]
		}
		w.events = append(w.events, make([]sys.EpollEvent, len(w.events))...)
	}
}

// dispatch turns events into state and Waiter calls.
func (w *worker) dispatch(events []sys.EpollEvent) {
	if len(events) == 0 {
		return
	}
	w.sockets = w.loop.table.resolve(w.sockets[:0], events)
	for i, s := range w.sockets {
		if s != nil {
			w.sockets[i] = nil // nothing idle keeps a socket alive
			s.deliver(events[i].Events())
		}
	}
}
