package netstream

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// readRig is a reading direction around a readQueue, as queueRig is for the writing: bytes come in order, each one is
// delivered once, to the reads in the order of their calls.
type readRig struct {
	testing.TB
	r      readQueue
	reads  []*rigRead // in the order of their calls
	came   int        // bytes that have come
	moving bool
	trying bool // the owner is about to make an attempt
	keeps  bool // the transport reads into the buffer while it waits
	raw    *operation
	events []string
}

type rigRead struct {
	op        *operation
	first     int // the bytes that it got
	cancelled bool
	cut       bool // somebody has asked for its end since it was begun
}

func (q *readRig) failf(format string, args ...any) {
	q.Helper()
	q.Fatalf("%s\nafter %s", fmt.Sprintf(format, args...), strings.Join(q.events, ", "))
}

func (q *readRig) carryOut(fx *effects) {
	if fx.interrupt && q.r.phase != waiting {
		q.failf("nobody waits who could be interrupted")
	}
	for op := fx.ready.popFront(); op != nil; op = fx.ready.popFront() {
		op.release(1)
	}
}

func (q *readRig) begin(callback bool) bool {
	if len(q.reads) > 100 {
		return false
	}
	op := newOperation(nil, kindRead, nil, nil)
	op.size = 2
	if callback {
		op.callback = func(AsyncResult) {}
	}
	q.reads = append(q.reads, &rigRead{op: op, first: -1})
	q.r.push(op)
	return true
}

// beginAtOnce is a Begin that finds nothing ahead and makes its own attempt.
func (q *readRig) beginAtOnce() bool {
	if !q.r.idle() || !q.begin(false) {
		return false
	}
	q.r.own(q.r.queued.popFront(), owned)
	q.trying = true
	return true
}

func (q *readRig) read() bool {
	if !q.r.idle() {
		return q.begin(false)
	}
	op := newOperation(nil, kindRead, nil, nil)
	op.size, op.caller = 2, byBlocking
	q.reads = append(q.reads, &rigRead{op: op, first: -1})
	q.r.own(op, waiting)
	return true
}

func (q *readRig) take() bool {
	if q.r.phase != resting || q.r.empty() && q.r.rarely().raws.empty() {
		return false
	}
	q.r.phase = owned // the loop was asked to come when something was queued
	q.decide(false)
	return true
}

func (q *readRig) decide(over bool) {
	var fx effects
	next := q.r.decide(q.moving, over, &fx)
	if q.moving != (next == readPark) {
		q.failf("moving=%t, parked=%t", q.moving, next == readPark)
	}
	switch next {
	case readOne:
		q.trying = true
		if q.r.current == nil {
			q.failf("there is nothing to read for")
		}
	default:
		q.trying = false
		if q.r.current != nil {
			q.failf("a read is in flight and nobody works on it")
		}
		if next == readPark {
			q.moving = false
		}
		if next == readRest && !q.r.queued.empty() {
			q.failf("the owner rests with something to do")
		}
	}
	q.carryOut(&fx)
}

// answer is what an attempt has brought: so many bytes, or an error.
func (q *readRig) answer(n int, err error) {
	var fx effects
	q.r.returned()
	if n > 0 || err != engine.ErrInterrupted {
		op := q.r.finish(n, err, &fx)
		for _, m := range q.reads {
			if m.op == op && op != nil && n > 0 {
				m.first = q.came
				q.came += n
			}
		}
		if op == nil && n > 0 {
			q.failf("bytes came and nobody gets them")
		}
	}
	q.carryOut(&fx)
	q.decide(false)
}

func (q *readRig) attempt(n int, err error) bool {
	if !q.trying {
		return false
	}
	q.answer(n, err)
	return true
}

func (q *readRig) wait() bool {
	if !q.trying {
		return false
	}
	if q.moving || q.r.cutting() {
		q.decide(false)
	} else {
		q.r.await(q.keeps)
		q.trying = false
	}
	return true
}

func (q *readRig) comeBack(n int, err error) bool {
	if q.r.phase != waiting || n > 0 && q.r.current == nil {
		return false
	}
	if q.raw != nil && q.raw.completed() { // the raw call is over
		q.raw.release(1)
		q.raw = nil
		err, n = engine.ErrInterrupted, 0
	}
	q.answer(n, err)
	return true
}

// rawCall waits for the direction.
func (q *readRig) rawCall() bool {
	if q.r.idle() || q.raw != nil {
		return false
	}
	q.raw = newOperation(nil, kindRead, nil, nil)
	q.raw.caller = byBlocking
	q.r.rarely().raws.pushBack(q.raw)
	return true
}

func (q *readRig) pending(last bool) *rigRead {
	var found *rigRead
	for _, m := range q.reads {
		if !m.op.completed() && (found == nil || last) {
			found = m
		}
	}
	return found
}

func (q *readRig) cancel(m *rigRead) bool {
	if m == nil || m.op == q.r.current {
		return false
	}
	var fx effects
	q.r.take(m.op, errCanceled, &fx)
	m.cancelled = true
	q.carryOut(&fx)
	return true
}

func (q *readRig) cut(m *rigRead) bool {
	if m == nil {
		return false
	}
	now := m.op != q.r.current || q.r.phase == resting
	m.cut = true
	var fx effects
	q.r.cut(m.op, errRig, &fx)
	q.carryOut(&fx)
	if m.op.completed() != now {
		q.failf("what has started is asked, else it ends: %t", now)
	}
	return true
}

