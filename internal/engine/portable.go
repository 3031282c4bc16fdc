package engine

import (
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// portable is the engine over any net.Conn on any system. A goroutine exists only while something is under
// way: none for an idle connection's writes, one for a pending read. Tasks run on goroutines of their own.
//
// A wait is interrupted by setting the connection's deadline into the past; the deadline is taken away again
// before the next call. Deadlines of the owner itself live above the seam and never reach the connection.
type portable struct {
	// Constant after construction.
	owner   Owner
	traits  *Traits
	conn    net.Conn
	raw     syscall.RawConn // nil: conn has no descriptor that may be used directly
	direct  direct          // nil: conn is only a net.Conn
	foreign *foreign        // of a conn that is only a net.Conn, else nil; see foreign.go

	// mu guards what follows, except the calls' words. Setting a deadline of conn happens under it, so that a
	// late interrupt cannot hit the call after the one it was meant for. No other lock is taken under it. An owner calls
	// Cancel without a lock of its own.
	mu   sync.Mutex
	half [2]half // by direction
}

// direct is a connection that can do more than net.Conn asks for: the descriptor of a socket, an end of a Pipe.
// The try methods make one attempt without waiting; ErrWouldBlock if nothing can be done. The others wait, and
// obey the connection's deadlines.
type direct interface {
	tryRead(p []byte) (int, error)
	tryWrite(vectors [][]byte) (int, error)
	read(p []byte) (int, error) // an empty p waits until there is something to read
	write(vectors [][]byte) (int, error)
	awaitRoom() error // until another attempt to write is worth it; it moves no bytes, and may come back early
}

// directWaits is a direct whose waits are not all those of the net.Conn, as on Windows.
type directWaits interface {
	setDeadline(d Direction, at time.Time) error
	rawWrite(f func(fd uintptr) bool) error // RawConn.Write, with a wait
	closeRead() error
	handBack() // the connection goes back to the caller
}

// half is one direction's calls on the connection.
//
// The word says what goes on: 0 between calls, id<<32 | callRunning in one, with callPoked after its deadline was
// set into the past, and id<<32 | callAsked when the call of that id was cancelled before it began. A call
// begins and ends with one compare-and-swap; everything unusual happens under mu. A call with callEnding is that of
// CloseWrite, which no deadline interrupts.
type half struct {
	word    atomic.Uint64
	active  bool   // the direction's goroutine is at work
	pending bool   // a call is to be made
	next    uint32 // its id
	buffer  []byte // what it reads into, or what a foreign connection is to write
}

const (
	callRunning = 1 << 0
	callPoked   = 1 << 1
	callAsked   = 1 << 2
	callEnding  = 1 << 3
)

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// NewPortable makes an engine over any connection, which may not be used by anybody else from then on. Deadlines that
// are set on it are taken away.
func NewPortable(owner Owner, conn net.Conn, o Options) Connection {
	t := &portable{owner: owner, conn: conn, raw: rawConnOf(conn)}
	if c, ok := conn.(*pipeConn); ok {
		t.direct, t.traits = c, &pipeTraits
	} else if t.raw != nil {
		setNonblock(t.raw)
		t.direct, t.traits = newDescriptor(conn, t.raw), &socketTraits
	}
	if t.direct == nil {
		t.foreign = newForeign(conn, o)
		t.traits = foreignTraits(conn, t.raw != nil, o)
	}
	_ = conn.SetDeadline(time.Time{}) // one left over would cut at random
	return t
}

var (
	socketTraits = Traits{TriesWrite: true, OnlyWaits: [2]bool{Write: true}, Through: true, Socket: true, Halves: true}
	pipeTraits   = Traits{TriesWrite: true, OnlyWaits: [2]bool{Write: true}, Through: true, Halves: true}
)

// ToLoop makes the engine on a loop that replaces old, which has nothing under way. The caller closes retired, old's
// connection, when nobody is in a call on it any more; it is nil with LeaveOpen. If the loop cannot be had, old stays good.
func ToLoop(old Connection, owner Owner, o Options) (moved Connection, handle Handle, retired net.Conn, err error) {
	t, ok := old.(*portable)
	if !ok {
		return nil, Handle{}, nil, errors.ErrUnsupported
	}
	moved, handle, err = NewOnLoop(owner, t.conn, o)
	if err != nil || o.LeaveOpen {
		return moved, handle, nil, err
	}
	return moved, handle, t.conn, nil
}

func (t *portable) Traits() *Traits    { return t.traits }
func (t *portable) Held() bool         { return false }
func (t *portable) setOwner(o Owner)   { t.owner = o }
func (t *portable) MayPush(uint8) bool { return true }
func (t *portable) Post(task Task)     { go task.Run() }

// Hold implements Transport.
func (t *portable) Hold(b *Batch, task Task) { b.AddLone(task) }

func (t *portable) TryRead(p []byte) (int, error) {
	if t.foreign != nil {
		return t.lookForeign(p)
	}
	return t.direct.tryRead(p)
}

func (t *portable) TryWrite(vectors [][]byte) (taken, done int, err error) {
	if t.direct == nil {
		return 0, 0, ErrWouldBlock
	}
	n, err := t.direct.tryWrite(vectors)
	return n, n, err
}

func (t *portable) StartRead(id uint32, p []byte) bool {
	t.mu.Lock()
	t.half[Read].buffer = p
	return t.startLocked(Read, id)
}

func (t *portable) StartWrite(id uint32, vectors [][]byte) bool {
	t.mu.Lock()
	if t.foreign != nil { // it is given what one Write takes, see Joining
		t.half[Write].buffer = vectors[0]
	}
	return t.startLocked(Write, id)
}

// startLocked has the direction's goroutine make a blocking call, starting the goroutine if it is not at work. It gives
// up mu and returns true.
func (t *portable) startLocked(d Direction, id uint32) bool {
	h := &t.half[d]
	h.next, h.pending = id, true
	idle := !h.active
	h.active = true
	t.mu.Unlock()
	if idle {
		go t.calls(d)
	}
	return true
}

// calls makes blocking calls of one direction for as long as there are any.
func (t *portable) calls(d Direction) {
	for {
		t.mu.Lock()
		h := &t.half[d]
		if !h.pending {
			h.active = false
			t.mu.Unlock()
			return
		}
		buffer, id := h.buffer, h.next
		h.buffer, h.pending = nil, false
		t.mu.Unlock()
		switch {
		case d == Read:
			n, err := t.blockingRead(id, buffer)
			t.owner.ReadReturned(n, err)
		case t.foreign != nil:
			n, err := t.writeForeign(id, buffer)
			t.owner.WriteReturned(n, err)
		default:
			t.awaitRoom(id)
			t.owner.WriteReturned(0, ErrInterrupted)
		}
	}
}

// awaitRoom waits. Why it is over, the owner's next attempt tells.
func (t *portable) awaitRoom(id uint32) {
	if t.begin(Write, id, 0) {
		_ = t.end(Write, t.direct.awaitRoom())
	}
}

func (t *portable) ReadThrough(id uint32, p []byte) (int, error) { return t.blockingRead(id, p) }

func (t *portable) blockingRead(id uint32, p []byte) (int, error) {
	if t.foreign != nil {
		return t.readForeign(id, p)
	}
	if !t.begin(Read, id, 0) {
		return 0, ErrInterrupted
	}
	n, err := t.direct.read(p)
	return n, t.end(Read, err)
}

func (t *portable) WriteThrough(id uint32, vectors [][]byte) (int, error) {
	if t.foreign != nil {
		return t.writeForeign(id, vectors[0])
	}
	if !t.begin(Write, id, 0) {
		return 0, ErrInterrupted
	}
	n, err := t.direct.write(vectors)
	return n, t.end(Write, err)
}

// begin notes that a call of that id is about to block; false if it was cancelled already.
func (t *portable) begin(d Direction, id uint32, kind uint64) bool {
	h := &t.half[d]
	running := uint64(id)<<32 | callRunning | kind
	if h.word.CompareAndSwap(0, running) {
		return true
	}
	t.mu.Lock() // a cancel came first, for this id or one that is over
	defer t.mu.Unlock()
	if h.word.Load() == uint64(id)<<32|callAsked {
		h.word.Store(0)
		return false
	}
	h.word.Store(running)
	return true
}

// end notes that the call is over and takes an interrupt back.
func (t *portable) end(d Direction, err error) error {
	h := &t.half[d]
	if w := h.word.Load(); w&callPoked == 0 && h.word.CompareAndSwap(w, 0) {
		return err
	}
	t.mu.Lock()
	h.word.Store(0)
	if t.foreign != nil {
		close(t.foreign.pokes[d].over)
	} else {
		_ = t.setDeadline(d, time.Time{})
	}
	t.mu.Unlock()
	if isTimeout(err) { // foreign code
		return ErrInterrupted
	}
	return err
}

// isTimeout asks the first error of the chain that has an opinion.
func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

func (t *portable) Cancel(d Direction, id uint32, final bool) {
	if t.foreign != nil && final { // whatever has been done about this call before
		t.foreign.final.Store(true)
		time.AfterFunc(foreignPatience, func() { t.closeIfStuck(d, id) })
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h := &t.half[d]
	running := uint64(id)<<32 | callRunning
	for {
		w := h.word.Load()
		switch {
		case w&callAsked != 0 && int32(id-uint32(w>>32)) < 0:
			return // a later one was cancelled since
		case w&callRunning == 0:
			if h.word.CompareAndSwap(w, uint64(id)<<32|callAsked) {
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

func (t *portable) setDeadline(d Direction, at time.Time) error {
	if c, ok := t.direct.(directWaits); ok {
		return c.setDeadline(d, at)
	}
	if d == Read {
		return t.conn.SetReadDeadline(at)
	}
	return t.conn.SetWriteDeadline(at)
}
