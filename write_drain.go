package netstream

import "context"

// Drain waits until every write begun before the call has completed. It returns nil when all writes begun so
// far have succeeded, else the first failure. After CloseWrite it waits until the end has been sent as well, and returns
// why it could not be. It does not wait for callbacks, so a callback may call it.
func (s *NetworkStream) Drain(ctx context.Context) error {
	if ctx == nil {
		return &ArgumentNullError{ParamName: "ctx"}
	}
	if err := contextError(ctx); err != nil {
		return s.opError("write", err)
	}
	s.helpFlush()
	s.mu.Lock()
	op := newOperation(&s.owner, kindDrain, nil, nil)
	op.caller = byBlocking
	var fx writeEffects
	s.write.drain(op, &fx)
	s.carryOutLocked(&fx)
	s.unlock()
	fx.release()
	_, err := op.waited(s.watch(ctx, op, 0))
	return s.opError("write", err)
}

// drain has op wait until everything that was begun by now is over. Blocking writes that wait for room are part of that.
func (w *writeQueue) drain(op *operation, fx *writeEffects) {
	op.rarely().seq = w.next + uint64(w.roomWrites)
	w.rarely().waiters.drains.pushBack(op)
	w.serveDrains(fx)
}

// serveDrains lets go of the Drain calls that wait for nothing any more.
func (w *writeQueue) serveDrains(fx *writeEffects) {
	if w.drainsHead() == nil || w.fin == finSending || w.finAhead() {
		return
	}
	first := w.next // what waits for room has no number yet
	if at, ok := w.head(); ok {
		first = w.seqOf(at)
	}
	for op := w.drainsHead(); op != nil; {
		next := op.next
		if first >= op.rarely().seq {
			w.uncommon.waiters.drains.remove(op)
			fx.drained.pushBack(op)
			fx.rare = true
		}
		op = next
	}
}
