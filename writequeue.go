package netstream

import (
	"context"
	"errors"
	"math"
	"sync/atomic"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
)

const (
	// directBytes is the most that Begin's own attempt hands to the kernel: one send of 4 MiB takes almost 1 ms
	// inline and holds a P all that time.
	directBytes = 64 << 10
	// batchBytes bounds one vectored send, turnBytes what one stream sends before others of its loop get a turn.
	batchBytes = 512 << 10
	turnBytes  = 2 << 20
)

// writeQueue is the writing direction: the queue, its limits, and what has become of the byte stream. Guarded by
// the stream's mu, but for what says otherwise.
type writeQueue struct {
	opQueue
	flushTask loop.Task

	// room holds blocking writes that wait for room, and the probes of WaitRoom, first come first served.
	room       opList
	roomWrites int32       // how many of them are writes; no Begin overtakes those
	roomWanted atomic.Bool // there are some: whoever takes away looks

	// begun and discharged are running sums of load: of the writes admitted, under mu, and of those whose callback has
	// started or that are over, which callbacks add to without mu. Their difference is what is pending. It grows under
	// mu only, so a check against the limits holds until mu is given up.
	begun      load
	discharged atomic.Uint64

	// dropped counts the writes that OverflowDropOldest has taken and whose callback has not started. They have no room
	// any more, so this alone keeps a callback that blocks from letting them pile up.
	dropped atomic.Int32
	tears   uint32 // how often torn was set; a Write that waits since before is not "the next"

	// bare counts, for the present epoch, the completed writes without a callback that nobody has ended yet:
	// epoch<<32 | count. While there are any, a Begin is queued rather than sent, so that a caller who
	// pipelines is coalesced and one who asks and waits never pays for a hand-over.
	bare atomic.Uint64

	torn     *IOError      // with Torn: part of a message is out and the rest never will be
	drains   opList        // Drain calls; seq is what they wait for
	firstSeq uint64        // of the first operation in flight, as of the owner's last look; noSeq: none
	oldest   time.Duration // when that one was begun
	stamp    time.Duration // the time for what is queued until the owner looks again; 0: not read yet
	failed   error         // first failure of a begun write, for Drain

	soft        bool // torn by a blocking Write: the next blocking Write ends that state
	finAsked    bool // CloseWrite was called: no more writes, FIN behind the queue
	finSent     bool
	flushPosted bool // flushTask is queued, or will be by unlock
	slicing     bool // the owner is in sendSlice: it makes calls on the connection while it waits

	// burst is when the loop last found more than one write queued, 0 if the last time it found fewer; see burst.go.
	burst uint32
}

const noSeq = math.MaxUint64

// flusher is a stream as the task that sends what is queued.
type flusher NetworkStream

// Run implements loop.Runner.
func (f *flusher) Run() {
	s := (*NetworkStream)(f)
	s.mu.Lock()
	w := &s.write
	w.flushPosted = false
	if w.busy {
		s.mu.Unlock()
		return
	}
	w.busy = true
	w.noteBurstLocked()
	s.mu.Unlock()
	s.flush(true)
}

// wantFlushLocked has the next unlock hand the queue to the stream's loop, if nobody works on it.
func (s *NetworkStream) wantFlushLocked() {
	w := &s.write
	if w.busy || w.flushPosted {
		return
	}
	w.flushPosted = true
	s.todo |= todoFlush
}

// helpFlush lets a goroutine that is about to wait send what is queued, if nobody is sending.
func (s *NetworkStream) helpFlush() {
	s.mu.Lock()
	w := &s.write
	if w.busy || w.idleLocked() {
		s.mu.Unlock()
		return
	}
	w.busy = true
	s.mu.Unlock()
	s.flush(false)
}

// attempt is what a transport answered; the zero attempt stands for none.
type attempt struct {
	made bool
	n    int
	err  error
}

// flush sends what is queued until nothing is left, the connection takes no more, or the turn is over. The
// caller owns the direction.
func (s *NetworkStream) flush(onLoop bool) {
	v := takeVectors()
	defer v.giveBack()
	var last attempt
	for sent := 0; ; sent += last.n {
		t := s.nextWrite(last, sent, onLoop)
		if t == nil {
			return
		}
		last = attempt{}
		if t.canTryWrite() { // else filling in the vectors would be in vain
			n, err := t.tryWrite(v.fill(s.write.inflight.head))
			if err != errWouldBlock {
				last = attempt{true, n, err}
				continue
			}
		}
		if s.awaitRoom(t, v) {
			return
		}
	}
}

