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

	// Of calls that wait for the write queue and move no bytes. They have no result.
	kindRoom  // a WaitRoom: waits for room, of which it takes none
	kindDrain // a Drain: waits for the writes before seq
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
// 192 bytes, three cache lines: what every write touches from Begin to End is in the first two. With 1,024 in flight
// they all come from the second-level cache.
type operation struct {
	word atomic.Uint64

	// owner is the stream or listener; set before the operation is published, read with the generation checked.
	owner atomic.Pointer[owner]

	// next and prev link the list the operation is in; they belong to whoever the list belongs to.
	next, prev *operation

	// Set before the operation is published, constant until it is recycled.
	size  int64
	seq   uint64 // place in Begin order; unique within a queue
	begun time.Duration

	done int64 // bytes moved; while in flight: bytes moved so far. Written by whoever completes the operation.

	// Set before the operation is published, constant until it is recycled.
	buffer   [1][]byte // lent bytes, when they are in one piece, as the vectors of one send
	callback AsyncCallback
	state    any
	marks

	err      error          // if failed: io.EOF or an *IOError; if doomed: why
	cut      *SocketError   // if asked: why it has to stop although its bytes may be on their way
	vectors  *[][]byte      // if vectored: what was lent; the array stays with the operation for the next one
	accepted *NetworkStream // of an accept or connect
	wake     chan struct{}  // made by the one waiter before it sets opWaiting, closed by the completion
	handle   atomic.Pointer[ManualResetEvent]
}

// marks is what an operation says of itself in a bit or two.
type marks struct {
	// Set before the operation is published, constant until it is recycled.
	kind     kind
	blocking bool // a blocking call waits for it: it has no End, its result is read by the call
	soft     bool // cutting it leaves the stream usable for the next blocking Write (promise 11)
	doomed   bool // it ends with err when its turn comes, without being sent
	vectored bool // vectors hold what was lent

	// Guarded by the owner's mu.
	asked   bool // it has been asked to stop, see cut
	inRoom  bool // it waits for room, in no queue yet
	charged bool // it counts as pending; given up by the callback that starts, by then nobody else looks

	// Written by whoever completes the operation, read after completion.
	failed bool   // err is set
	sync   bool   // completed by Begin's own attempt
	piled  bool   // its callback counts in the write queue's piled
	epoch  uint32 // of a soft one, from the start: the queue's tears when it was called
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
				op.recycle(w)
			}
			return
		}
	}
}

// recycle gives the operation, whose life with the given last word is over, to the pool. The owner stays: storing it is
// not free, and the pool forgets what it holds within two collections.
func (op *operation) recycle(word uint64) {
	op.size, op.done, op.seq, op.begun = 0, 0, 0, 0
	op.buffer[0], op.callback, op.state = nil, nil, nil
	if op.failed || op.doomed {
		op.err = nil
	}
	if op.asked {
		op.cut = nil
	}
	if op.kind >= kindAccept {
		op.accepted = nil
	}
	if op.vectored {
		op.clearVectors()
	}
	if word&opWaiting != 0 {
		op.wake = nil
	}
	op.marks = marks{}
	operations.Put(op)
}

func (op *operation) clearVectors() {
	clear(*op.vectors)
	*op.vectors = (*op.vectors)[:0]
	if cap(*op.vectors) > maxVectors { // rare: not to be kept for the next one
		op.vectors = nil
	}
}

// failure is why the operation failed, nil if it did not. It is for a holder, after the completion.
func (op *operation) failure() error {
	if op.failed {
		return op.err
	}
	return nil
}

// leave gives up what end gave its caller.
func (op *operation) leave(lastWord uint64) {
	if lastWord != 0 {
		op.recycle(lastWord)
	} else {
		op.release(1)
	}
}

// fail notes how the operation ends. The caller completes it.
func (op *operation) fail(err error) {
	if err != nil {
		op.err, op.failed = err, true
	}
}

// complete makes the outcome visible and wakes whoever waits. The caller is a holder and has written done and err.
func (op *operation) complete() {
	w := op.word.Add(opCompleted) // the bit is known to be clear; Or would be a loop
	if w&opCompleted == 0 {
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
