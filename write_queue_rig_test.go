package netstream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// queueRig is a writing direction around a writeQueue: it plays the stream, the engine and the callers, one event after the
// other, and compares the queue with what it knows itself. There is no lock, no connection and no time in it.
type queueRig struct {
	testing.TB
	w      writeQueue
	v      *vectors
	config Config
	owner  owner

	messages   []*rigMessage // in the order of their calls; refused ones are not among them
	wire       []byte        // what the engine has taken
	undone     int           // of it, the last bytes that are not in the kernel yet
	held       uint64        // behind the last entry that stands for a Write that was cut, whose bytes the engine holds; 0: there is none
	undoneEver bool          // the engine has held bytes
	own        bool          // the engine has something of its own to send
	ready      []*operation
	drains     []*drainCall
	rooms      []*roomCall
	line       []*operation // those that have waited for room
	groupWants bool         // a Group would know that somebody does
	wanted     bool         // the loop is to go on
	told       told
	dropped    int
	lost       int  // posts
	asked      bool // CloseWrite was called, with nothing lost, and Close was not
	closed     bool
	finSent    bool
	moving     bool

	sending bool     // the owner is about to make an attempt
	batch   [][]byte // what a transport that does not only wait is sending
	canKeep bool     // it does not only wait
	quiet   bool     // these events have been checked before
	events  []string // so far
}

// rigMessage is a write or a post. Its bytes say which one it is, and where in it they stand.
type rigMessage struct {
	id        int
	p         []byte
	op        *operation // nil: a post
	resumable bool
	callback  bool
	called    bool // the callback has started
	freed     bool // it was cancelled: its room is free before its callback starts
	torn      bool // the stream was torn when it was called
	late      bool // it was begun after CloseWrite
	cut       bool // somebody has asked for its end since it was called
	pending   bool // as of findPending: it is in the queue, or waits for room
	seq       uint64
	counts    bool // it holds room
	counted   bool // and held it before the event
	shutOut   bool // everything was cut while it waited for room
	leftRoom  bool // it was cut then
	stops     bool // it is in flight and was cut
}

type drainCall struct {
	op     *operation
	behind int // messages called before it
	served bool
	when   int // after how many events
}

var allBytes = func() (p []byte) {
	for i := range 256 {
		p = append(p, byte(i))
	}
	return p
}()

func (m *rigMessage) bytes(from, to int) []byte {
	return allBytes[m.id<<2+from : m.id<<2+to : m.id<<2+to]
}

// newQueueRig returns a rig that takes the memory of old, which is over; nil: there is none.
func newQueueRig(t testing.TB, v *vectors, config Config, old *queueRig) *queueRig {
	r := &queueRig{TB: t, v: v, config: config}
	if old != nil {
		r.messages, r.wire, r.ready, r.events = old.messages[:0], old.wire[:0], old.ready[:0], old.events[:0]
	}
	r.w.config = &r.config
	return r
}

func (r *queueRig) failf(format string, args ...any) {
	r.Helper()
	r.Fatalf("%s\nafter %s", fmt.Sprintf(format, args...), strings.Join(r.events, ", "))
}

// carryOut does what the effects say.
func (r *queueRig) carryOut(fx *writeEffects) {
	rare := *fx
	rare.effects, rare.over, rare.spent, rare.alone, rare.freed = effects{}, opList{}, nil, false, freed{}
	if !fx.rare && (rare != writeEffects{} || fx.interrupt) {
		r.failf("the stream would not look at %+v", rare)
	}
	r.told.add(fx)
	if fx.roomLeft {
		r.groupWants = false
	}
	r.wanted = r.wanted || fx.flush
	for op := fx.ready.popFront(); op != nil; op = fx.ready.popFront() {
		r.ready = append(r.ready, op)
	}
	for op := fx.drained.popFront(); op != nil; op = fx.drained.popFront() {
		for _, d := range r.drains {
			if d.op == op {
				if d.served {
					r.failf("a Drain is served twice")
				}
				d.served, d.when = true, len(r.events)
			}
		}
	}
	for op := fx.over.head; op != nil; op = op.next {
		if !op.completed() {
			r.failf("an operation is released before it has completed")
		}
	}
	r.dropped += int(fx.dropped)
	r.lost += int(fx.failures.posts)
	fx.release()
	if fx.interrupt && r.w.phase != waiting {
		r.failf("nobody waits who could be interrupted")
	}
}

// tornForGood reports whether nothing may follow any more.
func (r *queueRig) tornForGood() bool { return r.w.tear != nil && !r.w.tear.resumable }

var (
	errRig        = &SocketError{Code: CodeTimedOut}
	errConnection = errors.New("the connection broke")
)

// findPending notes which messages are in the queue or wait for room.
func (r *queueRig) findPending() {
	for _, m := range r.messages {
		m.pending = m.op != nil && m.op.stage == awaitsRoom
	}
	r.held = 0
	mark := func(e entry, seq uint64) {
		known := false
		for _, m := range r.messages {
			if m.op != nil && e.op == m.op || m.op == nil && e.op == nil && &e.p[0] == &m.p[0] {
				m.pending, m.seq, known = true, seq, true
			}
		}
		if !known {
			r.held = seq + 1
		}
	}
	if r.w.solo[0] != nil {
		mark(entry{op: r.w.solo[0]}, r.w.soloSeq)
	}
	for c := r.w.chunks.first; c != nil; c = c.next {
		for i := range c.ops {
			if c.live&(1<<i) != 0 {
				mark(c.entry(i), c.seq+uint64(i))
			}
		}
	}
}