// nextWrite accounts for the last attempt and decides what the owner does next: it returns the transport to send
// what is in flight with, or nil after giving the direction up.
func (s *NetworkStream) nextWrite(last attempt, sent int, onLoop bool) transport {
	var finished, bare opList
	if last.made {
		finished, bare = s.takeFinished(last)
	}
	s.mu.Lock()
	t, fin := s.nextWriteLocked(last, &finished, sent, onLoop)
	s.unlock()
	for op := bare.popFront(); op != nil; op = bare.popFront() {
		op.release(1)
	}
	if fin { // the direction is still the caller's, so the connection cannot go away
		_ = t.closeWrite() // a connection that is gone tells the next read or write
		return s.nextWrite(attempt{}, sent, onLoop)
	}
	return t
}

func (s *NetworkStream) nextWriteLocked(last attempt, finished *opList, sent int, onLoop bool) (t transport, fin bool) {
	w := &s.write
	if w.waiting {
		w.endTurnLocked()
	}
	if last.made {
		s.wroteLocked(last, finished)
	}
	if w.cutAll != nil || w.cutOne {
		s.applyCutsLocked(&w.opQueue)
	}
	if s.moving {
		s.parkLocked(&w.opQueue)
		return nil, false
	}
	for s.failHeadsLocked(); w.inflight.empty() && (!w.queued.empty() || s.letInLocked()); s.failHeadsLocked() {
		w.claimLocked(s.claimMax())
	}
	s.noteInflightLocked()
	switch {
	case w.inflight.empty() && w.finAsked && !w.finSent && w.roomWrites == 0 && w.torn == nil && s.disposedLocked() == nil:
		w.finSent = true
		return s.transport, true
	case w.inflight.empty():
		s.restLocked(onLoop)
		return nil, false
	case sent >= turnBytes: // let the others of the loop have a turn
		w.unclaimLocked(0)
		s.noteInflightLocked()
		w.busy = false
		s.wantFlushLocked()
		return nil, false
	}
	return s.transport, false
}

// wroteLocked accounts for an attempt whose finished operations are already complete.
func (s *NetworkStream) wroteLocked(last attempt, finished *opList) {
	s.counters.bytesWritten += uint64(last.n)
	s.readyLocked(&s.write.callbacks, finished)
	if last.err != nil && last.err != errInterrupted {
		s.writeFailedLocked(last.err)
	}
}

// claimMax is how much of the queue may go in flight at once. Under OverflowDropOldest it is little, so
// that what has not started can be dropped.
func (s *NetworkStream) claimMax() int {
	if s.config.Overflow == OverflowDropOldest {
		return 64
	}
	return -1
}

// restLocked gives the direction up when nothing is left to send.
func (s *NetworkStream) restLocked(onLoop bool) {
	w := &s.write
	w.busy = false
	if onLoop {
		w.forgetBare()
	}
}

// noteInflightLocked records the first operation in flight for those who look from outside. Only the owner
// calls it.
func (s *NetworkStream) noteInflightLocked() {
	w := &s.write
	w.firstSeq, w.oldest, w.stamp = noSeq, 0, 0
	if op := w.inflight.head; op != nil {
		w.firstSeq, w.oldest = op.seq, op.begun
	}
	s.serveDrainsLocked()
}

// beginTimeLocked is the time of a write that is queued now. Reading the clock for each took an eighth of all CPU in
// BenchmarkPipelinedWrite, so those queued between two looks of an owner at work share one reading.
func (w *writeQueue) beginTimeLocked() time.Duration {
	if w.waiting || w.stamp == 0 {
		w.stamp = sinceStart()
	}
	return w.stamp
}

// awaitRoom has the transport wait until it takes more. False: something has changed, go on.
func (s *NetworkStream) awaitRoom(t transport, v *vectors) bool {
	keep := t.keeps()
	s.mu.Lock()
	w := &s.write
	if w.cutAll != nil || w.cutOne || s.moving {
		s.mu.Unlock()
		return false
	}
	if s.canMove && !w.inflight.head.blocking {
		s.moving = true
		s.mu.Unlock()
		return false
	}
	batch, operations := v.fillKept(w.inflight.head, keep)
	w.unclaimLocked(operations)
	s.noteInflightLocked()
	w.waiting = true
	turn := w.turn
	s.unlock()
	return t.startWrite(turn, batch)
}

