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
	if op.kind == kindWrite {
		return s.cancelWrite(op)
	}
	// A read in flight has got nothing yet, as far as can be seen from here. Its owner looks for cuts before it waits and
	// after each attempt, so either the attempt at this moment brings data or the read is cancelled.
	started := op == s.read.current
	s.cutLocked(op, canceledError(context.Canceled))
	s.unlock()
	return !started || s.wasCancelled(op, ar)
}

// cancelWrite takes op back if it has not started. The caller holds mu; cancelWrite gives it up.
func (s *NetworkStream) cancelWrite(op *operation) bool {
	w := &s.write
	if w.started(op) {
		s.mu.Unlock()
		return false
	}
	var fx writeEffects
	w.take(op, canceledError(context.Canceled), &fx)
	s.carryOutLocked(&fx)
	s.unlock()
	fx.release()
	return true
}

// cancelPatience is how long Cancel waits for a connection whose deadlines do not work.
const cancelPatience = time.Second

// wasCancelled waits for a read that was interrupted. It may have got its data first.
func (s *NetworkStream) wasCancelled(op *operation, ar AsyncResult) bool {
	op.pin(ar.tag)
	if !op.event().WaitOneTimeout(cancelPatience) {
		s.mu.Lock()
		if !op.completed() {
			op.stage, op.uncommon.Load().cut = queued, nil // nothing has changed
			s.mu.Unlock()
			return false
		}
		s.mu.Unlock()
	}
	return op.done == 0 && errors.Is(op.failure(), context.Canceled)
}
