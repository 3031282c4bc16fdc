package netstream

// A stream of EngineAuto starts on the portable transport, which serves blocking calls at net's speed, and moves to
// the loop at its first asynchronous operation that has to wait, or that the loop is to send (sender.go): from then on
// no goroutine waits for it. The move needs both directions. Whoever has work for the old transport comes back from it,
// parks its direction, and the last one to do so makes the move. The old connection is closed when nobody uses it any
// more.

// parkLocked stops the direction q, whose owner calls it, for the move.
func (s *NetworkStream) parkLocked(q *opQueue) {
	q.parked = true
	q.unclaimLocked(0) // it can be cancelled meanwhile
	other := &s.read
	if q == &s.read {
		other = &s.write.opQueue
	}
	if !other.busy {
		other.busy, other.parked = true, true
	}
	if !other.parked {
		s.askBackLocked(other)
	}
	s.moveIfParkedLocked()
}

func (s *NetworkStream) moveIfParkedLocked() {
	if s.moving && s.read.parked && s.write.parked {
		s.moving = false
		s.todo |= todoMove
	}
}

// move replaces the transport and lets both directions, which the caller owns, go on. If the loop cannot be had,
// the stream stays where it is.
func (s *NetworkStream) move() {
	old := s.transport.(*portable) // both directions are parked: nobody else replaces it
	t, err := old.toLoop()
	s.mu.Lock()
	s.canMove = false
	if err == nil {
		s.transport = t
		s.retireLocked(old)
	} else {
		old.stays = err
	}
	s.read.parked, s.write.parked = false, false
	s.unlock()
	s.resumeWrite(attempt{}) // first: a read that holds an end back waits for whoever owns the writing
	s.serveReads(attempt{}, nil)
}

// retireLocked has the old connection closed as soon as nobody is in a call on it.
func (s *NetworkStream) retireLocked(old *portable) {
	if s.config.LeaveOpen {
		return
	}
	s.retired = old
	s.closeRetiredLocked()
}

func (s *NetworkStream) closeRetiredLocked() {
	if s.retired != nil && s.users == 0 {
		s.todo |= todoCloseRetired
	}
}
