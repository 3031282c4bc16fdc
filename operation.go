package netstream

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// kind says what an operation does. It is part of every AsyncResult's tag.
type kind uint8

const (
	kindRead kind = iota
	kindWrite
	kindAccept
	kindConnect

	// Of calls that wait for the write queue and move no bytes.
	kindRoom  // a WaitRoom or BeginWaitRoom: waits for room, of which it takes none
	kindDrain // a Drain: waits for the writes before seq; it has no result
)

// An operation is one Begin: what was lent, how far it got and how it ended.
//
// # Lifetime
//
// Operations are pooled. The word counts the holders (the End that is still to come, the queue or the
// callback that has not started, every method that is inside it) in the same atomic step that checks the
// generation, so a result kept from an earlier life can never reach a later one. The step that takes the last
// holder away starts the next generation; whoever took it gives the operation to the pool. One whose wait
// handle was asked for is pinned: it is left to the garbage collector, because the handle must stay that of
// this operation for ever.
//
//	bit 63............16 15........4 3       2      1     0
//	    generation       holders     waiting pinned ended completed
//
// # Layout
//
// 128 bytes, two cache lines, both of which every write touches from Begin to End. With 1,024 in flight they all come
// from the second-level cache, and a pending read is all that an idle stream holds. What few operations need is in uncommon.
type operation struct {
	word atomic.Uint64

	// owner is the stream or listener; set before the operation is published, read with the generation checked.
	owner atomic.Pointer[owner]

	// next and prev link the list the operation is in; they belong to whoever the list belongs to.
	next, prev *operation

	size int64 // set before the operation is published; then only shrink changes it, for the owner of the direction

	// Guarded by the stream's mu.
	begun time.Duration // when, of a write; 0: it is in the first attempt of its Begin
	chunk *chunk        // of a write in the queue: where its entry is; nil: it is the solo one

	done int64 // bytes moved; while in flight: bytes moved so far. Written by whoever completes the operation.

	// Set before the operation is published, constant until it is recycled.
	buffer   [1][]byte // lent bytes, when they are in one piece, as the vectors of one send
	callback AsyncCallback
	state    any
	marks

	uncommon atomic.Pointer[uncommon] // nil until it is needed
}

// marks is what an operation says of itself in a byte each. They fill the second cache line.
type marks struct {
	// Set before the operation is published, constant until it is recycled.
	kind     kind
	caller   caller
	vectored bool // vectors hold what was lent

	// Guarded by the stream's mu.
	stage stage
	index uint8 // with chunk

	// Guarded by the stream's mu until the operation is in flight. Then it belongs to the owner of the direction, and after
	// the completion to the callback.
	room roomState

	// Written before the operation is published, then by whoever completes it. Others read it after the completion.
	fate fate
	sync bool // completed by Begin's own attempt
}

// caller is who waits for an operation.
type caller uint8

const (
	byBegin     caller = iota // the End that is still to come
	byBlocking                // a blocking call: it has no End, its result is read by the call
	byResumable               // a blocking Write: cutting it leaves the stream usable for the next one (promise 11)
)

// stage is where an operation is between Begin and completion.
//
//	queued     -> awaitsRoom   a blocking call, or a BeginWaitRoom, finds the queue full
//	awaitsRoom -> queued       there is room
//	queued     -> stopping     it is in flight and has to stop: cut says why
//	stopping   -> queued       Cancel has given up
type stage uint8

const (
	queued stage = iota // or in flight
	awaitsRoom
	stopping
)

// roomState is what a write has of the room that the limits leave.
//
//	none -> held    it was admitted
//	held -> none    it is over and has no callback, its callback starts, or it was taken back
//	held -> piled   OverflowDropOldest: it is over, and its callback has not started
type roomState uint8

const (
	roomNone roomState = iota
	roomHeld
	roomPiled // it counts in the queue's piled
)

// fate is how an operation ends, as far as that is known.
//
//	open         -> unsent   CloseWrite or a deadline came before it: it fails with err when nothing is ahead of it
//	open, unsent -> failed   with err; without that, the operation succeeds
type fate uint8

const (
	fateOpen fate = iota
	fateUnsent
	fateFailed
)

func (op *operation) blocking() bool { return op.caller != byBegin }

// owner is what an operation was begun on; its address tells a foreign result from an own one.
type owner struct {
	stream *NetworkStream // nil for a listener and for connects
}

// help lets a goroutine that is about to wait send what is queued, when nobody is sending.
func (o *owner) help(k kind) {
	if o.stream != nil && (k == kindWrite || k == kindRoom) {
		o.stream.helpFlush()
	}
}

const (
	opCompleted  = 1 << 0
	opEnded      = 1 << 1
	opPinned     = 1 << 2
	opWaiting    = 1 << 3
	opHolder     = 1 << 4
	opHolderMask = 0xfff << 4
	opGeneration = 1 << 16

	tagSync = 1 << 3 // the kind is in the three bits below, the generation from bit 16 on
)

