package netstream

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
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
	id       int
	p        []byte
	op       *operation // nil: a post
	soft     bool
	callback bool
	called   bool // the callback has started
	freed    bool // it was cancelled: its room is free before its callback starts
	torn     bool // the stream was torn when it was called
	late     bool // it was begun after CloseWrite
	cut      bool // somebody has asked for its end since it was called
	pending  bool // as of findPending: it is in the queue, or waits for room
	seq      uint64
	counts   bool // it holds room
	counted  bool // and held it before the event
	shutOut  bool // everything was cut while it waited for room
	leftRoom bool // it was cut then
	stops    bool // it is in flight and was cut
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
	rare.effects, rare.spent, rare.alone, rare.freed = effects{}, nil, false, freed{}
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
	r.dropped += fx.dropped
	r.lost += fx.posts
	fx.release()
	if fx.interrupt && r.w.phase != waiting {
		r.failf("nobody waits who could be interrupted")
	}
}

// call makes a new message of those pieces.
func (r *queueRig) call(blocking, soft bool, sizes ...int) *rigMessage {
	m := &rigMessage{id: len(r.messages), soft: soft, torn: r.w.tear != nil}
	size := 0
	for _, n := range sizes {
		size += n
	}
	m.p = m.bytes(0, size)
	m.op = newOperation(&r.owner, kindWrite, nil, nil)
	m.op.caller, m.op.begun = callerOf(blocking, soft), 1
	if len(sizes) > 1 {
		var pieces [][]byte
		for _, n := range sizes {
			pieces = append(pieces, m.p[:n:n])
			m.p = m.p[n:]
		}
		m.p = m.bytes(0, size)
		m.op.size = m.op.lend(pieces)
	} else {
		m.op.buffer[0], m.op.size = m.p, int64(size)
	}
	return m
}

// begin is BeginWrite, without an attempt of its own.
func (r *queueRig) begin(callback bool, sizes ...int) bool {
	if len(r.messages) > 60 {
		return false
	}
	m := r.call(false, false, sizes...)
	if callback {
		m.callback, m.op.callback = true, func(AsyncResult) {}
	}
	var fx writeEffects
	defer r.carryOut(&fx)
	if r.w.tear != nil || !r.admit(m.op.size, &fx) {
		m.op.release(2)
		return true
	}
	m.op.room = roomHeld
	if r.w.fin != finNone {
		m.late, m.op.fate, m.op.rarely().err = true, fateUnsent, errClosing
	}
	r.messages = append(r.messages, m)
	r.w.push(m.op)
	r.wanted = true
	return true
}

// post is Post.
func (r *queueRig) post(size int) bool {
	if r.w.fin != finNone || len(r.messages) > 60 {
		return false
	}
	m := &rigMessage{id: len(r.messages), torn: r.w.tear != nil}
	m.p = m.bytes(0, size)
	var fx writeEffects
	defer r.carryOut(&fx)
	if r.w.tear != nil || !r.admit(int64(size), &fx) {
		return true
	}
	r.messages = append(r.messages, m)
	r.w.post(m.p)
	r.wanted = true
	return true
}

// write is a blocking Write, or a WriteContext, that does not own the direction.
func (r *queueRig) write(soft bool, size int) bool {
	if r.w.fin != finNone || r.w.tear != nil && !(r.w.tear.resumable && soft) || len(r.messages) > 60 {
		return false
	}
	m := r.call(true, soft, size)
	r.messages = append(r.messages, m)
	if r.w.idle() && r.w.roomWrites == 0 {
		r.w.ownBlocking(m.op)
		r.batch = [][]byte{m.p}
		return true
	}
	if r.w.roomHead() == nil && r.w.charge(m.op.size) {
		m.op.room = roomHeld
		r.w.push(m.op)
		r.wanted = true
	} else {
		r.enterRoom(m.op)
	}
	return true
}

// decide is the owner asking for its next step.
func (r *queueRig) decide(over bool, fx *writeEffects) {
	r.sending, r.batch = false, nil
	r.w.joined.giveBack()
	held, hard := (r.undone > 0 || r.own) && !r.closed, r.tornForGood()
	next := r.w.decide(r.moving, over, held, fx)
	r.checkStopped()
	if r.closed {
		if r.findPending(); r.held > 0 {
			r.failf("what the engine holds keeps a closed stream busy")
		}
	}
	if r.moving != (next == stepPark) {
		r.failf("moving=%t, parked=%t", r.moving, next == stepPark)
	}
	switch next {
	case stepSend:
		if !r.w.inFlight() && (!held || hard) {
			r.failf("there is nothing to send")
		}
		r.sending = true
	case stepShutdown:
		if r.w.inFlight() || r.w.waits() || r.w.roomWrites > 0 || r.w.halfOut() {
			r.failf("the end is sent with something ahead, or behind half a message")
		}
	case stepPark:
		r.moving = false
	case stepYield, stepRest:
		r.wanted = next == stepYield || fx.flush // a turn that was wanted before finds nothing to do
		if r.w.phase == owned {
			r.failf("the direction was not given up")
		}
		if next == stepRest && r.w.roomWrites > 0 && r.w.empty() {
			r.failf("a write waits for room, and nothing is on its way")
		}
		if next == stepRest && (r.w.waits() && !fx.flush || r.w.inFlight()) {
			r.failf("the owner rests with something to do")
		}
		if next == stepRest && held && !r.tornForGood() {
			r.failf("the owner rests with bytes that are not in the kernel")
		}
	}
}

