package netstream

// WritesBegun and ReadsBegun return how many operations have taken their place in a direction's order, blocking
// ones included. A test that starts one call after the other waits for these to know their order.

func (s *NetworkStream) WritesBegun() uint64 { return s.begun(&s.write.opQueue) }
func (s *NetworkStream) ReadsBegun() uint64  { return s.begun(&s.read) }

func (s *NetworkStream) begun(q *opQueue) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return q.nextSeq
}

// SameOperation reports whether two results stand for lives of one pooled operation.
func SameOperation(a, b AsyncResult) bool { return a.op == b.op }