var operations = sync.Pool{New: func() any {
	op := new(operation)
	op.word.Store(firstHolders)
	return op
}}

// firstHolders are those of a new operation: the End that is to come, or the blocking call, and the queue.
const firstHolders = 2 * opHolder

// nextLife is the word of the life after that of word. It has its holders already: nobody can name it before Begin does.
func nextLife(word uint64) uint64 { return word&^(opGeneration-1) + opGeneration | firstHolders }

// newOperation takes an operation from the pool.
func newOperation(o *owner, k kind, callback AsyncCallback, state any) *operation {
	op := operations.Get().(*operation)
	if op.owner.Load() != o {
		op.owner.Store(o)
	}
	op.kind, op.callback, op.state = k, callback, state
	return op
}

// tag identifies this life of the operation. Only a holder may ask.
func (op *operation) tag() uint64 {
	t := op.word.Load()&^(opGeneration-1) | uint64(op.kind)
	if op.sync {
		t |= tagSync
	}
	return t
}

func (op *operation) result() AsyncResult {
	return AsyncResult{op: op, tag: op.tag(), state: op.state}
}

func sameLife(word, tag uint64) bool { return word>>16 == tag>>16 && word&opHolderMask != 0 }

// hold adds a holder if the operation still lives the life that tag names.
func (op *operation) hold(tag uint64) bool {
	for {
		w := op.word.Load()
		if !sameLife(w, tag) {
			return false
		}
		if w&opHolderMask == opHolderMask { // 4,095 methods inside at once: let one of them leave
			runtime.Gosched()
			continue
		}
		if op.word.CompareAndSwap(w, w+opHolder) {
			return true
		}
	}
}

// release takes n holders away; the last one out recycles the operation.
func (op *operation) release(n uint64) {
	for {
		w := op.word.Load()
		last := w&opHolderMask == n*opHolder && w&opPinned == 0
		left := w - n*opHolder
		if last {
			left = nextLife(w)
		}
		if op.word.CompareAndSwap(w, left) {
			if last {
				op.recycle()
			}
			return
		}
	}
}

// recycle gives the operation, whose life is over, to the pool. Its field owner stays: storing it is not free, and the
// pool forgets what it holds within two collections.
func (op *operation) recycle() {
	op.size, op.done, op.begun = 0, 0, 0
	op.buffer[0], op.callback, op.state = nil, nil, nil
	if u := op.uncommon.Load(); u != nil {
		op.uncommon.Store(nil)
		u.giveBack()
	}
	op.chunk = nil
	op.marks = marks{}
	operations.Put(op)
}

// failure is why the operation failed, nil if it did not. It is for a holder, after the completion.
func (op *operation) failure() error {
	if op.fate == fateFailed {
		return op.uncommon.Load().err
	}
	return nil
}

// leave gives up what end gave its caller.
func (op *operation) leave(lastWord uint64) {
	if lastWord != 0 {
		op.recycle()
	} else {
		op.release(1)
	}
}

// fail notes how the operation ends. The caller completes it.
func (op *operation) fail(err error) {
	if err != nil {
		op.rarely().err, op.fate = err, fateFailed
	}
}

// endAlone is claimEnd for a completed operation that nobody else holds: one step ends it and its life. It returns
// that life's last word, with which the caller recycles the operation when it has read the outcome; 0 if it was not
// to be had.
func (op *operation) endAlone(tag uint64) (lastWord uint64) {
	w := op.word.Load()
	if w>>16 != tag>>16 || w&(opGeneration-1) != opCompleted|opHolder || !op.word.CompareAndSwap(w, nextLife(w)) {
		return 0
	}
	return w
}

// claimEnd makes the caller the one End of this operation. The claim comes with the End's own holder, to be
// released after the outcome was read.
func (op *operation) claimEnd(tag uint64) bool {
	for {
		w := op.word.Load()
		if !sameLife(w, tag) || w&opEnded != 0 {
			return false
		}
		if op.word.CompareAndSwap(w, w|opEnded) {
			return true
		}
	}
}

// event returns the operation's wait handle, making it at the first call.
func (op *operation) event() *ManualResetEvent {
	u := op.rarely()
	h := u.handle.Load()
	if h == nil {
		h = NewManualResetEvent(false)
		if !u.handle.CompareAndSwap(nil, h) {
			h = u.handle.Load()
		}
	}
	if op.completed() { // it may have completed between the pin and the store above
		h.Set()
	}
	return h
}

// pin keeps the operation out of the pool for good, if it still lives the life that tag names.
func (op *operation) pin(tag uint64) bool {
	for {
		w := op.word.Load()
		if w>>16 != tag>>16 {
			return false
		}
		if w&opPinned != 0 || op.word.CompareAndSwap(w, w|opPinned) {
			return true // ended or not: a pinned operation is never recycled, and one that is not ends its life with its last holder
		}
	}
}
