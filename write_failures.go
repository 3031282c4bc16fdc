package netstream

// writeFailures is what is known of the begun writes that have failed. Guarded by the stream's mu.
type writeFailures struct {
	first error  // of all, for Drain
	lost  error  // of those that nobody has taken back, as WriteErr returns it
	count uint64 // of the latter
}

// noteFailureLocked remembers how a begun write failed: its caller may never ask.
func (s *NetworkStream) noteFailureLocked(failure error) {
	if s.counters.failures == nil {
		s.counters.failures = new(writeFailures)
	}
	f := s.counters.failures
	if f.first == nil {
		f.first = failure
	}
	if takenBack(failure, errCanceled) || takenBack(failure, ErrDropped) {
		return
	}
	f.count++
	if f.lost == nil {
		f.lost = s.opError("write", failure)
	}
}

// takenBack reports whether a write failed because it was taken back, for that reason. It asks no foreign error.
func takenBack(failure, why error) bool {
	e, ok := failure.(*IOError)
	return ok && e.Err == why
}

func (s *NetworkStream) firstFailureLocked() error {
	switch {
	case s.counters.failures != nil:
		return s.counters.failures.first
	case s.end != nil && s.end.finErr != nil:
		return &IOError{Err: s.end.finErr}
	}
	return nil
}

// WriteErr returns how the first of the begun writes failed that did fail, as its EndWrite does; nil as long as all went
// well. It is for those who begin writes without ending them: no Begin reports a connection that is broken, and Err is nil
// until the stream is closed. Writes that Cancel took back or OverflowDropOldest dropped do not count. It may be called
// from any goroutine at any time, after Close too; Stats has it with the number of failed writes.
func (s *NetworkStream) WriteErr() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.counters.failures == nil {
		return nil
	}
	return s.counters.failures.lost
}
