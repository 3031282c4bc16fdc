package netstream

import (
	"context"
	"errors"
	"time"
)

// Cancel takes an operation back that has not started. True: it completes with an error that matches
// context.Canceled, not one byte of it has gone out or been taken, its room is free, and the stream is
// intact. False: it was too late (the operation has completed, or some of it may be out), or ar is not of
// this stream; nothing has changed. Either way the operation is ended as usual.
//
// A begun read of the portable engine may be inside a blocking call; Cancel interrupts it by a deadline and waits
// until it is back, which takes microseconds. On a foreign connection that ignores deadlines it gives up, with
// false, after a second.
func (s *NetworkStream) Cancel(ar AsyncResult) bool {
	op := ar.op
	if op == nil || !op.hold(ar.tag) {
		return false
	}
	defer op.release(1)
	if op.owner.Load() != &s.owner {
		return false
	}
	s.mu.Lock()
	if op.completed() {
		s.mu.Unlock()
		return false
	}
	q := s.queueOf(op)
	if !q.startedLocked(op) {
		q.queued.remove(op)
		s.cancelQueuedLocked(op)
		s.endIdleWaitLocked(q)
		s.unlock()
		return true
	}
	if op.kind == kindWrite {
		s.mu.Unlock()
		return false
	}
	// A read in flight has got nothing yet, as far as can be seen from here. Its owner looks for cuts before it
	// waits and after each attempt, so either the attempt at this moment brings data or the read is cancelled.
	s.askLocked(q, op, canceledError(context.Canceled))
	s.unlock()
	return s.wasCancelled(op, ar)
}

// cancelQueuedLocked ends an operation that has not started and frees its room.
func (s *NetworkStream) cancelQueuedLocked(op *operation) {
	e := canceledError(context.Canceled)
	if op.kind == kindRead {
		s.finishLocked(&s.read, op, &IOError{Err: e})
		return
	}
	if op.charged {
		s.unchargeLocked(op)
	}
	s.failWriteLocked(op, &IOError{Err: e})
	s.serveDrainsLocked()
}

// cancelPatience is how long Cancel waits for a connection whose deadlines do not work.
const cancelPatience = time.Second

// wasCancelled waits for a read that was asked back. It may have got its data first.
func (s *NetworkStream) wasCancelled(op *operation, ar AsyncResult) bool {
	op.pin(ar.tag)
	if !op.event().WaitOneTimeout(cancelPatience) {
		s.mu.Lock()
		if !op.completed() {
			op.asked, op.cut = false, nil // nothing has changed
			s.mu.Unlock()
			return false
		}
		s.mu.Unlock()
	}
	return op.done == 0 && op.failed && errors.Is(op.err, context.Canceled)
}
