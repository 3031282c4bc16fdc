package netstream

// tear is why nothing more may be written: part of a message is out and the rest never will be, or a post is missing.
type tear struct {
	failure   *IOError // what later writes fail with
	resumable bool     // a blocking Write was cut by its own limit: the next blocking Write, whose caller knows that, may go on
	behind    uint64   // with resumable: only writes from that number on are "the next"; those before have been called before
}

// torn notes that what follows would follow half a message on the wire, or a gap. The failure that came first stays the
// cause, except that a Write may go on after nothing but its own kind.
func (w *writeQueue) torn(failure *IOError, resumable bool) {
	half := failure.Torn
	if t := w.tear; t != nil {
		resumable = resumable && t.resumable
		if !t.resumable && (t.failure.Torn || !half) {
			return
		}
		half = half || t.failure.Torn // what is lost behind half a message does not make it whole
	}
	w.tear = &tear{failure: &IOError{Torn: half, Err: failure.Err}, resumable: resumable, behind: w.next}
	for op := w.roomHead(); op != nil; op = op.next {
		op.caller = byBlocking // even a Write: it was called before
	}
}

// halfOut reports whether half a message is out.
func (w *writeQueue) halfOut() bool { return w.tear != nil && w.tear.failure.Torn }

// mayGoOn reports whether op, which has that number, may be sent although the stream is torn.
func (t *tear) mayGoOn(op *operation, seq uint64) bool {
	return t.resumable && op != nil && op.caller == byResumable && seq >= t.behind
}

// fail ends the first entry in flight with the error of the connection.
func (w *writeQueue) fail(e error, fx *writeEffects) {
	if at, ok := w.head(); ok && w.seqOf(at) < w.claimed {
		w.endStarted(at, e, false, fx)
	}
	w.tidy(fx)
}

// failHeads ends what must not be sent, up to the first entry in flight that may. Behind a torn write that is
// everything, except the next blocking Write behind one that its limit has cut.
func (w *writeQueue) failHeads(fx *writeEffects) {
	if w.tear == nil && !w.headFailsUnsent() {
		return
	}
	for at, ok := w.toSend(); ok && w.seqOf(at) < w.claimed; at, ok = w.toSend() {
		op := w.entryOf(at).op
		switch {
		case op != nil && op.fate == fateUnsent:
			w.endStarted(at, op.uncommon.Load().err, false, fx)
		case w.tear == nil || w.tear.mayGoOn(op, w.seqOf(at)):
			return
		default:
			w.endTorn(at, fx)
		}
	}
}

// toSend returns the first entry that may have to fail: behind a Write that its limit has cut, what the engine holds of that
// is still on its way.
func (w *writeQueue) toSend() (at spot, ok bool) {
	if w.tear == nil || !w.tear.resumable {
		return w.head()
	}
	from := w.taken.at
	if w.taken.offset > 0 {
		from++
	}
	return w.liveFrom(from)
}

// headFailsUnsent reports whether the first entry is not to be sent.
func (w *writeQueue) headFailsUnsent() bool {
	if w.solo[0] != nil {
		return w.solo[0].fate == fateUnsent
	}
	c := w.chunks.first
	return c != nil && c.entry(c.firstLive()).failsUnsent()
}

// endTorn ends an entry in flight because of what came before it; or, where the engine holds some of it, because what it holds
// is given up: behind that, in the same record, is half a message.
func (w *writeQueue) endTorn(at spot, fx *writeEffects) {
	e := w.entryOf(at)
	failure := w.tear.failure
	if _, taken := w.reached(w.seqOf(at), e.size()); taken > 0 {
		w.endStarted(at, failure.Err, false, fx)
		return
	}
	w.removeStarted(at, fx)
	if e.op == nil {
		w.losePost(e, 0, failure, fx)
		return
	}
	w.endFailed(e.op, failure, fx)
}

// endStarted ends an entry in flight with e. If a part of it is out, the stream is torn. cut says that a limit, a context or
// Close has ended it, and not the connection. A blocking Write that its own limit cuts returns how much the engine has
// taken, and what the engine holds of that still goes out (leaveHeld), so that the next Write goes on at the right byte.
func (w *writeQueue) endStarted(at spot, e error, cut bool, fx *writeEffects) {
	en, seq := w.entryOf(at), w.seqOf(at)
	done, taken := w.reached(seq, en.size())
	// Once the stream is closed nobody is left to go on, and what the engine holds would keep the direction busy.
	_, closed := w.stopReason().(*ObjectDisposedError)
	resumable := cut && en.op != nil && en.op.caller == byResumable && !closed
	failure := &IOError{N: done, Torn: taken > 0 && done < en.size(), Err: e}
	if resumable && taken > done {
		failure.N, failure.Torn = taken, taken < en.size()
		w.leaveHeld(at, taken)
	} else {
		w.removeStarted(at, fx)
	}
	if failure.Torn {
		w.torn(failure, resumable)
	}
	if en.op == nil {
		w.losePost(en, done, failure, fx)
		return
	}
	en.op.done = failure.N
	w.endFailed(en.op, failure, fx)
}

// reached returns how much of the entry with that number, which is in flight, is done and taken.
func (w *writeQueue) reached(seq uint64, size int64) (done, taken int64) {
	of := func(mark place) int64 {
		switch {
		case mark.at > seq:
			return size
		case mark.at == seq:
			return mark.offset
		}
		return 0
	}
	return of(w.done), of(w.taken)
}

// leaveHeld is for a write that has ended although the engine holds bytes of it. An operation that nobody waits for takes its
// place in the queue, as long as what the engine has taken: so the marks still count right while the rest goes out.
func (w *writeQueue) leaveHeld(at spot, taken int64) {
	seq := w.seqOf(at)
	held := newOperation(nil, kindWrite, nil, nil)
	held.size, held.caller, held.begun = taken, byBlocking, w.entryOf(at).op.begun
	held.release(1) // no End is to come
	if at.c == nil {
		w.solo[0] = held
	} else {
		at.c.ops[at.index] = held
		held.chunk, held.index = at.c, uint8(at.index)
	}
	if w.taken.at == seq {
		w.taken = place{seq + 1, 0}
	}
}

// losePost notes that a post is not sent, of which so much is out: a message is missing, so none may follow.
func (w *writeQueue) losePost(e entry, done int64, failure *IOError, fx *writeEffects) {
	w.torn(failure, false)
	w.uncount(int64(len(e.p)))
	fx.failures.note(failure, 0)
	fx.rare = true
	fx.failures.posts++
	fx.failures.bytes += uint64(int64(len(e.p)) - done)
	fx.lost += int64(len(e.p)) - done
}

// endFailed ends op, which is in the queue no more, with a failure that it may share with others.
func (w *writeQueue) endFailed(op *operation, failure *IOError, fx *writeEffects) {
	fx.rare = true
	if !op.blocking() {
		fx.failures.note(failure, 1)
	}
	if takenBack(failure, errCanceled) {
		fx.canceled += op.size - op.done
	} else {
		fx.lost += op.size - op.done
	}
	w.end(op, failure, fx)
}

// end ends op, which is in no list any more.
func (w *writeQueue) end(op *operation, err error, fx *writeEffects) {
	op.fail(err)
	w.giveUpRoom(op)
	fx.complete(op)
}
