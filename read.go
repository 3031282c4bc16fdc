package netstream

import (
	"context"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
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
	ahead := !r.idle()
	if r.expired() && !ahead {
		s.expireAtOnceLocked(op)
		s.unlock()
		return result.finished(true), nil
	}
	if ahead {
		r.push(op)
		s.unlock()
		return result, nil
	}
	r.own(op, owned)
	t := s.transport
	s.mu.Unlock()
	return result.finished(s.readNow(t, op)), nil
}

// readNow makes Begin's own attempt to read for op, which the caller has put in flight, and leaves the rest to the engine.
// It reports whether the attempt finished the operation.
func (s *NetworkStream) readNow(t engine.Connection, op *operation) (finished bool) {
	p := op.buffer[0]
	n, err := t.TryRead(p[:min(len(p), directBytes)])
	switch {
	case err != engine.ErrWouldBlock:
		return s.serveReads(moved(n, err), op, ownRead)
	case !s.awaitData(t, op):
		s.serveReads(nothing, nil, ownRead)
	}
	return false
}

// expireAtOnceLocked ends op, which was begun after the deadline with nothing ahead.
func (s *NetworkStream) expireAtOnceLocked(op *operation) {
	var fx effects
	op.sync = true
	s.read.end(op, &IOError{Err: deadlineError()}, &fx)
	s.carryOutReadsLocked(&fx)
}

// EndRead waits until the read that ar stands for has completed and returns the number of bytes read; it mirrors
// NetworkStream.EndRead. At the end of the stream it returns 0, io.EOF (.NET returns 0), again and again. The
// errors are those of [NetworkStream.EndWrite].
func (s *NetworkStream) EndRead(ar AsyncResult) (int, error) {
	if ar.IsZero() {
		return 0, s.zeroResult()
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
// in line behind begun reads. An empty p on an open stream is 0, nil, at once.
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
	unlimited, canceled := ctx.Done() == nil, contextError(ctx)
	s.mu.Lock()
	if err := s.refuseBlockingReadLocked(canceled, len(p)); err != nil || len(p) == 0 {
		s.mu.Unlock()
		return 0, s.opError("read", err)
	}
	s.counters.readOps++
	if r.idle() && unlimited && r.timeout() == 0 {
		return s.readAlone(p)
	}
	return s.readQueued(ctx, p)
}

// readQueued is a blocking read that is an operation; an empty p waits until there is something to read. The caller
// holds mu; readQueued gives it up.
func (s *NetworkStream) readQueued(ctx context.Context, p []byte) (int, error) {
	r := &s.read
	timeout := r.timeout()
	op := newBlockingRead(s, p)
	if !r.idle() {
		r.push(op)
		s.unlock()
		done, err := op.waited(s.watch(ctx, op, timeout))
		return int(done), s.opError("read", err)
	}
	r.own(op, waiting)
	id, t := r.id, s.transport
	s.unlock()
	stop := s.watch(ctx, op, timeout)
	n, err := t.ReadThrough(id, p)
	s.serveReads(moved(n, err), nil, ownRead)
	done, err := op.waited(stop)
	return int(done), s.opError("read", err)
}

func newBlockingRead(s *NetworkStream, p []byte) *operation {
	op := newOperation(&s.owner, kindRead, nil, nil)
	op.buffer[0], op.size, op.caller = p, int64(len(p)), byBlocking
	return op
}

// readAlone is a Read that only the direction's deadline and Close can end, on an idle direction: while the call
// lasts it needs no operation, which would be a tenth of the price of a small read. The caller holds mu; readAlone
// gives it up.
func (s *NetworkStream) readAlone(p []byte) (int, error) {
	r := &s.read
	r.phase = waiting
	id, t := r.id, s.transport
	s.mu.Unlock()
	n, err := t.ReadThrough(id, p)
	if isEnd(err) && s.mustHoldEOF() {
		err = engine.ErrInterrupted
	}
	err = readOutcome(err)
	s.mu.Lock()
	r.returned()
	if n == 0 && err == engine.ErrInterrupted {
		op := newBlockingRead(s, p)
		r.current = op
		s.mu.Unlock()
		s.serveReads(nothing, nil, ownRead)
		done, err := op.waited(nil)
		return int(done), s.opError("read", err)
	}
	return n, s.finishAlone(n, err)
}

// finishAlone ends a read that was no operation, with what it brought: the direction is the caller's. The caller holds
// mu; finishAlone gives it up.
func (s *NetworkStream) finishAlone(n int, err error) error {
	r := &s.read
	s.noteReadLocked(n)
	var failure error
	if n == 0 {
		failure = s.readFailure(err)
	}
	r.stopped() // it came back with data, or an end of its own
	parks := s.residence == moving
	switch {
	case parks:
	case r.empty():
		var fx effects // stays empty: no raw call has a callback
		r.rest(&fx)
	default:
		r.phase = resting
		s.wantServeLocked()
	}
	s.unlock()
	if parks {
		s.serveReads(nothing, nil, ownRead)
	}
	return s.opError("read", failure)
}

// refuseBlockingReadLocked makes the checks of a blocking read. canceled is what the caller's context said before mu was
// locked: it is foreign code.
func (s *NetworkStream) refuseBlockingReadLocked(canceled error, size int) error {
	if err := s.readableLocked(); err != nil || size == 0 {
		return err
	}
	if s.read.expired() {
		return &IOError{Err: deadlineError()}
	}
	return canceled
}

// readableLocked checks that the stream is open, may read, and that its socket is open.
func (s *NetworkStream) readableLocked() error {
	switch {
	case s.life.closed():
		return s.life.end.streamErr
	case s.auth.refusalLocked() != nil:
		return s.auth.refusalLocked()
	case s.config.Access == AccessWrite:
		return &InvalidOperationError{Message: "the stream does not support reading"}
	case s.life.conn != connOpen:
		return s.opError("read", &IOError{Err: s.life.end.socketErr})
	}
	return nil
}