// tornForGood reports whether nothing may follow any more.
func (r *queueRig) tornForGood() bool { return r.w.tear != nil && !r.w.tear.resumable }

// take makes the caller the owner.
func (r *queueRig) take() bool {
	if r.w.phase != resting || r.w.empty() && !r.w.finAhead() && (!r.own || r.tornForGood() || r.closed) {
		return false
	}
	var fx writeEffects
	r.w.phase, r.wanted = owned, false
	r.decide(false, &fx)
	r.carryOut(&fx)
	return true
}

// answer is what an attempt brings: so many bytes taken, so many in the kernel, and an error.
func (r *queueRig) answer(batch [][]byte, taken, done int, err error, over bool) {
	left := taken
	for _, p := range batch {
		n := min(left, len(p))
		r.wire = append(r.wire, p[:n]...)
		left -= n
	}
	if left > 0 {
		r.failf("the engine takes more than it was given")
	}
	r.undone += taken - done
	r.undoneEver = r.undoneEver || taken != done
	var fx writeEffects
	failed := err != nil && err != engine.ErrInterrupted && err != engine.ErrWouldBlock
	head := r.headOperation()
	r.w.account(int64(taken), int64(done), err, &fx)
	r.w.returned()
	r.w.settle(int64(taken), &fx)
	if failed {
		r.w.fail(err, &fx)
		if head != nil && done == 0 && head.failure() == nil {
			r.failf("the connection has failed, and the first write has not")
		}
	}
	r.decide(over, &fx)
	r.carryOut(&fx)
}

// headOperation is the operation that is in flight first, nil if it is a post or there is none.
func (r *queueRig) headOperation() *operation {
	at, ok := r.w.head()
	if !ok || r.w.seqOf(at) >= r.w.claimed {
		return nil
	}
	return r.w.entryOf(at).op
}

// attempt makes one with up to most bytes taken; all the bytes the engine holds are done if push is set.
func (r *queueRig) attempt(most int, push bool, err error) bool {
	if !r.sending {
		return false
	}
	batch := r.w.fill(r.v)
	all := 0
	for _, p := range batch {
		all += len(p)
	}
	taken := min(most, all)
	done := taken + r.undone
	if !push {
		done = 0
	}
	r.own = r.own && !push
	if taken == 0 && done == 0 && err == nil && all > 0 { // an engine says so
		return false
	}
	r.answer(batch, taken, done, err, false)
	return true
}

// wait is an owner that can do nothing now.
func (r *queueRig) wait() bool {
	if !r.sending {
		return false
	}
	var fx writeEffects
	end, batch := uint64(0), [][]byte(nil)
	if r.canKeep {
		batch, end = r.w.join(engine.JoinAll)
	}
	if r.moving || r.w.cutting() {
		r.decide(false, &fx)
	} else {
		r.w.await(end)
		r.sending, r.batch = false, batch
		if !r.canKeep {
			r.checkGivenBack()
		}
	}
	r.carryOut(&fx)
	return true
}

// comeBack ends a wait or a call, with up to most bytes.
func (r *queueRig) comeBack(most int, err error) bool {
	if r.w.phase != waiting {
		return false
	}
	if r.w.fin == finSending {
		r.finSent = true
	}
	all := 0
	for _, p := range r.batch {
		all += len(p)
	}
	n := min(most, all)
	if n == 0 && err == nil {
		err = engine.ErrInterrupted
	}
	r.answer(r.batch, n, n, err, false)
	return true
}

// yield is an owner whose turn is over.
func (r *queueRig) yield() bool {
	if !r.sending {
		return false
	}
	var fx writeEffects
	r.decide(true, &fx)
	r.carryOut(&fx)
	return true
}

// cancel takes a message back. Those that have started are left alone.
func (r *queueRig) cancel(m *rigMessage) bool {
	if m == nil || m.op == nil || m.op.blocking() || m.op.completed() || r.w.started(m.op) {
		return false
	}
	var fx writeEffects
	r.w.take(m.op, errCanceled, &fx)
	m.freed = true
	r.checkWaitEnds(&fx)
	if fx.interrupt && !r.w.empty() {
		r.failf("the engine is to come back for nothing")
	}
	r.carryOut(&fx)
	if !m.op.completed() {
		r.failf("a cancelled write has not completed")
	}
	return true
}

// checkWaitEnds: when what the engine waits for has been taken back, its wait is ended.
func (r *queueRig) checkWaitEnds(fx *writeEffects) {
	if r.w.phase == waiting && r.w.empty() && !fx.interrupt {
		r.failf("the engine waits for nothing")
	}
}

