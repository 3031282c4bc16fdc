package netstream

// Post hands p over to be sent and forgotten: the cheapest way to push a message, with no operation, no callback and no End
// behind it. .NET has nothing like it; what it replaces is BeginWrite whose outcome nobody asks for.
//
// p is not copied. It must never change again, also after Close, and it may be posted to any number of streams. A nil p is an
// [*ArgumentNullError] named "p"; an empty one is checked like any other and does nothing.
//
// Post never sends and never waits. The post takes its place in Begin order among all writes, goes out whole, and counts
// as pending, one write of len(p) bytes, until the kernel has it. It cannot be cancelled. The stream's loop sends it, together
// with what has gathered by then; so the first Post moves a stream of EngineAuto to a loop. Post works on every engine and
// may be called from any goroutine, callbacks included.
//
// An error means that nothing was posted. It returns the errors of BeginWrite, in the same order, ErrQueueFull by the same
// rules of [Overflow] among them. Because there is no End to report them, it also returns what is known already: after
// CloseWrite a failure with SocketError Shutdown (10058), after a write deadline has passed os.ErrDeadlineExceeded, on a broken
// connection what broke it.
//
// A post that is lost later ends the stream's writing, so that no message is missing in the middle: every later write fails
// with the cause, [NetworkStream.WriteErr] and Drain return it, and Stats counts LostPosts and LostBytes. Torn is set if part
// of a message was out. What loses posts is a broken connection, a write deadline that passes while they wait, Close, and a
// torn write ahead of them. The stream stays open for reading. Posts that [OverflowDropOldest] takes away end nothing; they are
// counted in Dropped.
func (s *NetworkStream) Post(p []byte) error {
	s.mu.Lock()
	if err := s.postLocked(p); err != nil {
		return s.refuse(err)
	}
	s.unlock()
	return nil
}

// postLocked checks that p may be posted, and queues it.
func (s *NetworkStream) postLocked(p []byte) error {
	if p == nil {
		return &ArgumentNullError{ParamName: "p"}
	}
	if err := s.writableLocked(); err != nil {
		return err
	}
	if err := s.lostBeforehandLocked(); err != nil {
		return s.opError("write", err)
	}
	if len(p) == 0 {
		return nil
	}
	if size := int64(len(p)); !s.write.admit(size) && !s.makeRoomLocked(size) {
		return ErrQueueFull
	}
	s.counters.writeOps++
	s.counters.posts++
	s.write.unanswered = false
	s.write.post(p)
	s.wantFlushLocked()
	return nil
}

// lostBeforehandLocked returns why a post would be lost, if that is known already.
func (s *NetworkStream) lostBeforehandLocked() error {
	if t := s.write.tear; t != nil {
		return t.failure
	}
	if err := s.write.failsUnsent(); err != nil {
		return &IOError{Err: err}
	}
	switch {
	case s.dead != nil:
		return &IOError{Err: s.dead}
	case s.fatal() != nil:
		return &IOError{Err: s.fatal()}
	}
	return nil
}
