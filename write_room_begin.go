package netstream

// BeginWaitRoom begins to wait until a write of n bytes would be admitted, in the stream's limits and its group's; it is
// [NetworkStream.WaitRoom] for programs that do not block. The callback is one of the writing direction's (promise 7), and
// [NetworkStream.EndWaitRoom] tells the outcome. For a low-water mark ask for half of MaxPendingBytes: the operation then
// completes when the queue has drained to the other half. More than the limit is admitted to an empty queue.
//
// It reserves nothing: somebody else may take the room first, and Begin then says ErrQueueFull again. It holds up no
// Begin. It waits in line with blocking writes, first come first served. CompletedSynchronously is true when there is room at
// once. [NetworkStream.Cancel] takes it back. Close and a write deadline that passes end it with their error.
//
// An error means that no callback will run: [*ArgumentOutOfRangeError] for a negative n, named "n", and those of BeginWrite that
// say that no write can be begun any more. .NET has nothing like it.
func (s *NetworkStream) BeginWaitRoom(n int64, callback AsyncCallback, state any) (AsyncResult, error) {
	if n < 0 {
		return AsyncResult{}, &ArgumentOutOfRangeError{ParamName: "n", ActualValue: n}
	}
	s.mu.Lock()
	defer s.unlock()
	if err := s.writableLocked(); err != nil {
		return AsyncResult{}, err
	}
	if t := s.write.tear; t != nil {
		return AsyncResult{}, s.opError("write", t.failure)
	}
	op := newOperation(&s.owner, kindRoom, callback, state)
	op.size = n
	result := op.result()
	if s.write.roomHead() == nil && s.write.hasRoom(n) {
		var fx writeEffects
		op.sync = true
		s.write.end(op, nil, &fx)
		s.carryOutLocked(&fx)
		fx.release()
		return result.finished(true), nil
	}
	s.enterRoomLocked(op)
	return result, nil
}

// EndWaitRoom waits until the wait that ar stands for has completed, and returns its outcome: nil when there was room. Call
// it exactly once for each BeginWaitRoom. It fails as [NetworkStream.EndWrite] does.
func (s *NetworkStream) EndWaitRoom(ar AsyncResult) error {
	if ar.IsZero() {
		return s.zeroResult()
	}
	op, lastWord, err := ar.end(&s.owner, kindRoom)
	if err != nil {
		return s.opError("write", err)
	}
	err = op.failure()
	op.leave(lastWord)
	return s.opError("write", err)
}
