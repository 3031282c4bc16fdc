package engine

import (
	"errors"
	"net"
	"os"
	"sync/atomic"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// HasLoops reports whether this system has an engine with loops.
const HasLoops = true

// epoll is the engine over a descriptor of our own on one of the loops. It keeps nothing of the owner's: start only waits
// for readiness, so whatever is queued can be cancelled while it waits, and an idle connection holds no vectors, no
// buffer and no goroutine.
type epoll struct {
	owner Owner // replaced when nothing is under way, if another engine comes to stand on this one

	socket *loop.Socket // constant

	// cancelled holds, by direction, the id that was cancelled last: set<<32 | id. A wait that begins after
	// its cancel finds it here.
	cancelled [2]atomic.Uint64

	uncommon atomic.Pointer[uncommonEpoll] // nil until it is needed
}

// uncommonEpoll is what few connections need.
type uncommonEpoll struct {
	kept net.Conn // LeaveOpen: the caller's connection, of which the descriptor is a duplicate. Constant after construction

	// raw is told of readiness, by direction, instead of the owner while a raw call waits. It belongs to whoever owns the
	// direction, and while that is armed to whoever disarms it.
	raw [2]chan struct{}
}

// rarely returns what few connections need, and makes it at the first call.
func (t *epoll) rarely() *uncommonEpoll {
	if t.uncommon.Load() == nil {
		t.uncommon.CompareAndSwap(nil, new(uncommonEpoll))
	}
	return t.uncommon.Load()
}

// kept is the connection that LeaveOpen keeps, if there is one.
func (t *epoll) kept() net.Conn {
	if u := t.uncommon.Load(); u != nil {
		return u.kept
	}
	return nil
}

var epollTraits = Traits{TriesWrite: true, OnlyWaits: [2]bool{true, true}, Socket: true, Halves: true}

// Handle is what of an engine outlives an owner that is forgotten open. The loop knows the owner only while something
// waits, so it can be collected.
type Handle struct{ socket *loop.Socket }

// Release closes the descriptor, if nobody has.
func (h Handle) Release() {
	if h.socket.Remove() {
		sys.Close(h.socket.FD())
	}
}

// errBubble is why a connection cannot be on a loop. A loop's goroutines serve all connections and belong to no bubble: one
// that woke an End or ran a callback would end the program (a channel of a bubble that is used from outside), and one that
// a stream of a bubble started would be in that bubble.
var errBubble = errors.New("goroutines of a testing/synctest bubble cannot use a loop")

// NewOnLoop makes an engine on a loop over a duplicate of a TCP or Unix connection's descriptor; see OnLoop. The caller
// closes conn, except with LeaveOpen, and has the handle released when the owner is forgotten.
func NewOnLoop(owner Owner, conn net.Conn, o Options) (Connection, Handle, error) {
	if inBubble() {
		return nil, Handle{}, errBubble
	}
	raw := rawConnOf(conn)
	if raw == nil {
		return nil, Handle{}, errors.ErrUnsupported
	}
	fd, err := control(raw, sys.Dup)
	if err != nil {
		return nil, Handle{}, err
	}
	_, tcp := conn.(*net.TCPConn)
	socket, err := loop.Pick().Add(fd, tcp)
	if err != nil {
		sys.Close(fd)
		return nil, Handle{}, err
	}
	_ = sys.SetNonblock(fd) // for sendfile and lingering; receives and sends do not rely on it
	t := &epoll{owner: owner, socket: socket}
	if o.LeaveOpen {
		t.rarely().kept = conn
	}
	return t, Handle{socket}, nil
}

func (t *epoll) Traits() *Traits              { return &epollTraits }
func (t *epoll) Held() bool                   { return false }
func (t *epoll) setOwner(o Owner)             { t.owner = o }
func (t *epoll) Post(task Task)               { t.socket.Loop().Post(task) }
func (t *epoll) Hold(b *Batch, task Task)     { b.Add(t.socket.Loop(), task) }
func (t *epoll) MayPush(most uint8) bool      { return TakePush(&t.socket.Loop().Sends, most) }
func (t *epoll) fd() int                      { return t.socket.FD() }
func (t *epoll) Available() (int, error)      { return intOrErrno(sys.Buffered(t.fd())) }
func (t *epoll) Unacknowledged() (int, error) { return intOrErrno(sys.Unacked(t.fd())) }
func (t *epoll) CloseRead() error             { return errnoOrNil(sys.ShutdownRead(t.fd())) }
func (t *epoll) CloseWrite() error            { return errnoOrNil(sys.ShutdownWrite(t.fd())) }
func (t *epoll) StartCloseWrite(uint32) bool  { return false }
func (t *epoll) Control(f func(uintptr)) error {
	f(uintptr(t.fd()))
	return nil
}

func errnoOrNil(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func intOrErrno(n int, errno syscall.Errno) (int, error) { return n, errnoOrNil(errno) }

func (t *epoll) TryRead(p []byte) (int, error) {
	tick, ok := t.socket.Readable()
	if !ok {
		return 0, ErrWouldBlock
	}
	n, errno := receive(t.fd(), p)
	if errno == syscall.EAGAIN || n > 0 && n < len(p) && !t.socket.MustDrain() {
		t.socket.ClearRead(tick)
	}
	return received(n, errno)
}

func (t *epoll) TryWrite(vectors [][]byte) (taken, done int, err error) {
	tick, ok := t.socket.Writable()
	if !ok {
		return 0, 0, ErrWouldBlock
	}
	n, errno := sys.Sendv(t.fd(), vectors)
	if errno == syscall.EAGAIN {
		t.socket.ClearWrite(tick)
	}
	n, err = sent(n, errno)
	return n, n, err
}

func (t *epoll) StartRead(id uint32, _ []byte) bool {
	tick, ok := t.socket.Readable()
	if ok || !t.socket.AwaitRead(tick, t) {
		return false
	}
	return !t.wasCancelled(Read, id) || !t.socket.CancelRead()
}

func (t *epoll) StartWrite(id uint32, _ [][]byte) bool {
	tick, ok := t.socket.Writable()
	if ok || !t.socket.AwaitWrite(tick, t) {
		return false
	}
	return !t.wasCancelled(Write, id) || !t.socket.CancelWrite()
}

func (t *epoll) ReadThrough(uint32, []byte) (int, error)    { return 0, ErrInterrupted }
func (t *epoll) WriteThrough(uint32, [][]byte) (int, error) { return 0, ErrInterrupted }

func (t *epoll) wasCancelled(d Direction, id uint32) bool {
	return t.cancelled[d].Load() == 1<<32|uint64(id)
}

// Cancel may end a later wait than the one that was meant. That does no harm: nothing is lent to the kernel, so
// the owner just waits again.
func (t *epoll) Cancel(d Direction, id uint32, _ bool) {
	for {
		old := t.cancelled[d].Load()
		if old != 0 && int32(id-uint32(old)) < 0 || t.cancelled[d].CompareAndSwap(old, 1<<32|uint64(id)) {
			break
		}
	}
	switch {
	case d == Read && t.socket.CancelRead():
		t.ReadReady()
	case d == Write && t.socket.CancelWrite():
		t.WriteReady()
	}
}

// ReadReady implements loop.Waiter: the wait is over, the owner tries again.
func (t *epoll) ReadReady() {
	if !t.rawReady(Read) {
		t.owner.ReadReturned(0, ErrInterrupted)
	}
}

// WriteReady implements loop.Waiter.
func (t *epoll) WriteReady() {
	if !t.rawReady(Write) {
		t.owner.WriteReturned(0, ErrInterrupted)
	}
}

// SawReset is rawSawReset on a descriptor of our own.
func (t *epoll) SawReset() bool {
	if !t.socket.TCP() {
		return false
	}
	state, errno := sys.TCPState(t.fd())
	return errno == 0 && state == sys.TCPClose
}

// Close removes the descriptor from epoll before it is closed: a duplicate elsewhere would keep events coming
// for a number that is in use again.
func (t *epoll) Close(how Ending) {
	t.socket.Remove()
	switch {
	case how == Reset:
		t.reset()
	case how == Orderly && t.socket.TCP():
		t.closeOrderly()
	default:
		sys.Close(t.fd())
	}
	if kept := t.kept(); how == Orderly && kept != nil { // Socket().Close closes the caller's connection too
		kept.Close()
	}
	t.owner.Closed()
}

func (t *epoll) reset() {
	_ = sys.SetLingerReset(t.fd())
	if kept := t.kept(); kept != nil { // the reset comes when the last descriptor is closed
		sys.Close(t.fd())
		kept.Close()
		return
	}
	sys.Close(t.fd())
}

// closeOrderly is closeTCP on a descriptor of our own.
func (t *epoll) closeOrderly() {
	fd := t.fd()
	unread, _ := sys.Buffered(fd)
	unsent, _ := sys.Unacked(fd)
	_ = sys.ShutdownWrite(fd)
	if unread == 0 && unsent == 0 || t.SawReset() {
		sys.Close(fd)
		return
	}
	_ = sys.SetNonblock(fd) // os.NewFile looks at the mode: only then can the file wait in the runtime's poller
	f := os.NewFile(uintptr(fd), "socket")
	startLinger(f, func() bool {
		n, errno := sys.Unacked(fd)
		return n == 0 || errno != 0 || t.SawReset()
	})
}