// writeReturned is the transport's one call after startWrite.
func (s *NetworkStream) writeReturned(n int, err error) {
	s.resumeWrite(attempt{made: n > 0 || err != errInterrupted, n: n, err: err})
}

// resumeWrite goes on after a wait or a blocking call.
func (s *NetworkStream) resumeWrite(last attempt) {
	if s.nextWrite(last, 0, true) != nil {
		s.flush(true)
	}
}

// takeFinished completes what the last attempt finished and takes it out of flight: operations with a callback,
// and bare ones, whose holder the caller releases once mu has been taken and given up. Only the owner of the
// direction calls it, without mu: a batch of 1,024 completions under mu would stop every Begin meanwhile.
func (s *NetworkStream) takeFinished(last attempt) (finished, bare opList) {
	w := &s.write
	left := int64(last.n)
	var op, next *operation
	for op = w.inflight.head; op != nil; op = next {
		rest := op.size - op.done
		if op.doomed || rest > left || rest == 0 && left == 0 && last.err != nil {
			op.done += left // a doomed one has nothing in the batch, so left is 0
			break
		}
		left -= rest
		op.done, next = op.size, op.next
		if op.callback == nil {
			w.inflight.remove(op)
			s.discharge(op)
			if !op.blocking {
				w.addBare(op)
			}
			bare.pushBack(op)
		}
		op.complete()
	}
	return w.inflight.cutBefore(op), bare
}

// writeFailedLocked ends the first operation in flight with the transport's error.
func (s *NetworkStream) writeFailedLocked(err error) {
	e := classify(err)
	s.noteDeadLocked(e)
	if op := s.write.inflight.popFront(); op != nil {
		s.endWriteLocked(op, e)
	}
}

// endWriteLocked ends op, which is in no list any more, with the failure e. A part of it that is out tears the
// stream.
func (s *NetworkStream) endWriteLocked(op *operation, e error) {
	failure := &IOError{N: op.done, Torn: op.done > 0 && op.done < op.size, Err: e}
	if failure.Torn {
		s.tearLocked(failure, op.soft)
	}
	s.failWriteLocked(op, failure)
}

// finishLocked completes op, which is in no list any more.
func (s *NetworkStream) finishLocked(q *opQueue, op *operation, err error) {
	op.fail(err)
	if op.callback != nil {
		op.complete()
		s.readyLocked(&q.callbacks, &opList{op, op})
		return
	}
	if op.charged {
		s.unchargeLocked(op)
	}
	op.complete()
	op.release(1)
}

// tearLocked notes that half a message is out. What follows fails, rather than following it on the wire.
func (s *NetworkStream) tearLocked(failure *IOError, soft bool) {
	w := &s.write
	w.torn = &IOError{Torn: true, Err: failure.Err}
	w.soft = soft
	w.tears++
}

// failHeadsLocked ends what must not be sent, up to the first operation that may. Behind a torn write that is
// everything, except that after a blocking Write was cut by its deadline the next blocking Write goes
// through: its caller knows where the stream stands.
func (s *NetworkStream) failHeadsLocked() {
	w := &s.write
	for op := w.inflight.head; op != nil; op = w.inflight.head {
		switch {
		case op.doomed:
			w.inflight.remove(op)
			s.endWriteLocked(op, op.err)
		case w.torn == nil:
			return
		case w.soft && op.soft && op.epoch == w.tears:
			w.torn, w.soft = nil, false
			return
		default:
			w.inflight.remove(op)
			s.failWriteLocked(op, w.torn)
		}
	}
}

// failWriteLocked ends op with a failure that is shared with others.
func (s *NetworkStream) failWriteLocked(op *operation, failure error) {
	if !op.blocking && s.write.failed == nil {
		s.write.failed = failure
	}
	if s.closed || s.closing && !errors.Is(failure, context.Canceled) { // what was cancelled is not lost
		s.endLocked().lost += op.size - op.done
	}
	s.finishLocked(&s.write.opQueue, op, failure)
}
