package netstream

import (
	"errors"
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

const haveEpoll = true

// epoll is the transport over a descriptor of our own on one of the loops. It keeps nothing of the stream's: start
// only waits for readiness, so whatever is queued can be cancelled while it waits, and an idle stream holds no
// vectors, no buffer and no goroutine.
type epoll struct {
	stream *NetworkStream
	socket *loop.Socket
	tcp    bool
	why    reason
	kept   net.Conn // LeaveOpen: the caller's connection, of which the descriptor is a duplicate

	// cancelled holds, by direction, the turn that was cancelled last: set<<32 | turn. A wait that begins after
	// its cancel finds it here.
	cancelled [2]atomic.Uint64

	// raw is told of readiness, by direction, instead of the stream while a raw call waits. It belongs to the owner of
	// the direction, and while that is armed to whoever disarms it.
	raw [2]chan struct{}
}

var reasons = [...]string{
	whyChosen:       "chosen by Config.Engine",
	whyAsynchronous: "made for asynchronous use",
	whyMoved:        "moved to the loop at the first asynchronous operation that had to wait or was left to it",
}

// newEpoll puts the descriptor fd, which it then owns, on a loop.
func newEpoll(s *NetworkStream, fd int, tcp bool, why reason) (*epoll, error) {
	socket, err := loop.Pick().Add(fd)
	if err != nil {
		return nil, err
	}
	_ = sys.SetNonblock(fd) // for sendfile and lingering; receives and sends do not rely on it
	t := &epoll{stream: s, socket: socket, tcp: tcp, why: why}
	// The loop knows the stream only while something waits, so one that is forgotten open can be collected.
	runtime.AddCleanup(s, func(socket *loop.Socket) {
		if socket.Remove() { // it was not closed
			sys.Close(socket.FD())
		}
	}, socket)
	return t, nil
}

// errBubble is why a stream cannot be on a loop. A loop's goroutines serve all streams and belong to no bubble: one that
// woke an End or ran a callback would end the program (a channel of a bubble that is used from outside), and one that
// a stream of a bubble started would be in that bubble.
var errBubble = errors.New("goroutines of a testing/synctest bubble cannot use a loop")

// adoptEpoll makes a transport on a loop over a duplicate of a TCP or Unix connection's descriptor. The caller closes
// the original, except with LeaveOpen.
func adoptEpoll(s *NetworkStream, conn net.Conn, why reason) (*epoll, error) {
	if inBubble() {
		return nil, errBubble
	}
	fd, err := control(rawConnOf(conn), sys.Dup)
	if err != nil {
		return nil, err
	}
	_, tcp := conn.(*net.TCPConn)
	t, err := newEpoll(s, fd, tcp, why)
	if err != nil {
		sys.Close(fd)
		return nil, err
	}
	if s.config.LeaveOpen {
		t.kept = conn
	}
	return t, nil
}

// toLoop returns the transport that replaces t, whose connection has nothing under way.
func (t *portable) toLoop() (transport, error) {
	e, err := adoptEpoll(t.stream, t.conn, whyMoved)
	if err != nil {
		return nil, err // not e: a nil *epoll is not a nil transport
	}
	return e, nil
}

func (t *epoll) engine() (Engine, string) { return EngineEpoll, reasons[t.why] }
func (t *epoll) keeps() int               { return 0 }
func (t *epoll) post(task *loop.Task)     { t.socket.Loop().Post(task) }
func (t *epoll) fd() int                  { return t.socket.FD() }
func (t *epoll) canCloseWrite() bool      { return true }
func (t *epoll) canTryWrite() bool        { return true }
func (t *epoll) hasDescriptor() bool      { return true }
func (t *epoll) closeWrite() error        { return errnoOrNil(sys.ShutdownWrite(t.fd())) }
func (t *epoll) closeRead() error         { return errnoOrNil(sys.ShutdownRead(t.fd())) }
func (t *epoll) available() (int, error)  { return intOrErrno(sys.Buffered(t.fd())) }
func (t *epoll) unsent() (int, error)     { return intOrErrno(sys.Unacked(t.fd())) }
func (t *epoll) control(f func(uintptr)) error {
	f(uintptr(t.fd()))
	return nil
}

func (t *epoll) joins() joining { return joinNothing }

func (t *epoll) startCloseWrite(uint32) bool { return false }

func (t *epoll) setOption(o option, value int) error {
	return setDescriptorOption(t.fd(), o, value)
}

func errnoOrNil(errno syscall.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

func intOrErrno(n int, errno syscall.Errno) (int, error) { return n, errnoOrNil(errno) }

func (t *epoll) tryRead(p []byte) (int, error) {
	tick, ok := t.socket.Readable()
	if !ok {
		return 0, errWouldBlock
	}
	n, errno := receive(t.fd(), p)
	// A short read means drained on TCP only, and not on every socket.
	if errno == syscall.EAGAIN || n > 0 && n < len(p) && t.tcp && !t.socket.MustDrain() {
		t.socket.ClearRead(tick)
	}
	return received(n, errno)
}

func (t *epoll) tryWrite(vectors [][]byte) (int, error) {
	tick, ok := t.socket.Writable()
	if !ok {
		return 0, errWouldBlock
	}
	n, errno := sys.Sendv(t.fd(), vectors)
	if errno == syscall.EAGAIN {
		t.socket.ClearWrite(tick)
	}
	return sent(n, errno)
}

func (t *epoll) startRead(turn uint32, _ []byte) bool {
	tick, ok := t.socket.Readable()
	if ok || !t.socket.AwaitRead(tick, t) {
		return false
	}
	return !t.wasCancelled(dirRead, turn) || !t.socket.CancelRead()
}

func (t *epoll) startWrite(turn uint32, _ [][]byte) bool {
	tick, ok := t.socket.Writable()
	if ok || !t.socket.AwaitWrite(tick, t) {
		return false
	}
	return !t.wasCancelled(dirWrite, turn) || !t.socket.CancelWrite()
}

func (t *epoll) mayPush() bool { return takePush(&t.socket.Loop().Sends) }

func (t *epoll) readThrough(uint32, []byte) (int, error)    { return 0, errWouldBlock }
func (t *epoll) writeThrough(uint32, [][]byte) (int, error) { return 0, errWouldBlock }

func (t *epoll) wasCancelled(d direction, turn uint32) bool {
	return t.cancelled[d].Load() == 1<<32|uint64(turn)
}

// cancel may end a later wait than the one that was meant. That does no harm: nothing is lent to the kernel, so
// the stream just waits again.
func (t *epoll) cancel(d direction, turn uint32) {
	for {
		old := t.cancelled[d].Load()
		if old != 0 && int32(turn-uint32(old)) < 0 || t.cancelled[d].CompareAndSwap(old, 1<<32|uint64(turn)) {
			break
		}
	}
	switch {
	case d == dirRead && t.socket.CancelRead():
		t.ReadReady()
	case d == dirWrite && t.socket.CancelWrite():
		t.WriteReady()
	}
}

// ReadReady implements loop.Waiter: the wait is over, the stream tries again.
func (t *epoll) ReadReady() {
	if !t.rawReady(dirRead) {
		t.stream.readReturned(0, errInterrupted)
	}
}

// WriteReady implements loop.Waiter.
func (t *epoll) WriteReady() {
	if !t.rawReady(dirWrite) {
		t.stream.writeReturned(0, errInterrupted)
	}
}

// sawReset is rawSawReset on a descriptor of our own.
func (t *epoll) sawReset() bool {
	if !t.tcp {
		return false
	}
	state, errno := sys.TCPState(t.fd())
	return errno == 0 && state == sys.TCPClose
}

// close removes the descriptor from epoll before it is closed: a duplicate elsewhere would keep events coming
// for a number that is in use again.
func (t *epoll) close(how ending) {
	t.socket.Remove()
	switch {
	case how == endReset:
		t.reset()
	case how == endOrderly && t.tcp:
		t.closeOrderly()
	default:
		sys.Close(t.fd())
	}
	if how == endOrderly && t.kept != nil { // Socket().Close closes the caller's connection too
		t.kept.Close()
	}
	t.stream.transportClosed()
}

func (t *epoll) reset() {
	_ = sys.SetLingerReset(t.fd())
	if t.kept != nil { // the reset comes when the last descriptor is closed
		sys.Close(t.fd())
		t.kept.Close()
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
	if unread == 0 && unsent == 0 || t.sawReset() {
		sys.Close(fd)
		return
	}
	_ = sys.SetNonblock(fd) // os.NewFile looks at the mode: only then can the file wait in the runtime's poller
	f := os.NewFile(uintptr(fd), "socket")
	startLinger(f, func() bool {
		n, errno := sys.Unacked(fd)
		return n == 0 || errno != 0 || t.sawReset()
	})
}
