package netstream

// readQueue is the reading direction: the reads that have been begun, in Begin order, of which one at a time is in
// flight. It is a value: it has no lock, makes no call, and answers with effects. The stream's mu guards it.
type readQueue struct {
	side
	current *operation // in flight: it may have got its bytes by now
	queued  opList     // the others: they may be cancelled or cut at once
}

func (r *readQueue) empty() bool { return r.current == nil && r.queued.empty() }

// idle reports whether nothing is queued, in flight or owned.
func (r *readQueue) idle() bool { return r.phase == resting && r.empty() }

func (r *readQueue) push(op *operation) { r.queued.pushBack(op) }

// own makes the caller the owner of the idle direction, with op in flight.
func (r *readQueue) own(op *operation, as phase) {
	r.current, r.phase = op, as
}

// unclaim gives back what is in flight, so that it can be cancelled: nothing was taken for it.
func (r *readQueue) unclaim() {
	if op := r.current; op != nil {
		r.current = nil
		r.queued.pushFront(op)
	}
}

// finish ends the read in flight with what an attempt has brought. It returns nil if that was cut meanwhile.
func (r *readQueue) finish(n int, err error, fx *effects) (op *operation) {
	op, r.current = r.current, nil
	if op != nil {
		op.done = int64(n)
		r.end(op, err, fx)
	}
	return op
}

// end ends op, which is in no list any more: it may live another life at once.
func (r *readQueue) end(op *operation, err error, fx *effects) {
	op.fail(err)
	fx.end(op)
}

// decide ends what is due and says what the owner does next. over says that the turn is over. Only the caller knows whether
// a readPark becomes a readMove.
func (r *readQueue) decide(moving, over bool, fx *effects) readStep {
	if r.cutting() {
		r.applyCuts(fx)
	}
	switch {
	case moving:
		r.park()
		return readPark
	case r.empty():
		r.rest(fx)
		return readRest
	case over: // the others get their turn
		r.unclaim()
		r.phase = resting
		return readYield
	case r.current == nil:
		r.current = r.queued.popFront()
	}
	return readOne
}

// returned notes that the engine has come back, if it has.
func (r *readQueue) returned() {
	if r.phase == waiting {
		r.side.returned()
	}
}

// readStep is what the owner of the direction does next.
type readStep uint8

const (
	readRest  readStep = iota // nothing: the direction was given up
	readOne                   // make an attempt for the read in flight
	readPark                  // nothing: the direction stands still for a move
	readMove                  // make the move: the other direction stands still as well
	readYield                 // nothing: the direction was given up, and the loop is to go on
)

// await has the owner give the direction to the engine, which waits, or reads into the buffer if it keeps that. Nothing in
// flight is to be cut.
func (r *readQueue) await(keeps bool) {
	if !keeps { // it can be cancelled while it waits
		r.unclaim()
	}
	r.phase = waiting
}

// park stops the direction for a move.
func (r *readQueue) park() {
	r.phase = parked
	r.unclaim()
}

// moved gives the direction up after a move. What was to stop meanwhile ends here: a cut that is left would hit the next
// read.
func (r *readQueue) moved(fx *effects) {
	r.phase = resting
	r.applyCuts(fx)
}

// take takes back op, which has not started, because of e.
func (r *readQueue) take(op *operation, e error, fx *effects) {
	r.queued.remove(op)
	r.end(op, &IOError{Err: e}, fx)
	if r.phase == waiting && r.empty() { // the wait would keep alive a stream that is forgotten open
		fx.interrupt, fx.rare = true, true
	}
}

// cut asks for op to end with e. What has not started ends at once; what is in flight is interrupted, and its
// completion is the truth.
func (r *readQueue) cut(op *operation, e *SocketError, fx *effects) {
	if op != r.current {
		r.take(op, e, fx)
		return
	}
	r.stopOne(op, e)
	r.ask(fx)
}

// cutEverything ends everything with e: for a deadline or Close.
func (r *readQueue) cutEverything(e error, fx *effects) {
	r.stopAll(e)
	r.ask(fx)
	for op := r.queued.popFront(); op != nil; op = r.queued.popFront() {
		r.end(op, &IOError{Err: e}, fx)
	}
	r.cutRaws(e, fx)
}

func (r *readQueue) ask(fx *effects) {
	if r.interrupt(fx) {
		r.applyCuts(fx)
	}
}

// applyCuts ends what is in flight and is to stop.
func (r *readQueue) applyCuts(fx *effects) {
	e := r.stopReason()
	r.stopped()
	op := r.current
	if op == nil {
		return
	}
	if op.stage == stopping {
		e = op.uncommon.Load().cut
	}
	if e != nil {
		r.current = nil
		r.end(op, &IOError{Err: e}, fx)
	}
}
