package netstream

import (
	"time"
	"weak"
)

// deadline is that of one direction, made when the first one is set. Guarded by the stream's mu.
type deadline struct {
	when    time.Time // zero: none ahead
	timer   *time.Timer
	expired bool
}

// stop has nothing happen any more at the time that was set.
func (d *deadline) stop() {
	if d != nil && !d.when.IsZero() {
		d.when = time.Time{}
		d.timer.Stop()
	}
}

func (q *opQueue) expiredLocked() bool { return q.deadline != nil && q.deadline.expired }

// SetDeadline sets both deadlines; see SetReadDeadline and SetWriteDeadline.
func (s *NetworkStream) SetDeadline(t time.Time) error {
	if err := s.setDeadline(&s.read, t); err != nil {
		return err
	}
	return s.setDeadline(&s.write.opQueue, t)
}

// SetReadDeadline sets the time at which reads fail with os.ErrDeadlineExceeded, blocking and begun ones, those
// that wait already included. Zero: never. It implements net.Conn.
func (s *NetworkStream) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.read, t) }

// SetWriteDeadline sets the time at which writes fail with os.ErrDeadlineExceeded, blocking and begun ones, those
// that wait already included. A write of which part was sent by then leaves the stream torn. Zero: never.
// It implements net.Conn.
func (s *NetworkStream) SetWriteDeadline(t time.Time) error {
	return s.setDeadline(&s.write.opQueue, t)
}

func (s *NetworkStream) setDeadline(q *opQueue, t time.Time) error {
	s.mu.Lock()
	if err := s.disposedLocked(); err != nil {
		s.mu.Unlock()
		return s.opError("set", &IOError{Err: err})
	}
	if q.deadline == nil && !t.IsZero() {
		q.deadline = new(deadline)
	}
	if q.deadline != nil {
		q.deadline.stop()
		q.deadline.expired = false
	}
	if !t.IsZero() {
		if left := time.Until(t); left <= 0 {
			s.expireLocked(q)
		} else {
			s.armLocked(q, t, left)
		}
	}
	s.unlock()
	return nil
}

func (s *NetworkStream) armLocked(q *opQueue, t time.Time, left time.Duration) {
	d := q.deadline
	d.when = t
	if d.timer == nil {
		held, read := weak.Make(s), q == &s.read // weak: a stream that is forgotten open can be collected
		d.timer = time.AfterFunc(left, func() {
			switch s := held.Value(); {
			case s == nil:
			case read:
				s.deadlineFired(&s.read)
			default:
				s.deadlineFired(&s.write.opQueue)
			}
		})
		return
	}
	d.timer.Reset(left)
}

// deadlineFired runs when the timer does. A deadline that was moved or taken away meanwhile is left alone.
func (s *NetworkStream) deadlineFired(q *opQueue) {
	s.mu.Lock()
	if d := q.deadline; !d.when.IsZero() && s.disposedLocked() == nil {
		if left := time.Until(d.when); left > 0 {
			d.timer.Reset(left)
		} else {
			d.when = time.Time{}
			s.expireLocked(q)
		}
	}
	s.unlock()
}

func (s *NetworkStream) expireLocked(q *opQueue) {
	q.deadline.expired = true
	s.cutAllLocked(q, deadlineError())
}
