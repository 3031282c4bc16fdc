package netstream

import (
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
)

// portable is the transport over any net.Conn on any system. A goroutine exists only while something is under
// way: none for an idle stream's writes, one for a pending read. Callbacks run on goroutines of the stream's own.
//
// A wait is interrupted by setting the connection's deadline into the past; the deadline is taken away again
// before the next call. Deadlines of the stream itself live above the seam and never reach the connection.
type portable struct {
	stream *NetworkStream
	conn   net.Conn
	raw    syscall.RawConn // nil: conn has no descriptor that may be used directly
	direct direct          // nil: conn is only a net.Conn
	stays  error           // why the stream could not move to the loop; guarded by the stream's mu

	foreign *foreign // of a conn that is only a net.Conn, else nil; see foreign.go

	// mu guards what follows, but for the calls' words. Setting a deadline of conn happens under it, so that a
	// late interrupt cannot hit the call after the one it was meant for. It is locked with no other lock held.
	mu   sync.Mutex
	half [2]half // by direction
}

// direct is a connection that can do more than net.Conn asks for: the descriptor of a socket, an end of a Pipe.
// The try methods make one attempt without waiting; errWouldBlock if nothing can be done. The others wait, and
// obey the connection's deadlines.
type direct interface {
	tryRead(p []byte) (int, error)
	tryWrite(vectors [][]byte) (int, error)
	read(p []byte) (int, error) // an empty p waits until there is something to read
	write(vectors [][]byte) (int, error)
}

// half is one direction's calls on the connection.
//
// The word says what goes on: 0 between calls, turn<<32 | callRunning in one, with callPoked after its deadline was
// set into the past, and turn<<32 | callAsked when the call of that turn was cancelled before it began. A call
// begins and ends with one compare-and-swap; everything unusual happens under mu. A call with callEnding is that of
// CloseWrite, which no deadline interrupts.
type half struct {
	word    atomic.Uint64
	active  bool     // the direction's goroutine is at work
	pending bool     // a call is to be made
	next    uint32   // its turn
	buffer  []byte   // what it reads into
	vectors [][]byte // what it writes
}

const (
	callRunning = 1 << 0
	callPoked   = 1 << 1
	callAsked   = 1 << 2
	callEnding  = 1 << 3
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

const keptVectors = 64

func newPortable(s *NetworkStream, conn net.Conn) *portable {
	t := &portable{stream: s, conn: conn}
	t.raw = rawConnOf(conn)
	if c, ok := conn.(*pipeConn); ok {
		t.direct = c
	} else if t.raw != nil {
		setNonblock(t.raw)
		t.direct = newDescriptor(t.raw)
	}
	if t.direct == nil {
		t.foreign = newForeign(conn, s.config.GatherWrites)
	}
	return t
}

// rawConnOf returns the descriptor of exactly a TCP or Unix connection: a type that embeds one may encrypt.
func rawConnOf(conn net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	}
	return raw
}

func (t *portable) engine() (Engine, string) {
	t.stream.mu.Lock()
	defer t.stream.mu.Unlock()
	switch {
	case t.stays != nil:
		return EnginePortable, "the loop could not be had: " + t.stays.Error()
	case t.stream.config.Engine == EnginePortable:
		return EnginePortable, "chosen by Config.Engine"
	case t.stream.canMove:
		return EnginePortable, "no asynchronous operation has had to wait yet"
	}
	return EnginePortable, "the connection is not a TCP or Unix socket of a system with a native engine"
}

func (t *portable) keeps() int { return keptVectors }

func (t *portable) joins() joining {
	if t.foreign == nil {
		return joinNothing
	}
	return t.foreign.joins
}

func (t *portable) post(task *loop.Task) { go task.Runner.Run() }

func (t *portable) tryRead(p []byte) (int, error) {
	if t.foreign != nil {
		return t.tryReadForeign(p)
	}
	return t.direct.tryRead(p)
}

func (t *portable) canTryWrite() bool { return t.direct != nil }

// mayPush is always true where no loop could do it instead.
func (t *portable) mayPush() bool { return !t.stream.canMove || takePush(&unmoved) }

func (t *portable) tryWrite(vectors [][]byte) (int, error) {
	if t.direct == nil {
		return 0, errWouldBlock
	}
	return t.direct.tryWrite(vectors)
}

func (t *portable) startRead(turn uint32, p []byte) bool {
	t.mu.Lock()
	t.half[dirRead].buffer = p
	return t.startLocked(dirRead, turn)
}

func (t *portable) startWrite(turn uint32, vectors [][]byte) bool {
	kept := append([][]byte(nil), vectors...)
	t.mu.Lock()
	t.half[dirWrite].vectors = kept
	return t.startLocked(dirWrite, turn)
}

