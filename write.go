package netstream

import (
	"context"
)

// BeginWrite begins to write size bytes of buffer from offset on and returns at once; it mirrors
// NetworkStream.BeginWrite(Byte[], Int32, Int32, AsyncCallback, Object).
//
// All the bytes are sent, in Begin order and never mixed with another write's. The operation completes when
// the kernel has accepted every byte (not when the peer has read them) or when it fails; then the callback,
// if there is one, runs on another goroutine, and [NetworkStream.EndWrite] tells the outcome. The buffer is
// lent until then: Begin does not copy it, and it must not be changed. Call EndWrite exactly once for each BeginWrite;
// one that is never ended costs garbage and nothing else.
//
// When nothing is ahead and the write answers something, the caller's goroutine makes the first attempt to send, at
// most 64 KiB; if that finishes the write, CompletedSynchronously is true (the callback still runs elsewhere). What is
// pushed unasked is left to the stream's loop, but for a few in each millisecond; see [SendNow]. Begin never
// waits for the network, for room, or for a callback.
//
// A size of 0 is a real operation: it queues behind the others and reports a broken connection.
//
// An error means that nothing was lent and no callback will run. In the order of the checks:
// [*ArgumentNullError] for a nil buffer; [*ArgumentOutOfRangeError] for offset and size;
// [*ObjectDisposedError] after Close; [*InvalidOperationError] when the stream is read-only; a wrapped
// ObjectDisposedError when the socket was closed under the stream; an [*IOError] with Torn after a write was
// cut in the middle; [ErrQueueFull] when the queue is full. A broken connection, a deadline that has passed
// and CloseWrite are not errors of Begin: EndWrite reports them.
func (s *NetworkStream) BeginWrite(buffer []byte, offset, size int, callback AsyncCallback, state any) (AsyncResult, error) {
	if err := checkRange(buffer, offset, size); err != nil {
		return AsyncResult{}, err
	}
	op := newOperation(&s.owner, kindWrite, callback, state)
	op.buffer[0], op.size = buffer[offset:offset+size], int64(size)
	return s.beginWrite(op)
}

// BeginWritev begins to write the buffers one after the other as one message; otherwise it is
// [NetworkStream.BeginWrite]. The slice of slices is copied, the bytes are lent, and nothing of the caller's is
// changed. Empty buffers are skipped; no bytes at all is a zero-byte write. A nil slice is an
// [*ArgumentNullError] named "buffers".
func (s *NetworkStream) BeginWritev(buffers [][]byte, callback AsyncCallback, state any) (AsyncResult, error) {
	if buffers == nil {
		return AsyncResult{}, &ArgumentNullError{ParamName: "buffers"}
	}
	op := newOperation(&s.owner, kindWrite, callback, state)
	op.size = op.lend(buffers)
	return s.beginWrite(op)
}

// beginWrite admits op and sends it at once, queues it, or ends it with what Begin does not report.
func (s *NetworkStream) beginWrite(op *operation) (AsyncResult, error) {
	result := op.result()
	w := &s.write
	s.mu.Lock()
	if err := s.admitLocked(op); err != nil {
		closeIt := err == ErrQueueFull && s.config.Overflow == OverflowClose
		s.unlock()
		op.release(2)
		if closeIt {
			s.startClose(ErrQueueFull, false)
		}
		return AsyncResult{}, err
	}
	s.counters.writeOps++
	if err := s.doomLocked(); err != nil {
		op.err, op.doomed = err, true
	}
	pending, _ := w.pendingLocked() // op itself is one
	nothingAhead := w.idleLocked() && pending+int64(w.piled.Load()) == 1
	if op.doomed && nothingAhead {
		op.sync = true
		s.endWriteLocked(op, op.err)
		s.unlock()
		return result.finished(true), nil
	}
	w.enqueueLocked(op)
	answers := s.noteBegunLocked()
	if !nothingAhead || op.doomed || !s.callerSendsLocked(answers) {
		op.begun = w.beginTimeLocked()
		s.wantFlushLocked()
		s.unlock()
		return result, nil
	}
	w.busy = true
	w.claimLocked(-1)
	s.noteInflightLocked()
	t := s.transport
	s.mu.Unlock()
	return result.finished(s.sendNow(t, op)), nil
}

