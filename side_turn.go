package netstream

// A turn is a bounded piece of work on one direction: the stream's loop then serves others before it comes back. A Begin
// makes the attempt that is its own and leaves what others have queued to the next turn (promise 1); so does a blocking
// read. A call that waits for a write may help to send for one turn, since it has nothing better to do.

// turnBytes is how much one turn moves.
const turnBytes = 2 << 20

// attemptCost is the least that an attempt counts for: also those that move little, or fail, take time.
const attemptCost = 16 << 10

// nextTurn is what waits for a turn of the stream's loop: with something in it, a turnRunner is queued, or will be by unlock.
// Guarded by the stream's mu.
type nextTurn uint8

const (
	turnFlush nextTurn = 1 << iota // writes are queued and nobody works on them
	turnServe                      // reads are queued and nobody works on them
)

// wantFlushLocked has the next unlock hand the queued writes to the stream's loop, if nobody works on them.
func (s *NetworkStream) wantFlushLocked() {
	if s.write.phase == resting {
		s.todo |= s.next.add(turnFlush)
	}
}

// wantServeLocked does the same for the queued reads.
func (s *NetworkStream) wantServeLocked() {
	if s.read.phase == resting {
		s.todo |= s.next.add(turnServe)
	}
}

// add returns what unlock has to do so that the turn is taken.
func (n *nextTurn) add(work nextTurn) todo {
	posted := *n != 0
	*n |= work
	if posted {
		return 0
	}
	return todoTurn
}

// turnRunner is a stream as the task that takes its turn on the loop.
type turnRunner NetworkStream

// Run implements engine.Task.
func (t *turnRunner) Run() {
	s := (*NetworkStream)(t)
	s.mu.Lock()
	work := s.next
	s.next = 0
	flush := work&turnFlush != 0 && s.write.phase == resting
	if flush {
		s.write.phase = owned
		if s.residence == mayMove && s.write.waits() && !s.write.nextBlocks() { // the loop is to send: so move there
			s.residence.leave()
		}
	}
	s.mu.Unlock()
	if flush {
		s.flush(nothing)
	}
	s.mu.Lock()
	serve := work&turnServe != 0 && s.read.phase == resting
	if serve {
		s.read.phase = owned
	}
	s.mu.Unlock()
	if serve {
		s.serveReads(nothing, nil, turnBytes)
	}
}
