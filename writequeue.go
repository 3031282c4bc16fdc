package netstream

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// directBytes is the most that Begin's own attempt hands to the kernel: one send of 4 MiB takes almost 1 ms
	// inline and holds a P all that time.
	directBytes = 64 << 10
	// batchBytes bounds one vectored send.
	batchBytes = 512 << 10
)

// writeQueue is the writing direction: the queue, its limits, and what has become of the byte stream. Guarded by
// the stream's mu, but for what says otherwise.
type writeQueue struct {
	opQueue

	// room holds blocking writes that wait for room, and the probes of WaitRoom, first come first served.
	room       opList
	roomWrites int32       // how many of them are writes; no Begin overtakes those
	roomWanted atomic.Bool // there are some: whoever takes away looks

	// begun and discharged are running sums of load: of the writes admitted, under mu, and of those whose callback has
	// started or that are over, which callbacks add to without mu. Their difference is what is pending. It grows under
	// mu only, so a check against the limits holds until mu is given up.
	begun      load
	discharged atomic.Uint64

	// piled counts the writes that are over, whose callback has not started, and that hold no room under
	// OverflowDropOldest. This alone keeps a callback that blocks from letting them pile up without end.
	piled atomic.Int32
	tears uint32 // how often torn was set; a Write that waits since before is not "the next"

	torn     *IOError      // with Torn: part of a message is out and the rest never will be
	drains   opList        // Drain calls; seq is what they wait for
	firstSeq uint64        // of the first operation in flight, as of the owner's last look; noSeq: none
	oldest   time.Duration // when that one was begun
	stamp    time.Duration // the time for what is queued until the owner looks again; 0: not read yet

	soft     bool // torn by a blocking Write: the next blocking Write ends that state
	finAsked bool // CloseWrite was called: no more writes, FIN behind the queue
	finSent  bool
	finBusy  bool // it is being sent: a Drain waits for that
	slicing  bool // the owner is in sendSlice: it makes calls on the connection while it waits

	joined *joined // what the transport is writing, if it ever took one slice; belongs to the owner

	answered uint64 // the stream's bytesRead when a write was begun last, see sender.go
}

const noSeq = math.MaxUint64

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
	s.flush()
}

// attempt is what a transport answered; the zero attempt stands for none.
type attempt struct {
	made bool
	n    int
	err  error
}

// flush sends what is queued until nothing is left, the connection takes no more, or the turn is over. The
// caller owns the direction.
func (s *NetworkStream) flush() {
	v := takeVectors()
	defer v.giveBack()
	var last attempt
	for sent := 0; ; sent += last.n {
		t := s.nextWrite(last, sent)
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
func (s *NetworkStream) nextWrite(last attempt, sent int) transport {
	s.write.joined.giveBack()
	last.err = outcome(callWrite, last.err)
	var finished, bare opList
	if last.made {
		finished, bare = s.takeFinished(last)
	}
	s.mu.Lock()
	t, fin := s.nextWriteLocked(last, &finished, sent)
	turn := s.write.turn
	s.unlock()
	for op := bare.popFront(); op != nil; op = bare.popFront() {
		op.release(1)
	}
	if fin { // the direction is still the caller's, or the transport's, so the connection cannot go away
		if t.startCloseWrite(turn) {
			return nil
		}
		s.noteFinSent(t.closeWrite())
		return s.nextWrite(attempt{}, sent)
	}
	return t
}

func (s *NetworkStream) nextWriteLocked(last attempt, finished *opList, sent int) (t transport, fin bool) {
	w := &s.write
	if w.waiting {
		w.endTurnLocked()
		w.finBusy = false
		w.slicing = false // in one step with the failure that it may bring, see mustHoldEOF
	}
	if last.made {
		s.wroteLocked(last, finished)
	}
	if w.cutAll != nil || w.cutOne {
		s.applyCutsLocked(&w.opQueue)
	}
	if s.moving {
		s.parkLocked(&w.opQueue)
		s.noteInflightLocked() // the next look is a turn away, and the stream may be done by then
		return nil, false
	}
	for s.failHeadsLocked(); w.inflight.empty() && (!w.queued.empty() || s.letInLocked()); s.failHeadsLocked() {
		w.claimLocked(s.claimMax())
	}
	fin = w.inflight.empty() && w.roomWrites == 0 && s.finAheadLocked()
	w.finBusy = fin
	s.noteInflightLocked()
	switch {
	case fin:
		w.finSent, w.waiting = true, true
		return s.transport, true
	case w.inflight.empty():
		w.restLocked()
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

// claimMax is how many of the queued operations may go in flight at once; -1: all of them. Under OverflowDropOldest it is
// half of what the limits allow, at least one and no more than one send takes, so that there is always something
// to drop.
func (s *NetworkStream) claimMax() (count int) {
	if s.config.Overflow != OverflowDropOldest {
		return -1
	}
	writes, bytes := s.config.leastLimits()
	writes, bytes = min(writes/2, maxVectors), bytes/2
	for op := s.write.queued.head; op != nil && int64(count) < writes && op.size <= bytes; op = op.next {
		bytes -= op.size
		count++
	}
	return max(count, 1)
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
	w := &s.write
	batch, operations := w.join(t.joins()) // it copies: not under mu
	s.mu.Lock()
	if w.cutAll != nil || w.cutOne || s.moving {
		s.mu.Unlock()
		return false
	}
	if s.canMove && !w.inflight.head.blocking {
		s.moving = true
		s.mu.Unlock()
		return false
	}
	if batch == nil {
		batch, operations = v.fillKept(w.inflight.head, keep)
	}
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

// resumeWrite goes on after a wait of the transport's, or after a blocking call on the goroutine of its owner.
func (s *NetworkStream) resumeWrite(last attempt) {
	if s.nextWrite(last, 0) != nil {
		s.flush()
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
			op.sent(left) // a doomed one has nothing in the batch, so left is 0
			break
		}
		left -= rest
		op.done, next = op.size, op.next
		if op.callback == nil {
			w.inflight.remove(op)
			s.discharge(op)
			bare.pushBack(op)
		} else if op.charged && s.config.Overflow == OverflowDropOldest {
			s.pile(op)
			s.discharge(op)
		}
		op.complete()
	}
	return w.inflight.cutBefore(op), bare
}

// writeFailedLocked ends the first operation in flight with the transport's error.
func (s *NetworkStream) writeFailedLocked(err error) {
	e := classify(callWrite, err)
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
		if op.charged && s.config.Overflow == OverflowDropOldest {
			s.pile(op)
			s.unchargeLocked(op)
		}
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
	if !op.blocking {
		s.noteFailureLocked(failure)
	}
	if s.closed || s.closing && !takenBack(failure, errCanceled) { // what was cancelled is not lost
		s.endLocked().lost += op.size - op.done
	}
	s.finishLocked(&s.write.opQueue, op, failure)
}