func (q *readRig) cutAll() bool {
	for _, m := range q.reads {
		m.cut = true
	}
	var fx effects
	q.r.cutEverything(errRig, &fx)
	q.carryOut(&fx)
	if !q.r.queued.empty() || !q.r.rarely().raws.empty() {
		q.failf("something waits although everything was cut")
	}
	if q.raw != nil && q.r.phase != waiting {
		q.raw.release(1)
		q.raw = nil
	}
	return true
}

func (q *readRig) move() bool {
	if q.moving || q.r.phase == parked {
		return false
	}
	q.moving = q.r.phase != resting
	if !q.moving {
		q.r.phase = parked
	}
	return true
}

func (q *readRig) moved() bool {
	if q.r.phase != parked {
		return false
	}
	var fx effects
	q.r.moved(&fx)
	q.carryOut(&fx)
	return true
}

var readEvents = []struct {
	name string
	do   func(*readRig) bool
}{
	{"begin", func(q *readRig) bool { return q.begin(false) }},
	{"begin with callback", func(q *readRig) bool { return q.begin(true) }},
	{"begin with an attempt", (*readRig).beginAtOnce},
	{"Read", (*readRig).read},
	{"take", (*readRig).take},
	{"bytes", func(q *readRig) bool { return q.attempt(2, nil) }},
	{"the end", func(q *readRig) bool { return q.attempt(0, io.EOF) }},
	{"interrupted", func(q *readRig) bool { return q.attempt(0, engine.ErrInterrupted) }},
	{"would block", (*readRig).wait},
	{"ready", func(q *readRig) bool { return q.comeBack(0, engine.ErrInterrupted) }},
	{"bytes are back", func(q *readRig) bool { return q.comeBack(1, nil) }},
	{"a failure is back", func(q *readRig) bool { return q.r.current != nil && q.comeBack(0, errConnection) }},
	{"turn is over", func(q *readRig) bool {
		if !q.trying {
			return false
		}
		q.decide(true)
		return true
	}},
	{"a raw call waits", (*readRig).rawCall},
	{"Cancel of the first", func(q *readRig) bool { return q.cancel(q.pending(false)) }},
	{"Cancel of the last", func(q *readRig) bool { return q.cancel(q.pending(true)) }},
	{"the first is cut", func(q *readRig) bool { return q.cut(q.pending(false)) }},
	{"the last is cut", func(q *readRig) bool { return q.cut(q.pending(true)) }},
	{"all are cut", (*readRig).cutAll},
	{"move", (*readRig).move},
	{"moved", (*readRig).moved},
}

func (q *readRig) happens(i int) bool {
	q.events = append(q.events, readEvents[i].name)
	if !readEvents[i].do(q) {
		q.events = q.events[:len(q.events)-1]
		return false
	}
	q.check()
	return true
}

// check: what has not completed is in the queue, in order, and the bytes went to the reads in order.
func (q *readRig) check() {
	q.Helper()
	at := q.r.queued.head
	got := 0
	for i, m := range q.reads {
		switch {
		case m.op.completed():
			if m.first >= 0 && m.first != got {
				q.failf("read %d got the bytes from %d on, those before it up to %d", i, m.first, got)
			}
			if m.first >= 0 {
				got += int(m.op.done)
			}
			if m.cancelled && (m.op.done != 0 || !errors.Is(m.op.failure(), errCanceled)) {
				q.failf("read %d was cancelled and ends with %d, %v", i, m.op.done, m.op.failure())
			}
			if !m.cut && errors.Is(m.op.failure(), errRig) {
				q.failf("read %d ends with a cut from before it was begun", i)
			}
		case m.op == q.r.current:
		case m.op == at:
			at = at.next
		default:
			q.failf("read %d is lost, or out of order", i)
		}
	}
	if q.r.phase == resting && q.r.cutting() {
		q.failf("nobody owns the direction, and a cut is left")
	}
	if at != nil || got != q.came {
		q.failf("a read is there that has completed; %d of %d bytes were delivered", got, q.came)
	}
}

func (q *readRig) windUp() {
	q.Helper()
	q.events = append(q.events, "wind up")
	for range 1000 {
		if !(q.moved() || q.take() || q.attempt(2, nil) || q.comeBack(0, engine.ErrInterrupted)) {
			break
		}
		q.check()
	}
	if !q.r.idle() || !q.r.rarely().raws.empty() || q.raw != nil {
		q.failf("it does not come to rest")
	}
	for _, m := range q.reads {
		if held := m.op.word.Load() & opHolderMask / opHolder; held != 1 {
			q.failf("%d hold a read", held)
		}
		m.op.release(1)
	}
}

// Whatever happens, in whatever order: each read completes once, in order, with the bytes that were next.
func TestReadQueue_EverySequence(t *testing.T) {
	for _, keeps := range []bool{false, true} {
		var path []int
		var try func()
		try = func() {
			q := &readRig{TB: t, keeps: keeps}
			for i, e := range path {
				if !q.happens(e) {
					if i < len(path)-1 {
						q.failf("%s could happen before", readEvents[e].name)
					}
					q.windUp()
					return
				}
			}
			if q.windUp(); len(path) == *queueDepth+1 {
				return
			}
			for e := range readEvents {
				path = append(path, e)
				try()
				path = path[:len(path)-1]
			}
		}
		try()
	}
}

func TestReadQueue_LongSequences(t *testing.T) {
	for seed := range 2000 {
		rng := rand.New(rand.NewPCG(uint64(seed), 2))
		q := &readRig{TB: t, keeps: seed%2 == 0, events: []string{fmt.Sprintf("(seed %d)", seed)}}
		for range 10 + rng.IntN(80) {
			q.happens(rng.IntN(len(readEvents)))
		}
		q.windUp()
	}
}
