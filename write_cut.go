package netstream

// take takes back op, which has not started, because of e. Its room is free at once.
func (w *writeQueue) take(op *operation, e error, fx *writeEffects) {
	w.uncharge(op) // what was begun holds room until it is over
	w.remove(spotOf(op), fx)
	w.endFailed(op, &IOError{Err: e}, fx)
	w.tidy(fx)
	w.endIdleWait(fx)
}

// endIdleWait ends the transport's wait for a write that was taken back meanwhile, if it was the last one. The wait would
// keep alive a stream that is forgotten open.
func (w *writeQueue) endIdleWait(fx *writeEffects) {
	if w.phase == waiting && w.empty() {
		fx.interrupt, fx.rare = true, true
	}
}

// cut asks for op to end with e. What has not started ends at once; what is in flight is interrupted, and its
// completion is the truth.
func (w *writeQueue) cut(op *operation, e *SocketError, fx *writeEffects) {
	switch {
	case op.kind == kindDrain:
		w.uncommon.waiters.drains.remove(op)
		w.end(op, &IOError{Err: e}, fx)
	case op.stage == awaitsRoom:
		w.forgetNumber(op)
		w.leaveRoom(op, fx)
		w.end(op, &IOError{Err: e}, fx)
		w.serveRoom(fx)                // those behind may need less
		fx.flush, fx.rare = true, true // a FIN may have waited for it
		w.serveDrains(fx)
	case !w.started(op):
		w.remove(spotOf(op), fx)
		w.endFailed(op, &IOError{Err: e}, fx)
		w.tidy(fx)
		w.endIdleWait(fx)
	default:
		w.stopOne(op, e)
		w.interruptAll(fx)
	}
}

// cutEverything ends everything with e: for a deadline, Close or Shutdown.
func (w *writeQueue) cutEverything(e error, fx *writeEffects) {
	w.stopAll(e)
	w.interruptAll(fx)
	w.cutWaiting(e, fx)
	for op := w.roomHead(); op != nil; op = w.roomHead() {
		w.leaveRoom(op, fx)
		if op.kind != kindRoom {
			fx.shutOut += op.size
			fx.rare = true
		}
		w.end(op, &IOError{Err: e}, fx)
	}
	for op := w.drainsHead(); op != nil; op = op.next {
		u := op.rarely()
		u.seq = min(u.seq, w.next)
	}
	w.cutRaws(e, &fx.effects)
	w.tidy(fx)
}

// forgetNumber is for a write that stops waiting for room and does not enter the queue. Those that wait for room will get the
// numbers from next on, in line, and Drain counts on that: a Drain that waits for more than this one's number has one less
// to wait for.
func (w *writeQueue) forgetNumber(op *operation) {
	if op.kind == kindRoom {
		return
	}
	number := w.next
	for ahead := w.roomHead(); ahead != op; ahead = ahead.next {
		if ahead.kind != kindRoom {
			number++
		}
	}
	for d := w.drainsHead(); d != nil; d = d.next {
		if u := d.rarely(); u.seq > number {
			u.seq--
		}
	}
}

// cutWaiting ends what has not started.
func (w *writeQueue) cutWaiting(e error, fx *writeEffects) {
	for at, ok := w.liveFrom(w.claimed); ok; {
		next, more := w.after(at)
		en := w.entryOf(at)
		w.remove(at, fx)
		if en.op == nil {
			w.losePost(en, 0, &IOError{Err: e}, fx)
		} else {
			w.endFailed(en.op, &IOError{Err: e}, fx)
		}
		at, ok = next, more
	}
}

// interruptAll has what is in flight come back, to be ended. Without an owner it is ended here: it is what the last one has
// left half sent.
func (w *writeQueue) interruptAll(fx *writeEffects) {
	if w.interrupt(&fx.effects) {
		w.applyCuts(fx)
	}
}

// applyCuts ends what is in flight and is to stop.
func (w *writeQueue) applyCuts(fx *writeEffects) {
	for at, ok := w.head(); ok && w.seqOf(at) < w.claimed; {
		next, more := w.after(at)
		op, e := w.entryOf(at).op, w.stopReason()
		if op != nil && op.stage == stopping {
			e = op.uncommon.Load().cut
		}
		if e != nil {
			w.endStarted(at, e, true, fx)
		}
		at, ok = next, more
	}
	w.stopped()
	w.tidy(fx)
}
