package netstream

// What the tests of promises 9 to 16 have to see of the inside to know, without sleeping, that something waits.

// WriteWaits reports whether the connection takes no more and the writing direction waits for it, or for a
// blocking call.
func (s *NetworkStream) WriteWaits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.write.waiting
}

// ReadWaits reports whether a read waits in the transport.
func (s *NetworkStream) ReadWaits() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.read.waiting
}

// QueuedWrites returns how many writes wait behind what is on its way.
func (s *NetworkStream) QueuedWrites() int { return s.countOps(&s.write.queued) }

// RoomWaiters returns how many calls wait for room.
func (s *NetworkStream) RoomWaiters() int { return s.countOps(&s.write.room) }

// Drains returns how many calls of Drain wait.
func (s *NetworkStream) Drains() int { return s.countOps(&s.write.drains) }

func (s *NetworkStream) countOps(l *opList) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for op := l.head; op != nil; op = op.next {
		n++
	}
	return n
}

// Awaited reports whether somebody waits in an End of ar. It is for a result that has not been ended yet.
func (ar AsyncResult) Awaited() bool { return ar.op.word.Load()&opWaiting != 0 }

// PushesAtOnce is how many writes that answer nothing the callers of Begin send in a millisecond, for each loop.
const PushesAtOnce = pushesAtOnce