// startLocked has the direction's goroutine make a blocking call, starting the goroutine if it is not at work. It gives
// up mu and returns true.
func (t *portable) startLocked(d direction, turn uint32) bool {
	h := &t.half[d]
	h.next, h.pending = turn, true
	idle := !h.active
	h.active = true
	t.mu.Unlock()
	if idle {
		go t.calls(d)
	}
	return true
}

// calls makes blocking calls of one direction for as long as there are any.
func (t *portable) calls(d direction) {
	for {
		t.mu.Lock()
		h := &t.half[d]
		if !h.pending {
			h.active = false
			t.mu.Unlock()
			return
		}
		buffer, vectors, turn := h.buffer, h.vectors, h.next
		h.buffer, h.vectors, h.pending = nil, nil, false
		t.mu.Unlock()
		if d == dirRead {
			n, err := t.blockingRead(turn, buffer)
			t.stream.readReturned(n, err)
		} else {
			n, err := t.blockingWrite(turn, vectors)
			t.stream.writeReturned(n, err)
		}
	}
}

func (t *portable) readThrough(turn uint32, p []byte) (int, error) { return t.blockingRead(turn, p) }

func (t *portable) writeThrough(turn uint32, vectors [][]byte) (int, error) {
	return t.blockingWrite(turn, vectors)
}

func (t *portable) hasDescriptor() bool { return t.raw != nil }

func (t *portable) blockingRead(turn uint32, p []byte) (int, error) {
	if t.foreign != nil {
		return t.readForeign(turn, p)
	}
	if !t.begin(dirRead, turn, 0) {
		return 0, errInterrupted
	}
	n, err := t.direct.read(p)
	return n, t.end(dirRead, err)
}

func (t *portable) blockingWrite(turn uint32, vectors [][]byte) (int, error) {
	if t.foreign != nil {
		return t.writeForeign(turn, vectors[0]) // it is given what one Write takes, see joins
	}
	if !t.begin(dirWrite, turn, 0) {
		return 0, errInterrupted
	}
	n, err := t.direct.write(vectors)
	return n, t.end(dirWrite, err)
}

// begin notes that a call of that turn is about to block; false if it was cancelled already.
func (t *portable) begin(d direction, turn uint32, kind uint64) bool {
	h := &t.half[d]
	running := uint64(turn)<<32 | callRunning | kind
	if h.word.CompareAndSwap(0, running) {
		return true
	}
	t.mu.Lock() // a cancel came first, for this turn or one that is over
	defer t.mu.Unlock()
	if h.word.Load() == uint64(turn)<<32|callAsked {
		h.word.Store(0)
		return false
	}
	h.word.Store(running)
	return true
}

// end notes that the call is over and takes an interrupt back.
func (t *portable) end(d direction, err error) error {
	h := &t.half[d]
	if w := h.word.Load(); w&callPoked == 0 && h.word.CompareAndSwap(w, 0) {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h.word.Store(0)
	if t.foreign != nil {
		close(t.foreign.pokes[d].over)
	} else {
		_ = t.setDeadline(d, time.Time{})
	}
	if timeout, _ := asTimeout(err); timeout {
		return errInterrupted
	}
	return err
}

func (t *portable) cancel(d direction, turn uint32) {
	if t.foreign != nil && t.stream.isClosed() { // whatever has been done about this call before
		time.AfterFunc(foreignPatience, func() { t.closeIfStuck(d, turn) })
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h := &t.half[d]
	running := uint64(turn)<<32 | callRunning
	for {
		w := h.word.Load()
		switch {
		case w&callAsked != 0 && int32(turn-uint32(w>>32)) < 0:
			return // a later turn was cancelled since
		case w&callRunning == 0:
			if h.word.CompareAndSwap(w, uint64(turn)<<32|callAsked) {
				if t.foreign != nil {
					t.foreign.wakeLocked(d)
				}
				return
			}
		case w != running: // another call, or poked already
			return
		case h.word.CompareAndSwap(running, running|callPoked):
			if t.foreign != nil {
				t.pokeLocked(d)
			} else if err := t.setDeadline(d, longAgo); err != nil {
				h.word.Store(running) // not poked: the next cancel tries again
			}
			return
		}
	}
}

func (t *portable) setDeadline(d direction, at time.Time) error {
	if d == dirRead {
		return t.conn.SetReadDeadline(at)
	}
	return t.conn.SetWriteDeadline(at)
}

// control runs f on the descriptor and returns its errno as an error.
func control(raw syscall.RawConn, f func(fd int) (int, syscall.Errno)) (int, error) {
	var n int
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) { n, errno = f(int(fd)) }); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}