// cut is a limit of that message's own.
func (r *queueRig) cut(m *rigMessage) bool {
	if m == nil || m.op == nil || m.op.completed() {
		return false
	}
	started := m.op.stage != awaitsRoom && r.w.started(m.op)
	alone := r.w.phase == resting
	waited := m.op.stage == awaitsRoom
	m.cut, m.leftRoom, m.stops = true, waited, started
	var fx writeEffects
	r.w.cut(m.op, errRig, &fx)
	if waited && !fx.flush {
		r.failf("nobody looks whether the end was waiting for it")
	}
	if !waited && !started {
		r.checkWaitEnds(&fx)
	}
	r.carryOut(&fx)
	if m.op.completed() != (!started || alone) {
		r.failf("started=%t, alone=%t, completed=%t: what has started is asked, else it ends", started, alone, m.op.completed())
	}
	return true
}

var (
	errRig        = &SocketError{Code: CodeTimedOut}
	errConnection = errors.New("the connection broke")
)

func (r *queueRig) cutAll(e error) bool {
	for _, m := range r.messages {
		m.cut = true
		m.stops = m.stops || m.op != nil && m.op.stage != awaitsRoom && !m.op.completed() && r.w.started(m.op)
		m.shutOut = m.shutOut || m.op != nil && m.op.stage == awaitsRoom
	}
	for _, c := range r.rooms {
		c.cut = c.cut || c.op.stage == awaitsRoom
	}
	var fx writeEffects
	r.w.cutEverything(e, &fx)
	r.carryOut(&fx)
	if r.w.waits() || r.w.roomHead() != nil {
		r.failf("something waits although everything was cut")
	}
	if r.w.phase == resting {
		r.checkStopped()
	}
	return true
}

// close is the abort of what a stream has; calls after it would be refused.
func (r *queueRig) close() bool {
	if r.w.fin == finNone {
		r.w.fin = finAsked
	}
	r.w.fin.cancel()
	r.asked, r.closed = false, true
	return r.cutAll(&ObjectDisposedError{ObjectName: "NetworkStream"})
}

func (r *queueRig) drain() bool {
	if len(r.drains) > 3 {
		return false
	}
	d := &drainCall{op: newOperation(&r.owner, kindDrain, nil, nil), behind: len(r.messages)}
	d.op.caller = byBlocking
	r.drains = append(r.drains, d)
	var fx writeEffects
	r.w.drain(d.op, &fx)
	r.carryOut(&fx)
	return true
}

// cutDrain is the context of the first Drain that waits.
func (r *queueRig) cutDrain() bool {
	for i, d := range r.drains {
		if d.served {
			continue
		}
		r.drains = append(r.drains[:i], r.drains[i+1:]...)
		var fx writeEffects
		r.w.cut(d.op, errRig, &fx)
		r.carryOut(&fx)
		if !errors.Is(d.op.failure(), errRig) {
			r.failf("a Drain that gives up says %v", d.op.failure())
		}
		for op := r.w.drainsHead(); op != nil; op = op.next {
			if op == d.op {
				r.failf("a Drain that has given up waits")
			}
		}
		d.op.release(1)
		return true
	}
	return false
}

func (r *queueRig) closeWrite() bool {
	if r.w.fin != finNone {
		return false
	}
	r.w.fin = finAsked
	r.asked, r.wanted = r.w.tear == nil, true
	return true
}

func (r *queueRig) move() bool {
	if r.moving || r.w.phase == parked {
		return false
	}
	r.moving = true
	if r.w.phase == resting {
		r.moving = false
		r.w.phase = parked
	}
	return true
}

func (r *queueRig) moved() bool {
	if r.w.phase != parked {
		return false
	}
	var fx writeEffects
	r.w.moved(&fx)
	r.wanted = true
	r.checkStopped()
	r.carryOut(&fx)
	return true
}

// start starts the callback that is ready first.
func (r *queueRig) start() bool {
	if len(r.ready) == 0 {
		return false
	}
	op := r.ready[0]
	r.ready = r.ready[1:]
	for _, m := range r.messages {
		if m.op == op {
			if m.called {
				r.failf("a callback is called twice")
			}
			m.called = true
		}
	}
	if op.room == roomHeld {
		r.w.uncharge(op)
	}
	if op.room == roomPiled {
		r.w.piled.Add(-1)
	}
	var fx writeEffects
	r.w.tidy(&fx)
	r.carryOut(&fx)
	return true
}

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
	if r.w.solo != nil {
		mark(entryFor(r.w.solo), r.w.soloSeq)
	}
	for c := r.w.chunks.first; c != nil; c = c.next {
		for i := range c.entries {
			if c.live&(1<<i) != 0 {
				mark(c.entries[i], c.seq+uint64(i))
			}
		}
	}
}

func callerOf(blocking, resumable bool) caller {
	switch {
	case resumable:
		return byResumable
	case blocking:
		return byBlocking
	}
	return byBegin
}
