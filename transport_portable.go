package netstream

import (
	"errors"
	"net"
	"os"
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

	// mu guards what follows, but for the calls' words. Setting a deadline of conn happens under it, so that a
	// late interrupt cannot hit the call after the one it was meant for. It is locked with no other lock held.
	mu    sync.Mutex
	half  [2]half // by direction
	ahead lookAhead
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
// begins and ends with one compare-and-swap; everything unusual happens under mu.
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
)

// lookAhead is the byte that a zero-byte read took from a connection that cannot be peeked.
type lookAhead struct {
	full bool
	b    [1]byte
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

const keptVectors = 64

func newPortable(s *NetworkStream, conn net.Conn) *portable {
	t := &portable{stream: s, conn: conn}
	t.raw = rawConnOf(conn)
	if c, ok := conn.(*pipeConn); ok {
		t.direct = c
	} else if t.raw != nil {
		t.direct = newDescriptor(t.raw)
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

func (t *portable) keeps() int {
	if t.direct == nil {
		return 1
	}
	return keptVectors
}

func (t *portable) post(task *loop.Task) { go task.Runner.Run() }

func (t *portable) tryRead(p []byte) (int, error) {
	if n, ok := t.takeAhead(p); ok {
		return n, nil
	}
	if t.direct == nil {
		return 0, errWouldBlock
	}
	return t.direct.tryRead(p)
}

func (t *portable) canTryWrite() bool { return t.direct != nil }

func (t *portable) tryWrite(vectors [][]byte) (int, error) {
	if t.direct == nil {
		return 0, errWouldBlock
	}
	return t.direct.tryWrite(vectors)
}

// takeAhead serves a read from the byte that was looked at before, if there is one.
func (t *portable) takeAhead(p []byte) (int, bool) {
	if t.direct != nil {
		return 0, false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.ahead.full {
		return 0, false
	}
	if len(p) == 0 {
		return 0, true
	}
	t.ahead.full = false
	p[0] = t.ahead.b[0]
	return 1, true
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

func (t *portable) through(turn uint32, move func(fd int) (int, syscall.Errno)) (n int, err error) {
	if !t.begin(dirWrite, turn) {
		return 0, errInterrupted
	}
	var errno syscall.Errno
	err = t.raw.Write(func(fd uintptr) bool {
		n, errno = move(int(fd))
		return errno != syscall.EAGAIN
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return n, t.end(dirWrite, err)
}

func (t *portable) blockingRead(turn uint32, p []byte) (int, error) {
	if n, ok := t.takeAhead(p); ok {
		return n, nil
	}
	if !t.begin(dirRead, turn) {
		return 0, errInterrupted
	}
	if t.direct != nil {
		n, err := t.direct.read(p)
		return n, t.end(dirRead, err)
	}
	if len(p) == 0 {
		return 0, t.end(dirRead, t.lookAhead())
	}
	n, err := t.conn.Read(p)
	if n > 0 { // an error beside data comes again with the next read, if it lasts
		err = nil
	} else if err == nil { // io.Reader allows it; it says nothing
		err = errInterrupted
	}
	return n, t.end(dirRead, err)
}

// lookAhead returns nil when a read would get data, and keeps the byte it had to take to know.
func (t *portable) lookAhead() error {
	n, err := t.conn.Read(t.ahead.b[:]) // only the owner of the reading is here, and full is false
	switch {
	case n == 1:
		t.mu.Lock()
		t.ahead.full = true
		t.mu.Unlock()
		return nil
	case err == nil:
		return errInterrupted
	}
	return err
}

func (t *portable) blockingWrite(turn uint32, vectors [][]byte) (n int, err error) {
	if !t.begin(dirWrite, turn) {
		return 0, errInterrupted
	}
	if t.direct != nil {
		n, err = t.direct.write(vectors)
	} else {
		n, err = t.conn.Write(vectors[0]) // it keeps one vector only
	}
	return n, t.end(dirWrite, err)
}

// begin notes that a call of that turn is about to block; false if it was cancelled already.
func (t *portable) begin(d direction, turn uint32) bool {
	h := &t.half[d]
	running := uint64(turn)<<32 | callRunning
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
	_ = t.setDeadline(d, time.Time{})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return errInterrupted
	}
	return err
}

func (t *portable) cancel(d direction, turn uint32) {
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
				return
			}
		case w != running: // another call, or poked already
			return
		case h.word.CompareAndSwap(running, running|callPoked):
			if err := t.setDeadline(d, longAgo); err != nil {
				h.word.Store(running) // not poked: the next cancel tries again
			}
			if t.direct == nil && t.stream.isClosed() {
				time.AfterFunc(interruptPatience, func() { t.closeIfStuck(d, turn) })
			}
			return
		}
	}
}

// interruptPatience is how long Close waits for a foreign connection whose deadlines do not work before it closes it
// under the call.
const interruptPatience = time.Second

func (t *portable) closeIfStuck(d direction, turn uint32) {
	if w := t.half[d].word.Load(); w&callRunning != 0 && uint32(w>>32) == turn {
		t.conn.Close()
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
