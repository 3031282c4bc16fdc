package netstream

// What tests have to see of the inside to know, without sleeping, that something waits. (What Stats tells needs no hook.)

// RoomWaiters returns how many calls wait for room.
func (s *NetworkStream) RoomWaiters() int { return s.countOps((*writeQueue).roomHead) }

// Drains returns how many calls of Drain wait.
func (s *NetworkStream) Drains() int { return s.countOps((*writeQueue).drainsHead) }

func (s *NetworkStream) countOps(head func(*writeQueue) *operation) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for op := head(&s.write); op != nil; op = op.next {
		n++
	}
	return n
}

// Awaited reports whether somebody waits in an End of ar. It is for a result that has not been ended yet.
func (ar AsyncResult) Awaited() bool { return ar.op.word.Load()&opWaiting != 0 }

// PushesAtOnce is how many writes that answer nothing the callers of Begin send in a millisecond, for each loop.
const PushesAtOnce = pushesAtOnce
