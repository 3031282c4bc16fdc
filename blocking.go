package netstream

import (
	"context"
	"time"
)

var processStart = time.Now()

// sinceStart is the monotonic clock, at half the price of time.Now.
func sinceStart() time.Duration { return time.Since(processStart) }

// inBubble reports whether the caller is in a testing/synctest bubble. Its clock begins in the year 2000, which is far
// from the time since this process has started on either side.
func inBubble() bool {
	const long = 10 * 365 * 24 * time.Hour
	d := sinceStart()
	return d < 0 || d > long
}

// watch asks for op to be cut when ctx is done or timeout (if not 0) has passed. The returned function ends the
// watch; it is nil when there is nothing to watch. A watch that fires late finds that the operation lives
// another life, and does nothing.
func (s *NetworkStream) watch(ctx context.Context, op *operation, timeout time.Duration) (stop func()) {
	done := ctx.Done()
	if done == nil && timeout == 0 {
		return nil
	}
	tag := op.word.Load() // names this life; not tag(), which reads what a completion may be writing
	var stopContext func() bool
	if done != nil {
		stopContext = context.AfterFunc(ctx, func() { s.cut(op, tag, canceledError(ctx.Err())) })
	}
	var timer *time.Timer
	if timeout > 0 {
		timer = time.AfterFunc(timeout, func() { s.cut(op, tag, deadlineError()) })
	}
	return func() {
		if stopContext != nil {
			stopContext()
		}
		if timer != nil {
			timer.Stop()
		}
	}
}

// waitBlocking waits for an operation of a blocking call and gives it back.
func (s *NetworkStream) waitBlocking(ctx context.Context, op *operation, timeout time.Duration) error {
	_, err := s.waitBlockingCount("write", ctx, op, timeout)
	return err
}

func (s *NetworkStream) waitBlockingCount(name string, ctx context.Context, op *operation, timeout time.Duration) (int, error) {
	n, err := op.waited(s.watch(ctx, op, timeout))
	return int(n), s.opError(name, err)
}

// waited waits for an operation of a blocking call, ends its watch, gives it back and returns how it ended.
func (op *operation) waited(stop func()) (int64, error) {
	op.wait()
	if stop != nil {
		stop()
	}
	n, err := op.done, op.failure()
	op.release(1)
	return n, err
}

// cut asks for the operation to end with e. What has not started ends at once; what is in flight is asked to come
// back, and its completion is the truth.
func (s *NetworkStream) cut(op *operation, tag uint64, e *SocketError) {
	s.mu.Lock()
	w := op.word.Load()
	if sameLife(w, tag) && w&opCompleted == 0 {
		s.cutLocked(op, e)
	}
	s.unlock()
}

func (s *NetworkStream) cutLocked(op *operation, e *SocketError) {
	q := s.queueOf(op)
	switch {
	case op.kind == kindDrain:
		s.write.drains.remove(op)
		s.finishLocked(q, op, &IOError{Err: e})
	case op.inRoom:
		s.leaveRoomLocked(op)
		s.finishLocked(q, op, &IOError{Err: e})
		s.serveRoomLocked() // those behind may need less
		s.wantFlushLocked() // a FIN may have waited for it
		s.serveDrainsLocked()
	case !q.startedLocked(op):
		q.queued.remove(op)
		s.endCutLocked(op, e)
		s.endIdleWaitLocked(q)
		s.serveDrainsLocked()
	default:
		s.askLocked(q, op, e)
	}
}

// cutAllLocked ends everything of a direction with e: deadlines and Close.
func (s *NetworkStream) cutAllLocked(q *opQueue, e error) {
	q.cutAll = e
	s.askBackLocked(q)
	for op := q.queued.popFront(); op != nil; op = q.queued.popFront() {
		s.endCutLocked(op, e)
	}
	for op := q.turns.popFront(); op != nil; op = q.turns.popFront() {
		s.finishLocked(q, op, &IOError{Err: e})
	}
	if q == &s.write.opQueue {
		for op := s.write.room.head; op != nil; op = s.write.room.head {
			s.leaveRoomLocked(op)
			if s.closed && op.kind != kindRoom {
				s.end.lost += op.size
			}
			s.finishLocked(q, op, &IOError{Err: e})
		}
		s.serveDrainsLocked()
	}
}

// applyCutsLocked ends what was in flight and is to stop. Only the owner of the direction calls it, or whoever holds
// mu while there is no owner.
func (s *NetworkStream) applyCutsLocked(q *opQueue) {
	for op := q.inflight.head; op != nil; {
		next, e := op.next, q.cutAll
		if op.asked {
			e = op.cut
		}
		if e != nil {
			q.inflight.remove(op)
			s.endCutLocked(op, e)
		}
		op = next
	}
	q.cutAll, q.cutOne = nil, false
}

func (s *NetworkStream) endCutLocked(op *operation, e error) {
	if op.kind == kindWrite {
		s.endWriteLocked(op, e)
		return
	}
	s.finishLocked(&s.read, op, &IOError{N: op.done, Err: e})
}

// askLocked asks for op, which is in flight, to stop with e.
func (s *NetworkStream) askLocked(q *opQueue, op *operation, e *SocketError) {
	op.cut, op.asked, q.cutOne = e, true, true
	s.askBackLocked(q)
}

// askBackLocked has the next unlock ask the transport to come back with what it has under way.
func (s *NetworkStream) askBackLocked(q *opQueue) {
	switch {
	case !q.busy: // the turn of the last owner was over: what it left half sent belongs to mu
		s.applyCutsLocked(q)
		if q != &s.read {
			s.noteInflightLocked()
		}
	case !q.waiting: // the owner is in a call that does not wait, and looks when it is back
	case q == &s.read:
		s.todo |= todoCancelRead
	default:
		s.todo |= todoCancelWrite
	}
}

// endIdleWaitLocked ends the transport's wait for an operation that was taken back meanwhile, if it was the last one. The
// wait would keep a stream alive that is forgotten open.
func (s *NetworkStream) endIdleWaitLocked(q *opQueue) {
	inflight := s.write.firstSeq != noSeq // the list itself may be the owner's
	if q == &s.read {
		inflight = !q.inflight.empty()
	}
	if q.waiting && !inflight && q.queued.empty() {
		s.askBackLocked(q)
	}
}

func (s *NetworkStream) queueOf(op *operation) *opQueue {
	if op.kind == kindRead {
		return &s.read
	}
	return &s.write.opQueue
}
