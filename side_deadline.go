package netstream

import (
	"time"
	"weak"
)

// deadline is that of one direction. Guarded by the stream's mu.
type deadline struct {
	phase deadlinePhase
	when  time.Time // the last one that was ahead
	timer *time.Timer
}

// deadlinePhase says where the deadline of a direction is. SetDeadline leads to each of them.
//
//	ahead -> expired  its time has come
//	ahead -> none     the stream or the socket is closed
type deadlinePhase uint8

const (
	deadlineNone deadlinePhase = iota
	deadlineAhead
	deadlineExpired
)

// stopDeadline has nothing happen any more at the time that was set.
func (d *side) stopDeadline() {
	if d.uncommon == nil {
		return
	}
	if t := &d.uncommon.deadline; t.phase == deadlineAhead {
		t.phase = deadlineNone
		t.timer.Stop()
	}
}

func (d *side) expired() bool {
	return d.uncommon != nil && d.uncommon.deadline.phase == deadlineExpired
}

// SetDeadline sets both deadlines; see SetReadDeadline and SetWriteDeadline.
func (s *NetworkStream) SetDeadline(t time.Time) error {
	if err := s.setDeadline(&s.read.side, t); err != nil {
		return err
	}
	return s.setDeadline(&s.write.side, t)
}

// SetReadDeadline sets the time at which reads fail with os.ErrDeadlineExceeded, blocking and begun ones, those
// that wait already included. Zero: never. It implements net.Conn.
func (s *NetworkStream) SetReadDeadline(t time.Time) error { return s.setDeadline(&s.read.side, t) }

// SetWriteDeadline sets the time at which writes fail with os.ErrDeadlineExceeded, blocking and begun ones, those
// that wait already included. A write of which part was sent by then leaves the stream torn. Zero: never.
// It implements net.Conn.
func (s *NetworkStream) SetWriteDeadline(t time.Time) error {
	return s.setDeadline(&s.write.side, t)
}

func (s *NetworkStream) setDeadline(q *side, t time.Time) error {
	s.mu.Lock()
	if err := s.life.disposed(); err != nil {
		s.mu.Unlock()
		return s.opError("set", &IOError{Err: err})
	}
	if u := q.uncommon; u != nil {
		q.stopDeadline()
		u.deadline.phase = deadlineNone
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

func (s *NetworkStream) armLocked(q *side, t time.Time, left time.Duration) {
	d := &q.rarely().deadline
	d.phase, d.when = deadlineAhead, t
	if d.timer == nil {
		held, read := weak.Make(s), q == &s.read.side // weak: a stream that is forgotten open can be collected
		d.timer = time.AfterFunc(left, func() {
			switch s := held.Value(); {
			case s == nil:
			case read:
				s.deadlineFired(&s.read.side)
			default:
				s.deadlineFired(&s.write.side)
			}
		})
		return
	}
	d.timer.Reset(left)
}

// deadlineFired runs when the timer does. A deadline that was moved or taken away meanwhile is left alone.
func (s *NetworkStream) deadlineFired(q *side) {
	s.mu.Lock()
	if d := &q.uncommon.deadline; d.phase == deadlineAhead && s.life.disposed() == nil {
		if left := time.Until(d.when); left > 0 {
			d.timer.Reset(left)
		} else {
			s.expireLocked(q)
		}
	}
	s.unlock()
}

func (s *NetworkStream) expireLocked(q *side) {
	q.rarely().deadline.phase = deadlineExpired
	s.cutAllLocked(q, deadlineError())
}