// admitLocked makes the checks of Begin, in .NET's order, and counts op as pending.
func (s *NetworkStream) admitLocked(op *operation) error {
	if err := s.writableLocked(); err != nil {
		return err
	}
	if s.write.torn != nil {
		return s.opError("write", s.write.torn)
	}
	if !s.roomForLocked(op) {
		return ErrQueueFull
	}
	return nil
}

// writableLocked checks that the stream is open, may write, and that its socket is open.
func (s *NetworkStream) writableLocked() error {
	switch {
	case s.closed:
		return s.end.streamErr
	case s.closing:
		return errClosing
	case s.config.Access == AccessRead:
		return &InvalidOperationError{Message: "the stream does not support writing"}
	case s.socketClosed:
		return s.opError("write", &IOError{Err: s.end.socketErr})
	}
	return nil
}

// doomLocked returns what a write begun now ends with, if that is known before it is sent.
func (s *NetworkStream) doomLocked() error {
	switch {
	case s.write.finAsked:
		return shutdownError()
	case s.write.expiredLocked():
		return deadlineError()
	}
	return nil
}

// sendNow makes Begin's own attempt to send op, which the caller has put in flight, and hands the rest to the
// stream's loop. It reports whether the attempt finished the operation.
func (s *NetworkStream) sendNow(t transport, op *operation) (finished bool) {
	var n int
	var err error
	size := op.size
	if size <= directBytes && !op.vectored {
		n, err = t.tryWrite(op.buffer[:])
	} else {
		n, err = tryBeginning(t, op)
	}
	last := attempt{true, n, err}
	switch {
	case err == errWouldBlock:
		last = attempt{}
		op.begun = sinceStart()
	case err == nil && int64(n) < size:
		op.begun = sinceStart()
	default:
		finished = true
		op.sync = true // before the completion, so that the callback sees it
	}
	s.nextWrite(last, turnBytes) // the turn is over: others are not sent by this caller
	return finished
}

// tryBeginning makes one attempt to send up to directBytes of op.
func tryBeginning(t transport, op *operation) (int, error) {
	v := takeVectors()
	defer v.giveBack()
	return t.tryWrite(v.fillBytes(op, directBytes))
}

// EndWrite waits until the write that ar stands for has completed and returns its outcome; it mirrors
// NetworkStream.EndWrite. Call it exactly once for each BeginWrite, from anywhere: the callback, the caller of
// Begin, another goroutine.
//
// Nil means that the kernel has accepted every byte. It tells the operation's own outcome after Close too. A
// failed write is a *net.OpError around an [*IOError], whose N is the number of bytes the kernel accepted,
// around a [*SocketError]. The zero AsyncResult is an [*ArgumentNullError] (after Close an
// [*ObjectDisposedError]). A result of another stream or of a read is an IOError around an [*ArgumentError],
// and can still be ended where it belongs. A second End is an IOError around an [*InvalidOperationError].
func (s *NetworkStream) EndWrite(ar AsyncResult) error {
	if err := s.checkResult(ar); err != nil {
		return err
	}
	op, lastWord, err := ar.end(&s.owner, kindWrite)
	if err != nil {
		return s.opError("write", err)
	}
	err = op.failure()
	op.leave(lastWord)
	return s.opError("write", err)
}

// checkResult sorts out the zero result: closed is reported before null, as in .NET.
func (s *NetworkStream) checkResult(ar AsyncResult) error {
	if !ar.IsZero() {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return s.end.streamErr
	}
	return &ArgumentNullError{ParamName: "asyncResult"}
}

