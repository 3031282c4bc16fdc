package netstream

import (
	"io"
	"math"
	"time"
)

// ownRead is the budget of a call that serves its own read: what follows is left to the loop.
const ownRead = 1

// attemptCost is the least that an attempt to read counts for: also those that bring little, or an end, take time.
const attemptCost = 16 << 10

// serveReads serves the queued reads in Begin order until none is left, the connection has nothing more now, or about
// budget bytes have been read; the rest is for the next turn. The caller owns the direction. It reports whether own was
// finished by it.
func (s *NetworkStream) serveReads(last attempt, own *operation, budget int) (finished bool) {
	limit := math.MaxInt
	if own != nil { // in a Begin, whose caller does not wait
		limit = directBytes
	}
	for {
		if last.made {
			budget -= max(last.n, attemptCost)
		}
		op, t, ended := s.nextRead(last, own, budget)
		if ended { // own may live another life from here on
			finished, own = true, nil
		}
		if op == nil {
			return finished
		}
		p := op.buffer[0]
		n, err := t.tryRead(p[:min(len(p), limit)])
		last = attempt{true, n, err}
		if err == errWouldBlock {
			last = attempt{}
			if s.awaitData(t, op) {
				return finished
			}
			own = nil // it was open to Cancel meanwhile
		}
	}
}

// nextRead accounts for the last attempt and returns the read to serve next, or nil after giving the direction
// up. ended reports whether own was finished by the last attempt.
func (s *NetworkStream) nextRead(last attempt, own *operation, budget int) (op *operation, t transport, ended bool) {
	r := &s.read
	held := last.made && last.err == io.EOF && s.mustHoldEOF()
	last.err = outcome(callRead, last.err)
	s.mu.Lock()
	if r.waiting {
		r.endTurnLocked()
	}
	if last.made && !held {
		ended = s.readLocked(last, own)
	}
	if r.cutAll != nil || r.cutOne {
		s.applyCutsLocked(r)
	}
	if r.expiredLocked() { // begun after the deadline while somebody owned the direction
		s.cutAllLocked(r, deadlineError())
		s.applyCutsLocked(r)
	}
	switch {
	case s.moving:
		s.parkLocked(r)
	case r.inflight.empty() && r.queued.empty():
		r.restLocked()
	case budget <= 0 && !held: // the others get their turn
		r.unclaimLocked(0)
		r.busy = false
		s.wantServeLocked()
	default:
		if r.inflight.empty() {
			r.claimLocked(1)
		}
		op, t = r.inflight.head, s.transport
	}
	s.unlock()
	if held && op != nil { // the direction is the timer's: nobody, Begin least of all, waits here
		time.AfterFunc(holdPause, func() { s.serveReads(attempt{}, nil, turnBytes) })
		op = nil
	}
	return op, t, ended
}

// readLocked ends the read in flight with what the last attempt brought.
func (s *NetworkStream) readLocked(last attempt, own *operation) (ended bool) {
	r := &s.read
	op := r.inflight.head
	if op == nil { // cut meanwhile
		return false
	}
	if last.n == 0 && last.err == errInterrupted {
		return false
	}
	s.counters.bytesRead += uint64(last.n)
	r.inflight.remove(op)
	op.done = int64(last.n)
	op.sync = op == own
	var err error
	if last.n == 0 || op.size == 0 {
		err = s.readEndLocked(last.err)
	}
	s.finishLocked(r, op, err)
	return op == own
}

// readEndLocked turns what ended a read into its outcome. After a hard failure of the connection, whichever
// direction saw it first, no read reports a clean end.
func (s *NetworkStream) readEndLocked(err error) error {
	switch {
	case err == nil:
		return nil
	case err == io.EOF && s.deadIn && !s.shutRead:
		return &IOError{Err: s.dead}
	case err == io.EOF:
		return io.EOF
	}
	e := classify(callRead, err)
	s.noteDeadLocked(e)
	return &IOError{Err: e}
}

// awaitData has the transport wait until there is something to read. False: something has changed, go on.
func (s *NetworkStream) awaitData(t transport, op *operation) bool {
	s.mu.Lock()
	r := &s.read
	if r.cutAll != nil || r.cutOne || s.moving {
		s.mu.Unlock()
		return false
	}
	if s.canMove && !op.blocking {
		s.moving = true
		s.mu.Unlock()
		return false
	}
	if t.keeps() == 0 {
		r.unclaimLocked(0) // it can be cancelled while it waits
	}
	r.waiting = true
	turn, buffer := r.turn, op.buffer[0]
	s.unlock()
	return t.startRead(turn, buffer)
}

// readReturned is the transport's one call after startRead.
func (s *NetworkStream) readReturned(n int, err error) {
	s.serveReads(attempt{n > 0 || err != errInterrupted, n, err}, nil, turnBytes)
}
