package netstream

import (
	"context"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
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
// most 64 KiB; if that finishes the write, CompletedSynchronously is true (the callback still runs elsewhere). The
// stream's loop sends what is pushed unasked, except for a few writes in each millisecond; see [SendNow]. Begin never
// waits for the network, for room, or for a callback.
//
// A size of 0 is a real operation: it queues behind the others and reports a broken connection.
//
// An error means that nothing was lent and no callback will run. In the order of the checks:
// [*ArgumentNullError] for a nil buffer; [*ArgumentOutOfRangeError] for offset and size;
// [*ObjectDisposedError] after Close; [*InvalidOperationError] while CloseTimeout drains, during a TLS handshake and when
// the stream is read-only; a wrapped ObjectDisposedError when the socket was closed under the stream; an [*IOError], with
// Torn after a write was cut in the middle, without it after a post was lost; [ErrQueueFull] when the queue is full. A
// broken connection, a deadline that has passed and CloseWrite are not errors of Begin: EndWrite reports them.
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
	if err := s.admitLocked(op.size); err != nil {
		op.release(2)
		return AsyncResult{}, s.refuse(err)
	}
	op.room = roomHeld
	s.counters.writeOps++
	if err := s.write.failsUnsent(); err != nil {
		op.rarely().err, op.fate = err, fateUnsent
	}
	nothingAhead := w.idle() && w.onlyOnePending()
	if op.fate == fateUnsent && nothingAhead {
		s.endAtOnceLocked(op)
		s.unlock()
		return result.finished(true), nil
	}
	answers := w.unanswered
	w.unanswered = false
	if !nothingAhead || op.fate == fateUnsent || !s.callerSendsLocked(answers) {
		op.begun = w.beginTime()
		w.push(op)
		s.wantFlushLocked()
		s.unlock()
		return result, nil
	}
	w.own(op, owned)
	t := s.transport
	s.mu.Unlock()
	return result.finished(s.sendNow(t, op)), nil
}

// admitLocked makes the checks of Begin, in .NET's order, and counts a write of that size as pending.
func (s *NetworkStream) admitLocked(size int64) error {
	if err := s.writableLocked(); err != nil {
		return err
	}
	if t := s.write.tear; t != nil {
		return s.opError("write", t.failure)
	}
	if !s.write.admit(size) && !s.makeRoomLocked(size) {
		return ErrQueueFull
	}
	return nil
}

// refuse gives up mu and closes the stream if that is what happens to a consumer that is too slow. It returns why nothing
// was begun.
func (s *NetworkStream) refuse(err error) error {
	s.unlock()
	s.closeIfFull(err)
	return err
}

// closeIfFull closes the stream if err says that its queue is full, and that is the policy.
func (s *NetworkStream) closeIfFull(err error) {
	if err == ErrQueueFull && s.config.Overflow == OverflowClose {
		s.startClose(ErrQueueFull, false)
	}
}

// makeRoomLocked counts a write as pending by dropping others, if the policy allows that and it helps.
func (s *NetworkStream) makeRoomLocked(size int64) bool {
	if s.config.Overflow != OverflowDropOldest {
		return false
	}
	var fx writeEffects
	admitted := s.write.makeRoom(size, &fx)
	s.carryOutLocked(&fx)
	fx.release()
	return admitted
}

// endAtOnceLocked ends op, which fails unsent and has nothing ahead.
func (s *NetworkStream) endAtOnceLocked(op *operation) {
	var fx writeEffects
	op.sync = true
	s.write.endFailed(op, &IOError{Err: op.uncommon.Load().err}, &fx)
	s.carryOutLocked(&fx)
	fx.release()
}

// writableLocked checks that the stream is open, may write, and that its socket is open.
func (s *NetworkStream) writableLocked() error {
	switch {
	case s.life.closed():
		return s.life.end.streamErr
	case s.life.stream == streamDraining:
		return errClosing
	case s.auth.refusalLocked() != nil:
		return s.auth.refusalLocked()
	case s.config.Access == AccessRead:
		return &InvalidOperationError{Message: "the stream does not support writing"}
	case s.life.conn != connOpen:
		return s.opError("write", &IOError{Err: s.life.end.socketErr})
	}
	return nil
}

// sendNow makes Begin's own attempt to send op, which the caller has put in flight, and hands the rest to the
// stream's loop. It reports whether the attempt finished the operation.
func (s *NetworkStream) sendNow(t engine.Connection, op *operation) (finished bool) {
	var last attempt
	size := op.size
	if size <= directBytes && !op.vectored {
		last.taken, last.done, last.err = t.TryWrite(op.buffer[:])
	} else {
		last = tryBeginning(t, op)
	}
	if last.err != engine.ErrWouldBlock && (last.err != nil || int64(last.done) == size) {
		finished = true
		op.sync = true // before the completion, so that the callback sees it
	}
	s.goOn(last, true) // others are not sent by this caller
	return finished
}

