package netstream

import (
	"context"
	"time"
)

// contextError returns the error of a call whose context is done already.
func contextError(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return &IOError{Err: canceledError(err)}
	}
	return nil
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

// cut asks for the operation to end with e. What has not started ends at once; what is in flight is interrupted,
// and its completion is the truth.
func (s *NetworkStream) cut(op *operation, tag uint64, e *SocketError) {
	s.mu.Lock()
	w := op.word.Load()
	if sameLife(w, tag) && w&opCompleted == 0 {
		s.cutLocked(op, e)
	}
	s.unlock()
}

func (s *NetworkStream) cutLocked(op *operation, e *SocketError) {
	if op.kind == kindRead {
		var fx effects
		s.read.cut(op, e, &fx)
		s.carryOutReadsLocked(&fx)
	} else {
		var fx writeEffects
		s.write.cut(op, e, &fx)
		s.carryOutLocked(&fx)
		fx.release()
	}
}

// cutAllLocked ends everything of a direction with e: for a deadline, Close or Shutdown.
func (s *NetworkStream) cutAllLocked(d *side, e error) {
	s.todo |= s.auth.interruptLocked(e)
	if d == &s.read.side {
		var fx effects
		s.read.cutEverything(e, &fx)
		s.carryOutReadsLocked(&fx)
	} else {
		var fx writeEffects
		s.write.cutEverything(e, &fx)
		s.carryOutLocked(&fx)
		fx.release()
	}
}
