package netstream

import "context"

// WaitRoom returns nil when a Begin of a write of that many bytes would be admitted, as far as can be known
// while others write too. It waits in line with blocking writes. Errors: ctx.Err, a closed or read-only stream, a write
// deadline that passes, and [*ArgumentOutOfRangeError] for negative bytes. In a callback of a write it may wait for ever:
// what holds the room may be callbacks that wait for this one. There, use [NetworkStream.BeginWaitRoom], or a blocking write,
// which gets through.
func (s *NetworkStream) WaitRoom(ctx context.Context, bytes int64) error {
	if ctx == nil {
		return &ArgumentNullError{ParamName: "ctx"}
	}
	if bytes < 0 {
		return &ArgumentOutOfRangeError{ParamName: "bytes", ActualValue: bytes}
	}
	if err := contextError(ctx); err != nil {
		return s.opError("write", err)
	}
	s.mu.Lock()
	if err := s.writableLocked(); err != nil {
		s.mu.Unlock()
		return s.opError("write", err)
	}
	op := newOperation(&s.owner, kindRoom, nil, nil)
	op.size, op.caller = bytes, byBlocking
	s.enterRoomLocked(op)
	s.unlock()
	_, err := op.waited(s.watch(ctx, op, 0))
	return s.opError("write", err)
}

// Pending returns the writes that were begun and whose callback has not started (or which have not completed,
// when they have none, and under [OverflowDropOldest]), and their bytes, of which one write counts for 256 GiB at most. It
// may be called from any goroutine at any time.
func (s *NetworkStream) Pending() (writes int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, b := s.write.pending()
	return int(w), b
}

// waiters are the calls that wait for the queue, each kind first come first served. Guarded by the stream's mu.
type waiters struct {
	room   opList // blocking writes that wait for room, and WaitRoom and BeginWaitRoom
	drains opList // Drain calls; seq is what they wait for
}

// roomHead is the first that waits for room; nil: none does.
func (w *writeQueue) roomHead() *operation {
	if w.uncommon == nil {
		return nil
	}
	return w.uncommon.waiters.room.head
}

// drainsHead is the first Drain that waits; nil: none does.
func (w *writeQueue) drainsHead() *operation {
	if w.uncommon == nil {
		return nil
	}
	return w.uncommon.waiters.drains.head
}

// enterRoomLocked has op wait for room.
func (s *NetworkStream) enterRoomLocked(op *operation) {
	if g := s.config.Group; g != nil {
		g.want(s)
	}
	var fx writeEffects
	s.write.enterRoom(op, &fx)
	s.carryOutLocked(&fx)
	fx.release()
}

// serveRoom lets in whoever waits for room, of the stream or of its group.
func (s *NetworkStream) serveRoom() {
	s.mu.Lock()
	var fx writeEffects
	s.write.tidy(&fx)
	s.carryOutLocked(&fx)
	s.unlock()
	fx.release()
}

// discharge takes op, whose callback is about to start, off the count and lets in whoever waits for the room. Of the stream it
// touches only what no Begin writes to, unless somebody waits.
func (s *NetworkStream) discharge(op *operation) {
	w := &s.write
	switch op.room {
	case roomNone:
		return
	case roomPiled:
		w.piled.Add(-1)
	default:
		op.room = roomNone
		w.uncountIn(s.config.Group, op.size)
	}
	if w.roomWanted.Load() {
		s.serveRoom()
	}
}
