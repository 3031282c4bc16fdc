package loop

import (
	"os"
	"runtime"
	"sync"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// A Task queues a [Runner]. It is embedded by its owner, so that posting
// allocates nothing, and it must not be posted while it is queued: the owner's
// own state sees to that. From the moment Run begins it may be posted again.
type Task struct {
	Runner Runner // set by the owner before Post, constant while queued

	next  *Task  // guarded by the loop's mu
	stamp uint32 // the watchdog's tick when it was queued; guarded by the loop's mu
}

// eventBatch is how many events one harvest asks for. First all of them are
// dispatched, then what they lead to runs; in between, what belongs to each
// connection, the kernel's part included, should stay in the cache. Next to
// other processes, echoing on 1,000 connections took 5% to 10% less CPU with 32 or
// 64 than with 256 or more; alone on the machine there was no difference, and 8
// and 16 took more (docs/benchmarks.md).
const eventBatch = 64

// A Loop is an epoll descriptor, a queue of tasks, and the goroutines that
// serve them.
type Loop struct {
	epfd  int             // constant
	file  *os.File        // constant: owns epfd, registered with the runtime's poller
	conn  syscall.RawConn // constant: of file
	batch int             // constant: events asked for per harvest
	dog   *watchdog       // constant

	// Sends is for the owners of sockets: what others than the loop send at once.
	Sends Credit

	table table // has its own lock, never taken together with mu

	mu         sync.Mutex // a leaf: nothing is called under it
	head, tail *Task      // the queue, oldest first
	queued     int        // its length

	// Run permits: a worker may take tasks while its permit equals epoch.
	epoch     uint32 // never 0, which is "no permit"
	permits   int    // workers that hold the current epoch
	unstarted int    // goroutines started for the queue that have not come to run yet
	burst     int    // permits given out at the last rescue, see rescueLocked

	// The poll role: its holder parks on epfd. It is away between a harvest
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

// Pick returns one of the process's loops, in turn. The first call starts
// them, as many as GOMAXPROCS is then. If that fails the next call tries again:
// the process may just be out of descriptors.
func Pick() (*Loop, error) {
	pool.mu.Lock()
	defer pool.mu.Unlock()
	if pool.loops == nil {
		loops, err := start(runtime.GOMAXPROCS(0))
		if err != nil {
			return nil, err
		}
		pool.loops = loops
	}
	pool.next++
	return pool.loops[pool.next%uint32(len(pool.loops))], nil
}

// start makes n loops under one watchdog, or none.
func start(n int) ([]*Loop, error) {
	dog := new(watchdog)
	loops := make([]*Loop, 0, n)
	for range n {
		l, err := newLoop(dog, eventBatch)
		if err != nil {
			for _, l := range loops {
				l.file.Close()
			}
			return nil, err
		}
		loops = append(loops, l)
	}
	dog.loops = loops
	for _, l := range loops {
		l.begin()
	}
	return loops, nil
}

// newLoop makes a loop without goroutines.
func newLoop(dog *watchdog, batch int) (*Loop, error) {
	epfd, errno := sys.EpollCreate()
	if errno != 0 {
		return nil, os.NewSyscallError("epoll_create1", errno)
	}
	// os.NewFile registers a descriptor with the runtime's poller only if it
	// finds it in non-blocking mode (os/file_unix.go, kindNonBlock).
	if errno := sys.SetNonblock(epfd); errno != 0 {
		sys.Close(epfd)
		return nil, os.NewSyscallError("fcntl", errno)
	}
	file := os.NewFile(uintptr(epfd), "netstream-epoll")
	conn, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &Loop{epfd: epfd, file: file, conn: conn, batch: batch, dog: dog, epoch: 1}, nil
}

// begin starts the poller.
func (l *Loop) begin() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.startPollerLocked()
}

// Post queues t behind the tasks that are queued already. It may be called
// from any goroutine, never waits and never runs t itself. If nobody runs this
// loop's tasks it starts a goroutine that does.
func (l *Loop) Post(t *Task) {
	l.mu.Lock()
	t.next = nil
	t.stamp = l.dog.now()
	if l.head == nil {
		l.head = t
	} else {
		l.tail.next = t
	}
	l.tail = t
	l.queued++
	if l.permits == 0 {
		l.startRunnersLocked(1)
	}
	l.mu.Unlock()
	l.dog.wake()
}

// next takes the oldest task for w. Without a task: how says how w is to harvest
// before it runs more; if it is not to, w has no permit any more, either because
// it was lost or because the queue is empty and it was given back.
func (l *Loop) next(w *worker) (t *Task, how look) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.startedLocked()
	switch {
	case w.permit != l.epoch:
		w.permit = 0
		return nil, lookNot
	case l.head == nil:
		w.permit = 0
		l.permits--
		l.burst = 0
		return nil, lookNot
	case w.turn == 0: // what was queued when the turn began has been run
		w.turn = -1
		return nil, l.lookLocked(w)
	case w.turn < 0:
		w.turn = l.queued
	}
	w.turn--
	t = l.head
	l.head, t.next = t.next, nil
	if l.head == nil {
		l.tail = nil
	}
	l.queued--
	return t, lookNot
}

// look is a way to harvest.
type look uint8

const (
	lookNot  look = iota
	lookOnce      // one batch
	lookAll       // everything
)

// lookLocked says how w harvests between two turns. The poller is in no hurry:
// it harvests until nothing is left before it parks. But turns can be long, and
// with a batch for each the last of many sockets would wait for many turns, so
// once in a tick it takes everything too.
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
	if l.head != nil && l.permits == 0 {
		l.startRunnersLocked(1)
	}
}
