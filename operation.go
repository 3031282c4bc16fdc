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
)

// An operation is one Begin: what was lent, how far it got and how it ended.
//
// # Lifetime
//
// Operations are pooled. The word counts the holders (the End that is still to come, the queue or the
// callback that has not started, every method that is inside it) in the same atomic step that checks the
// generation, so a result kept from an earlier life can never reach a later one. The last holder recycles
// the operation. One whose wait handle was asked for is pinned: it is left to the garbage collector,
// because the handle must stay that of this operation for ever.
//
//	bit 63............16 15........4 3       2      1     0
//	    generation       holders     waiting pinned ended completed
type operation struct {
	word atomic.Uint64

	// owner is the stream or listener; set before the operation is published, read with the generation checked.
	owner atomic.Pointer[owner]

	// Set before the operation is published, constant until it is recycled.
	kind     kind
	callback AsyncCallback
	state    any
	buffer   []byte   // lent bytes, when they are in one piece
	vectors  [][]byte // lent pieces of a BeginWritev
	size     int64
	seq      uint64 // place in Begin order; unique within a queue
	blocking bool   // a blocking call waits for it: it has no End, its result is read by the call
	soft     bool   // cutting it leaves the stream usable for the next blocking Write (promise 11)
	tears    uint32 // of a soft one: the queue's tears when it was called
	probe    bool   // a WaitRoom, which waits for room and takes none
	drain    bool   // a Drain, which waits for those before seq
	doomed   error  // what it ends with when its turn comes, without being sent
	begun    time.Duration

	// next and prev link the list the operation is in; they belong to whoever the list belongs to.
	next, prev *operation

	// Guarded by the owner's mu.
	cut     error // why it has to stop although its bytes may be on their way
	inRoom  bool  // it waits for room, in no queue yet
	charged bool  // it counts as pending; given up by the callback that starts, by then nobody else looks
	dropped bool  // taken by OverflowDropOldest; its callback counts in the write queue's dropped

	// Written by whoever completes the operation, read after completion.
	done     int64 // bytes moved; while in flight: bytes moved so far
	err      error // nil, io.EOF or an *IOError
	sync     bool  // completed by Begin's own attempt
	bare     bool  // counted in the write queue's bare, in this epoch
	epoch    uint32
	accepted *NetworkStream
	wake     chan struct{} // made by the one waiter before it sets opWaiting, closed by the completion

	handle atomic.Pointer[ManualResetEvent]
}

// owner is what an operation was begun on; its address tells a foreign result from an own one.
type owner struct {
	stream *NetworkStream // nil for a listener and for connects
}

// help lets a goroutine that is about to wait send what is queued, when nobody is sending.
func (o *owner) help(k kind) {
	if o.stream != nil && k == kindWrite {
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

	tagSync = 1 << 2 // the kind is in the two bits below, the generation above bit 16
)

var operations = sync.Pool{New: func() any { return new(operation) }}

// newOperation takes an operation from the pool with the given number of holders.
func newOperation(o *owner, k kind, callback AsyncCallback, state any, holders uint64) *operation {
	op := operations.Get().(*operation)
	if op.owner.Load() != o {
		op.owner.Store(o)
	}
	op.kind, op.callback, op.state = k, callback, state
	op.word.Store(op.word.Load()&^(opGeneration-1) + opGeneration | holders*opHolder)
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
	w := op.word.Add(^(n*opHolder - 1))
	if w&opHolderMask == 0 && w&opPinned == 0 {
		op.recycle()
	}
}

// recycle gives the operation to the pool. Without a holder its generation is over; the next life starts a new one.
// The owner stays: storing it is not free, and the pool forgets what it holds within two collections.
func (op *operation) recycle() {
	op.callback, op.state, op.buffer, op.vectors = nil, nil, nil, nil
	op.size, op.done, op.seq, op.begun, op.epoch = 0, 0, 0, 0, 0
	op.next, op.prev, op.cut, op.err, op.accepted, op.wake = nil, nil, nil, nil, nil, nil
	op.sync, op.bare, op.blocking, op.soft, op.probe, op.drain = false, false, false, false, false, false
	op.inRoom, op.charged, op.dropped, op.doomed = false, false, false, nil
	operations.Put(op)
}

// complete makes the outcome visible and wakes whoever waits. The caller is a holder and has written done and err.
func (op *operation) complete() {
	w := op.word.Or(opCompleted)
	if w&opCompleted != 0 {
		panic("netstream: operation completed twice")
	}
	if w&opWaiting != 0 {
		close(op.wake)
	}
	if w&opPinned != 0 {
		if h := op.handle.Load(); h != nil {
			h.Set()
		}
	}
}

func (op *operation) completed() bool { return op.word.Load()&opCompleted != 0 }

// wait returns when the operation has completed. Only one goroutine may wait: the End that claimed the
// operation or the blocking call that owns it. The channel is made for each wait, because a pooled one would
// tie a testing/synctest bubble to the rest of the program.
func (op *operation) wait() {
	if op.completed() {
		return
	}
	op.wake = make(chan struct{})
	if op.word.Or(opWaiting)&opCompleted != 0 {
		return
	}
	<-op.wake
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
	h := op.handle.Load()
	if h == nil {
		h = NewManualResetEvent(false)
		if !op.handle.CompareAndSwap(nil, h) {
			h = op.handle.Load()
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
		if w&opPinned != 0 {
			return true // ended or not: a pinned operation is never recycled
		}
		if w&opHolderMask == 0 {
			return false
		}
		if op.word.CompareAndSwap(w, w|opPinned) {
			return true
		}
	}
}