// Write sends all of p and returns when the kernel has accepted every byte; it implements net.Conn. It waits its
// turn behind begun writes, and waits for room when the queue is full. On failure it returns how many bytes were
// accepted. A Write that a deadline or WriteTimeout cut in the middle leaves the stream to the next blocking
// Write, as net.Conn does; begun writes fail with Torn until then. An empty p on an open stream is 0, nil. For several
// buffers there is [NetworkStream.WriteBuffers]: net.Buffers.WriteTo(stream) would call Write once for each.
func (s *NetworkStream) Write(p []byte) (int, error) {
	n, err := s.writeBlocking(context.Background(), p, nil, true)
	return int(n), err
}

// WriteContext is Write, except that it gives up when ctx is done; the error then matches ctx.Err. When part
// of p is out by then, the stream is torn: every later write fails with Torn set.
func (s *NetworkStream) WriteContext(ctx context.Context, p []byte) (int, error) {
	if ctx == nil {
		return 0, &ArgumentNullError{ParamName: "ctx"}
	}
	n, err := s.writeBlocking(ctx, p, nil, false)
	return int(n), err
}

// writeBlocking writes p, or the buffers.
func (s *NetworkStream) writeBlocking(ctx context.Context, p []byte, buffers [][]byte, soft bool) (int64, error) {
	w := &s.write
	size := int64(len(p)) + sizeOf(buffers)
	s.mu.Lock()
	if err := s.refuseBlockingWriteLocked(ctx, soft, size); err != nil || size == 0 {
		s.mu.Unlock()
		return 0, s.opError("write", err)
	}
	timeout := s.writeTimeout
	if !w.idleLocked() || w.roomWrites > 0 {
		op := s.newBlockingWriteLocked(p, size, soft)
		op.lend(buffers)
		op.begun = sinceStart()
		if w.room.empty() && s.chargeLocked(op) {
			w.enqueueLocked(op)
			s.wantFlushLocked()
		} else {
			s.enterRoomLocked(op)
		}
		s.unlock()
		s.helpFlush()
		done, err := op.waited(s.watch(ctx, op, timeout))
		return done, s.opError("write", err)
	}
	op := s.startBlockingWriteLocked(p, size, soft)
	op.lend(buffers)
	turn, t := w.turn, s.transport
	s.unlock()
	stop := s.watch(ctx, op, timeout)
	n, err := s.writeThrough(t, turn, op)
	s.resumeWrite(attempt{n > 0 || err != errInterrupted && err != errWouldBlock, n, err})
	done, err := op.waited(stop)
	return done, s.opError("write", err)
}

func (s *NetworkStream) newBlockingWriteLocked(p []byte, size int64, soft bool) *operation {
	s.counters.writeOps++
	op := newOperation(&s.owner, kindWrite, nil, nil)
	op.buffer[0], op.size, op.blocking, op.soft, op.epoch = p, size, true, soft, s.write.tears
	return op
}

// startBlockingWriteLocked makes the caller the owner of the idle direction, with its write in flight.
func (s *NetworkStream) startBlockingWriteLocked(p []byte, size int64, soft bool) *operation {
	w := &s.write
	op := s.newBlockingWriteLocked(p, size, soft)
	op.begun = sinceStart()
	s.forceChargeLocked(op)
	w.enqueueLocked(op)
	w.claimLocked(-1)
	w.busy, w.waiting = true, true
	s.failHeadsLocked() // a soft tear ends here
	s.noteInflightLocked()
	return op
}

// refuseBlockingWriteLocked makes the checks of a blocking write. The context comes last, as in .NET.
func (s *NetworkStream) refuseBlockingWriteLocked(ctx context.Context, soft bool, size int64) error {
	if err := s.writableLocked(); err != nil || size == 0 {
		return err
	}
	if w := &s.write; w.torn != nil && !(w.soft && soft) {
		return w.torn
	}
	if e := s.doomLocked(); e != nil {
		return &IOError{Err: e}
	}
	if err := ctx.Err(); err != nil {
		return &IOError{Err: canceledError(err)}
	}
	return nil
}
