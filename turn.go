package netstream

import "github.com/seed-9ac8cf60/netstream/internal/loop"

// A turn is a bounded piece of work on one direction: the stream's loop then serves others before it comes back. A Begin
// makes the attempt that is its own and leaves what others have queued to the next turn (promise 1); so does a blocking
// read. A call that waits for a write may help to send for one turn, since it has nothing better to do.

// turnBytes is how much one turn moves.
const turnBytes = 2 << 20

// nextTurn is what waits for a turn of the stream's loop. Guarded by the stream's mu.
type nextTurn struct {
	task   loop.Task // runs the turn
	posted bool      // task is queued, or will be by unlock
	flush  bool      // writes are queued and nobody works on them
	serve  bool      // so it is with reads
}

// wantFlushLocked has the next unlock hand the queued writes to the stream's loop, if nobody works on them.
func (s *NetworkStream) wantFlushLocked() {
	if !s.write.busy {
		s.next.flush = true
		s.postTurnLocked()
	}
}

// wantServeLocked does the same for the queued reads.
func (s *NetworkStream) wantServeLocked() {
	if !s.read.busy {
		s.next.serve = true
		s.postTurnLocked()
	}
}

func (s *NetworkStream) postTurnLocked() {
	if !s.next.posted {
		s.next.posted = true
		s.todo |= todoTurn
	}
}

// turnRunner is a stream as the task that takes its turn on the loop.
type turnRunner NetworkStream

// Run implements loop.Runner.
func (t *turnRunner) Run() {
	s := (*NetworkStream)(t)
	s.mu.Lock()
	s.next.posted = false
	flush := s.next.flush && !s.write.busy
	s.next.flush = false
	if flush {
		s.write.busy = true
		if op := s.write.queued.head; s.canMove && op != nil && !op.blocking { // the loop is to send: so move there, see move.go
			s.moving = true
		}
	}
	s.mu.Unlock()
	if flush {
		s.flush()
	}
	s.mu.Lock()
	serve := s.next.serve && !s.read.busy
	s.next.serve = false
	if serve {
		s.read.busy = true
	}
	s.mu.Unlock()
	if serve {
		s.serveReads(attempt{}, nil, turnBytes)
	}
}
