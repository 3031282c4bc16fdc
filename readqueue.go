package netstream

import (
	"io"
	"time"
)

// serveReads serves the queued reads in Begin order until none is left or the connection has nothing more now.
// The caller owns the direction. It reports whether own was finished by it.
func (s *NetworkStream) serveReads(last attempt, own *operation) (finished bool) {
	for {
		op, t, ended := s.nextRead(last, own)
		if ended { // own may live another life from here on
			finished, own = true, nil
		}
		if op == nil {
			return finished
		}
		n, err := t.tryRead(op.buffer[0])
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
func (s *NetworkStream) nextRead(last attempt, own *operation) (op *operation, t transport, ended bool) {
	r := &s.read
	held := last.made && last.err == io.EOF && s.mustHoldEOF()
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
		r.busy = false
	default:
		if r.inflight.empty() {
			r.claimLocked(1)
		}
		op, t = r.inflight.head, s.transport
	}
	s.unlock()
	if held && op != nil { // the direction is the timer's: nobody, Begin least of all, waits here
		time.AfterFunc(holdPause, func() { s.serveReads(attempt{}, nil) })
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
	e := classify(err)
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
	s.serveReads(attempt{n > 0 || err != errInterrupted, n, err}, nil)
}