// tryBeginning makes one attempt to send up to directBytes of op.
func tryBeginning(t engine.Connection, op *operation) (last attempt) {
	v := takeVectors()
	defer v.giveBack()
	last.taken, last.done, last.err = t.TryWrite(v.fillBytes(op, directBytes))
	return last
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
	if ar.IsZero() {
		return s.zeroResult()
	}
	op, lastWord, err := ar.end(&s.owner, kindWrite)
	if err != nil {
		return s.opError("write", err)
	}
	err = op.failure()
	op.leave(lastWord)
	return s.opError("write", err)
}

// zeroResult is what End says of the zero result: closed is reported before null, as in .NET.
func (s *NetworkStream) zeroResult() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life.closed() {
		return s.life.end.streamErr
	}
	return &ArgumentNullError{ParamName: "asyncResult"}
}

// Write sends all of p and returns when the kernel has accepted every byte; it implements net.Conn. It waits in
// line behind begun writes, and waits for room when the queue is full. On failure it returns how many bytes were
// accepted. A Write that a deadline or WriteTimeout cut in the middle leaves the stream to the next blocking
// Write, as net.Conn does; begun writes fail with Torn until then. An empty p on an open stream is 0, nil. For several
// buffers there is [NetworkStream.WriteBuffers]: net.Buffers.WriteTo(stream) would call Write once for each.
func (s *NetworkStream) Write(p []byte) (int, error) {
	n, err := s.writeBlocking(context.Background(), p, nil, byResumable)
	return int(n), err
}

// WriteContext is Write, except that it gives up when ctx is done; the error then matches ctx.Err. When part
// of p is out by then, the stream is torn: every later write fails with Torn set.
func (s *NetworkStream) WriteContext(ctx context.Context, p []byte) (int, error) {
	if ctx == nil {
		return 0, &ArgumentNullError{ParamName: "ctx"}
	}
	n, err := s.writeBlocking(ctx, p, nil, byBlocking)
	return int(n), err
}

// writeBlocking writes p, or the buffers.
func (s *NetworkStream) writeBlocking(ctx context.Context, p []byte, buffers [][]byte, as caller) (int64, error) {
	w := &s.write
	size, canceled := int64(len(p))+sizeOf(buffers), contextError(ctx)
	s.mu.Lock()
	if err := s.refuseBlockingWriteLocked(canceled, as, size); err != nil || size == 0 {
		s.mu.Unlock()
		return 0, s.opError("write", err)
	}
	timeout := w.timeout()
	op := s.newBlockingWriteLocked(p, buffers, as)
	if !w.idle() || w.roomWrites > 0 {
		s.queueBlockingWriteLocked(op)
		s.unlock()
		s.helpFlush()
		done, err := op.waited(s.watch(ctx, op, timeout))
		return done, s.opError("write", err)
	}
	w.ownBlocking(op)
	id, t := w.id, s.transport
	s.unlock()
	stop := s.watch(ctx, op, timeout)
	s.flush(moved(s.writeThrough(t, id, op)))
	done, err := op.waited(stop)
	return done, s.opError("write", err)
}

// newBlockingWriteLocked makes the operation of a blocking write of p, or of the buffers.
func (s *NetworkStream) newBlockingWriteLocked(p []byte, buffers [][]byte, as caller) *operation {
	s.counters.writeOps++
	op := newOperation(&s.owner, kindWrite, nil, nil)
	op.buffer[0], op.size = p, int64(len(p))
	if buffers != nil {
		op.size = op.lend(buffers)
	}
	op.caller, op.begun = as, engine.SinceStart()
	return op
}

// queueBlockingWriteLocked has op wait in the queue, or for room.
func (s *NetworkStream) queueBlockingWriteLocked(op *operation) {
	w := &s.write
	if w.roomHead() == nil && w.charge(op.size) {
		op.room = roomHeld
		w.push(op)
		s.wantFlushLocked()
		return
	}
	s.enterRoomLocked(op)
}

// refuseBlockingWriteLocked makes the checks of a blocking write. The context comes last, as in .NET: canceled is what it
// said before mu was locked.
func (s *NetworkStream) refuseBlockingWriteLocked(canceled error, as caller, size int64) error {
	if err := s.writableLocked(); err != nil || size == 0 {
		return err
	}
	if t := s.write.tear; t != nil && !(t.resumable && as == byResumable) {
		return t.failure
	}
	if e := s.write.failsUnsent(); e != nil {
		return &IOError{Err: e}
	}
	return canceled
}
