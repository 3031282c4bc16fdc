package netstream

import (
	"context"
	"io"
)

// BeginRead begins to read up to size bytes into buffer at offset and returns at once; it mirrors
// NetworkStream.BeginRead. The operation completes as soon as at least one byte is there, the peer's stream
// ends, or the connection fails. Reads are served in Begin order. The buffer is lent until completion.
//
// When nothing is ahead, the caller's goroutine makes the first attempt and takes at most 64 KiB, whatever the size; if
// that brings something, CompletedSynchronously is true.
//
// A size of 0 completes when data, the end or an error is there, and takes nothing. With [Config].LeaveOpen that is not
// possible on every connection.
//
// Errors and callbacks are those of [NetworkStream.BeginWrite], with reading for writing; no limit holds for
// reads.
func (s *NetworkStream) BeginRead(buffer []byte, offset, size int, callback AsyncCallback, state any) (AsyncResult, error) {
	if err := checkRange(buffer, offset, size); err != nil {
		return AsyncResult{}, err
	}
	s.mu.Lock()
	if err := s.readableLocked(); err != nil {
		s.mu.Unlock()
		return AsyncResult{}, err
	}
	op := newOperation(&s.owner, kindRead, callback, state)
	op.buffer[0], op.size = buffer[offset:offset+size], int64(size)
	result := op.result()
	r := &s.read
	s.counters.readOps++
	if r.expiredLocked() && r.idleLocked() {
		op.sync = true
		s.finishLocked(r, op, &IOError{Err: deadlineError()})
		s.unlock()
		return result.finished(true), nil
	}
	ahead := !r.idleLocked()
	r.enqueueLocked(op)
	if ahead {
		s.unlock()
		return result, nil
	}
	r.busy = true
	s.unlock()
	return result.finished(s.serveReads(attempt{}, op, ownRead)), nil
}

// EndRead waits until the read that ar stands for has completed and returns the number of bytes read; it mirrors
// NetworkStream.EndRead. At the end of the stream it returns 0, io.EOF (.NET returns 0), again and again. The
// errors are those of [NetworkStream.EndWrite].
func (s *NetworkStream) EndRead(ar AsyncResult) (int, error) {
	if err := s.checkResult(ar); err != nil {
		return 0, err
	}
	op, lastWord, err := ar.end(&s.owner, kindRead)
	if err != nil {
		return 0, s.opError("read", err)
	}
	n, err := int(op.done), op.failure()
	op.leave(lastWord)
	return n, s.opError("read", err)
}

// Read reads up to len(p) bytes, at least one unless the stream ends or fails; it implements net.Conn. It waits
// its turn behind begun reads. An empty p on an open stream is 0, nil, at once.
func (s *NetworkStream) Read(p []byte) (int, error) {
	return s.readBlocking(context.Background(), p)
}

// ReadContext is Read, except that it gives up when ctx is done; the error then matches ctx.Err, no byte is
// lost and the stream stays usable.
func (s *NetworkStream) ReadContext(ctx context.Context, p []byte) (int, error) {
	if ctx == nil {
		return 0, &ArgumentNullError{ParamName: "ctx"}
	}
	return s.readBlocking(ctx, p)
}

func (s *NetworkStream) readBlocking(ctx context.Context, p []byte) (int, error) {
	r := &s.read
	s.mu.Lock()
	if err := s.refuseBlockingReadLocked(ctx, len(p)); err != nil || len(p) == 0 {
		s.mu.Unlock()
		return 0, s.opError("read", err)
	}
	s.counters.readOps++
	if r.idleLocked() && ctx.Done() == nil && s.readTimeout == 0 {
		return s.readAlone(p)
	}
	return s.readQueued(ctx, p)
}

// readQueued is a blocking read that is an operation; an empty p waits until there is something to read. The caller
// holds mu; readQueued gives it up.
func (s *NetworkStream) readQueued(ctx context.Context, p []byte) (int, error) {
	r := &s.read
	timeout := s.readTimeout
	op := newBlockingRead(s, p)
	idle := r.idleLocked()
	r.enqueueLocked(op)
	if !idle {
		s.unlock()
		return s.waitBlockingCount("read", ctx, op, timeout)
	}
	r.busy, r.waiting = true, true
	r.claimLocked(1)
	turn, t := r.turn, s.transport
	s.unlock()
	stop := s.watch(ctx, op, timeout)
	n, err := t.readThrough(turn, p)
	s.serveReads(attempt{n > 0 || err != errInterrupted && err != errWouldBlock, n, err}, nil, ownRead)
	done, err := op.waited(stop)
	return int(done), s.opError("read", err)
}

func newBlockingRead(s *NetworkStream, p []byte) *operation {
	op := newOperation(&s.owner, kindRead, nil, nil)
	op.buffer[0], op.size, op.blocking = p, int64(len(p)), true
	return op
}

// readAlone is a Read that only the direction's deadline and Close can end, on an idle direction: while the call
// lasts it needs no operation, which would be a tenth of the price of a small read. The caller holds mu; readAlone
// gives it up.
func (s *NetworkStream) readAlone(p []byte) (int, error) {
	r := &s.read
	seq := r.nextSeq // its place in Begin order, should it need an operation after all
	r.nextSeq++
	r.claimedSeq = r.nextSeq
	r.busy, r.waiting = true, true
	turn, t := r.turn, s.transport
	s.mu.Unlock()
	n, err := t.readThrough(turn, p)
	if err == io.EOF && s.mustHoldEOF() {
		err = errInterrupted
	}
	err = outcome(callRead, err)
	s.mu.Lock()
	r.endTurnLocked()
	if n == 0 && (err == errInterrupted || err == errWouldBlock) {
		op := newBlockingRead(s, p)
		op.seq = seq
		r.inflight.pushBack(op)
		s.mu.Unlock()
		s.serveReads(attempt{}, nil, ownRead)
		done, err := op.waited(nil)
		return int(done), s.opError("read", err)
	}
	return n, s.finishAlone(n, err)
}

// finishAlone ends a read that was no operation, with what it brought: the direction is the caller's. The caller holds
// mu; finishAlone gives it up.
func (s *NetworkStream) finishAlone(n int, err error) error {
	r := &s.read
	s.counters.bytesRead += uint64(n)
	var failure error
	if n == 0 {
		failure = s.readEndLocked(err)
	}
	r.cutAll = nil // it came back with data, or an end of its own
	moving := s.moving
	switch {
	case moving:
	case r.queued.empty():
		r.restLocked()
	default:
		r.busy = false
		s.wantServeLocked()
	}
	s.unlock()
	if moving {
		s.serveReads(attempt{}, nil, ownRead)
	}
	return s.opError("read", failure)
}

func (s *NetworkStream) refuseBlockingReadLocked(ctx context.Context, size int) error {
	if err := s.readableLocked(); err != nil || size == 0 {
		return err
	}
	if s.read.expiredLocked() {
		return &IOError{Err: deadlineError()}
	}
	if err := ctx.Err(); err != nil {
		return &IOError{Err: canceledError(err)}
	}
	return nil
}

// readableLocked checks that the stream is open, may read, and that its socket is open.
func (s *NetworkStream) readableLocked() error {
	switch {
	case s.closed:
		return s.end.streamErr
	case s.config.Access == AccessWrite:
		return &InvalidOperationError{Message: "the stream does not support reading"}
	case s.socketClosed:
		return s.opError("read", &IOError{Err: s.end.socketErr})
	}
	return nil
}
