package netstream

import "time"

// phase says who works on one direction of a stream.
//
//	resting -> owned    a call or the loop takes the direction, before its first system call
//	resting -> waiting  the same, for a call that may block
//	owned   -> waiting  nothing more can be done now: the transport is to come back once
//	waiting -> owned    it has come back
//	any     -> parked   both directions stand still: the stream moves to another transport
//	owned   -> resting  nothing is left to do, or the turn is over
//	parked  -> resting  it has moved
type phase uint8

const (
	resting phase = iota // nobody owns the direction
	owned                // a goroutine does
	waiting              // the transport does, or a goroutine in a call that may block: one completion is to come
	parked               // the owner waits for the other direction, to move
)

// cuts is what of a direction is to stop although it is in flight.
type cuts uint8

const (
	cutNothing cuts = iota
	cutSome         // the operations whose stage is stopping
	cutAll          // everything, because of uncommonSide.why
)

// side is what the two directions of a stream have in common. It is guarded by the stream's mu.
//
// One goroutine or transport at a time owns a direction. Taking the ownership happens before the first system call and
// giving it up after the last completion was posted, so completions cannot overtake each other.
type side struct {
	phase phase
	cuts  cuts   // what in flight is to stop; nothing when the owner has looked
	id    uint32 // names one wait or call of the engine, so that a late cancel cannot hit the next

	uncommon  *uncommonSide // nil until it is needed
	callbacks callbackQueue
}

// uncommonSide is what few directions need. Guarded by the stream's mu.
type uncommonSide struct {
	deadline deadline
	timeout  time.Duration // of blocking calls; 0: none
	why      error         // why everything in flight has to stop, after cutAll
	raws     opList        // raw calls that wait for the direction (socket_raw.go): it has an owner while there are any
	waiters  waiters       // of the writing direction
}

// rarely returns what few directions need, and makes it at the first call.
func (d *side) rarely() *uncommonSide {
	if d.uncommon == nil {
		d.uncommon = new(uncommonSide)
	}
	return d.uncommon
}

// timeout is that of blocking calls; 0: none.
func (d *side) timeout() time.Duration {
	if d.uncommon == nil {
		return 0
	}
	return d.uncommon.timeout
}

// returned notes that the transport has come back.
func (d *side) returned() {
	d.id++
	d.phase = owned
}

// cutting reports whether something in flight is to stop.
func (d *side) cutting() bool { return d.cuts != cutNothing }

// stopOne has op, which is in flight, stop because of e.
func (d *side) stopOne(op *operation, e *SocketError) {
	op.rarely().cut, op.stage = e, stopping
	d.cuts = max(d.cuts, cutSome)
}

// stopAll notes that everything in flight is to stop, because of e.
func (d *side) stopAll(e error) { d.rarely().why, d.cuts = e, cutAll }

// stopReason is why everything in flight is to stop; nil: it is not.
func (d *side) stopReason() error {
	if d.cuts != cutAll {
		return nil
	}
	return d.uncommon.why
}

// stopped notes that the owner has looked at what is to stop.
func (d *side) stopped() {
	if d.cuts == cutAll {
		d.uncommon.why = nil
	}
	d.cuts = cutNothing
}

// interrupt has what is in flight come back soon. It reports whether nobody is at work, so that the caller has to look
// in the owner's place.
func (d *side) interrupt(fx *effects) (alone bool) {
	if d.phase == waiting {
		fx.interrupt, fx.rare = true, true
	}
	return d.phase == resting
}

// rest gives the direction up, or hands it to a raw call that waits for that.
func (d *side) rest(fx *effects) {
	d.phase = resting
	if d.uncommon == nil {
		return
	}
	if op := d.uncommon.raws.popFront(); op != nil {
		d.phase = waiting
		fx.end(op)
	}
}

// cutRaws ends the raw calls that wait.
func (d *side) cutRaws(e error, fx *effects) {
	raws := &d.rarely().raws
	for op := raws.popFront(); op != nil; op = raws.popFront() {
		op.fail(&IOError{Err: e})
		fx.end(op)
	}
}

// effects is what a queue answers: what is to be done about what happened. The queue itself posts nothing, wakes
// only those whose operation completes, and calls only the limits of its Group. There is one for each step of a
// direction, so it is small.
type effects struct {
	ready     opList // have completed; their callbacks are to run, in this order
	interrupt bool   // the transport is to come back with what it has under way
	rare      bool   // interrupt is set, or something that only the writing queue answers
}

// end completes op, whose result has been written, which is in no list, and to which nothing refers any more: it may live
// another life at once.
func (fx *effects) end(op *operation) {
	if op.callback != nil {
		fx.ready.pushBack(op)
		op.complete()
	} else {
		op.completeAndLeave()
	}
}
