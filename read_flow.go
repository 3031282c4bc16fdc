package netstream

import (
	"math"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// ownRead is the budget of a call that serves its own read: what follows is left to the loop.
const ownRead = 1

// serveReads serves the queued reads in Begin order until none is left, the connection has nothing more now, or about
// budget bytes have been read; the rest is for the next turn. The caller owns the direction. It reports whether own was
// finished by it.
func (s *NetworkStream) serveReads(last attempt, own *operation, budget int) (finished bool) {
	limit := math.MaxInt
	if own != nil { // in a Begin, whose caller does not wait
		limit = directBytes
	}
	for {
		if last.brought() {
			budget -= max(last.done, attemptCost)
		}
		op, t, ended := s.nextRead(last, own, budget)
		if ended { // own may live another life from here on
			finished, own = true, nil
		}
		if op == nil {
			return finished
		}
		p := op.buffer[0]
		n, err := t.TryRead(p[:min(len(p), limit)])
		last = moved(n, err)
		if err == engine.ErrWouldBlock {
			last = nothing
			if s.awaitData(t, op) {
				return finished
			}
			own = nil // Cancel could take it back meanwhile
		}
	}
}

// nextRead accounts for the last answer and returns the read to serve next, or nil after giving the direction up. ended
// reports whether own was finished by the last answer. An end that must not be believed yet (mustHoldEOF) ends nothing: the
// read is tried again after holdPause.
func (s *NetworkStream) nextRead(last attempt, own *operation, budget int) (op *operation, t engine.Connection, ended bool) {
	r := &s.read
	doubted := false
	if last.err != nil {
		doubted = isEnd(last.err) && s.mustHoldEOF()
		last.err = readOutcome(last.err)
	}
	var fx effects
	s.mu.Lock()
	r.returned()
	if !doubted && last.brought() {
		ended = s.readLocked(last, own, &fx)
	}
	if r.expired() { // begun after the deadline while somebody owned the direction
		r.cutEverything(deadlineError(), &fx)
	}
	next := r.decide(s.residence == moving, budget <= 0 && !doubted, &fx)
	switch next {
	case readOne:
		op, t = r.current, s.transport
	case readYield: // the others get their turn
		s.wantServeLocked()
	case readPark:
		if s.parkOtherLocked(&s.write.side, todoCancelWrite) {
			next = readMove
		}
	}
	s.carryOutReadsLocked(&fx)
	s.unlock()
	if next == readMove {
		s.move()
	}
	if doubted && op != nil { // the timer owns the direction meanwhile: nobody, Begin least of all, waits here
		time.AfterFunc(holdPause, func() { s.serveReads(nothing, nil, turnBytes) })
		op = nil
	}
	return op, t, ended
}

// readLocked ends the read in flight with what the last answer brought.
func (s *NetworkStream) readLocked(last attempt, own *operation, fx *effects) (ended bool) {
	r := &s.read
	op := r.current
	if op == nil { // cut meanwhile
		return false
	}
	s.noteReadLocked(last.done)
	op.sync = op == own
	var err error
	if last.done == 0 {
		err = s.readFailure(last.err)
	}
	r.finish(last.done, err, fx)
	return op == own
}

// noteReadLocked counts bytes that were read, and has the next write be an answer to them.
func (s *NetworkStream) noteReadLocked(n int) {
	if n > 0 {
		s.counters.bytesRead += uint64(n)
		s.write.unanswered = true
	}
}

// carryOutReadsLocked does what the reading queue's effects say.
func (s *NetworkStream) carryOutReadsLocked(fx *effects) {
	if fx.ready.head != nil {
		s.todo |= s.read.callbacks.add(&fx.ready)
	}
	if fx.interrupt {
		s.todo |= todoCancelRead
	}
}

// awaitData has the engine wait until there is something to read. False: something has changed, go on.
func (s *NetworkStream) awaitData(t engine.Connection, op *operation) bool {
	s.mu.Lock()
	r := &s.read
	// A read that is no blocking call, and has to wait, begins the move to a loop: leave says so.
	if s.residence == moving || r.cutting() || !op.blocking() && s.residence.leave() {
		s.mu.Unlock()
		return false
	}
	buffer := op.buffer[0]
	r.await(!t.Traits().OnlyWaits[engine.Read])
	id := r.id
	s.unlock()
	return t.StartRead(id, buffer)
}

// brought reports whether the answer ends a read.
func (a *attempt) brought() bool { return a.done > 0 || a.err != engine.ErrInterrupted }
