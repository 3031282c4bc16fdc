package netstream

// writeFailures is what is known of the begun writes that have failed. Guarded by the stream's mu.
type writeFailures struct {
	first error  // of all, for Drain
	lost  error  // of those that nobody has taken back, as WriteErr returns it
	count uint64 // of the latter

	posts, bytes uint64 // posts that were not sent, dropped ones apart, and what is missing of them
}

// note counts a failure of so many begun writes; none for a post.
func (f *writeFailures) note(failure error, writes uint64) {
	if f.first == nil {
		f.first = failure
	}
	if takenBack(failure, errCanceled) || takenBack(failure, ErrDropped) {
		return
	}
	f.count += writes
	if f.lost == nil {
		f.lost = failure
	}
}

// noteFailures remembers how writes of s failed: their callers may never ask.
func (c *counters) noteFailures(s *NetworkStream, now *writeFailures) {
	if c.failures == nil {
		c.failures = new(writeFailures)
	}
	f := c.failures
	if f.first == nil {
		f.first = now.first
	}
	if f.lost == nil {
		f.lost = s.opError("write", now.lost)
	}
	f.count += now.count
}

// countLost counts what a queue has lost.
func (c *counters) countLost(fx *writeEffects) {
	c.dropped += uint64(fx.dropped)
	if fx.failures.posts > 0 { // so a failure was noted
		c.failures.posts += fx.failures.posts
		c.failures.bytes += fx.failures.bytes
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
	case s.write.fin == finFailed:
		return &IOError{Err: s.life.end.finErr}
	}
	return nil
}

// WriteErr returns the first failure of a begun write, as its EndWrite does; nil as long as there was none. It is for those
// who begin writes without ending them: no Begin reports a connection that is broken, and Err is nil
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
