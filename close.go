package netstream

import (
	"context"
	"errors"
	"time"
)

// end is what the end of a stream needs beside its flags. Most of a stream's life there is none: it is made by whoever
// closes, waits for the end or counts what is lost, and always there once closed or socketClosed is set. Guarded by
// the stream's mu.
type end struct {
	streamErr    error         // what calls get after Close
	socketErr    error         // what calls get after Socket().Close
	cause        error         // what CloseWithError or an overflow said
	lost         int64         // bytes of writes that failed during CloseTimeout or were aborted by Close
	whenReleased chan struct{} // made by whoever waits for the connection to be given up
	abandoned    bool          // nobody waits for that: a call does not come back
	finErr       error         // why the end behind the last write could not be sent
	done         chan struct{} // made by Done
}

func (s *NetworkStream) endLocked() *end {
	if s.end == nil {
		s.end = new(end)
	}
	return s.end
}

// Close closes the stream and aborts what is pending; a second Close does nothing and returns nil. Aborted
// operations complete with a chain of [*ObjectDisposedError] and SocketError 995, their callbacks run, and End
// still tells each outcome. Close waits for system calls in progress, never for callbacks, so a callback may
// call it; wait for Done to know that all callbacks have returned. A call on a foreign connection that ignores deadlines
// is waited for for a second, then the connection is closed under it, LeaveOpen or not.
//
// Nothing the kernel has accepted is lost by it: while the peer has not acknowledged everything, or input is
// unread, the connection lingers in the background for up to 2 s. When a write was cut in the middle, or cut
// by this very Close, the connection is reset instead, so that the peer cannot take half a message for whole.
func (s *NetworkStream) Close() error { return s.CloseWithError(nil) }

// CloseWithError is Close with a reason: aborted operations and [NetworkStream.Err] carry cause, for errors.Is and
// errors.As. A nil cause is Close.
func (s *NetworkStream) CloseWithError(cause error) error {
	s.startClose(cause, false)
	s.awaitReleased()
	return nil
}

// startClose closes the stream without waiting for anything.
func (s *NetworkStream) startClose(cause error, resetIfLost bool) {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		s.resetIfLost = resetIfLost
		e := s.endLocked()
		e.cause, e.streamErr = cause, disposedError("NetworkStream", cause)
		if !s.socketClosed {
			s.abortLocked(e.streamErr)
		}
	}
	s.unlock()
}

// closeSocket closes the connection under the stream, which stays open.
func (s *NetworkStream) closeSocket() {
	s.mu.Lock()
	s.closeSocketLocked(nil)
	s.unlock()
	s.awaitReleased()
}

func (s *NetworkStream) closeSocketLocked(cause error) {
	if s.closed || s.socketClosed {
		return
	}
	s.socketClosed = true
	e := s.endLocked()
	e.socketErr = disposedError("Socket", cause)
	s.abortLocked(e.socketErr)
}

// abortLocked asks everything under way to stop.
func (s *NetworkStream) abortLocked(e error) {
	s.read.deadline.stop()
	s.write.deadline.stop()
	s.cutAllLocked(&s.read, e)
	s.cutAllLocked(&s.write.opQueue, e)
}

// letCloseReturnLocked wakes every Close that waits.
func (e *end) letCloseReturnLocked() {
	if e.whenReleased != nil {
		close(e.whenReleased)
		e.whenReleased = nil
	}
}

// awaitReleased waits until the connection has been given up.
func (s *NetworkStream) awaitReleased() {
	s.mu.Lock()
	e := s.endLocked()
	if s.released || e.abandoned {
		s.mu.Unlock()
		return
	}
	if e.whenReleased == nil {
		e.whenReleased = make(chan struct{})
	}
	ch := e.whenReleased
	s.mu.Unlock()
	<-ch
}

// CloseTimeout drains for up to d, then closes; it mirrors NetworkStream.Close(int), but does what the
// documentation of that says. No write can be begun any more once it was called. It returns nil when
// everything begun was accepted by the kernel. Otherwise the connection is reset, and the error is an
// [*IOError] whose Unsent is the number of bytes that were not. 0 closes at once; a negative d waits
// without limit.
func (s *NetworkStream) CloseTimeout(d time.Duration) error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil
	}
	ctx := context.Background()
	if d >= 0 {
		limited, cancel := context.WithTimeout(ctx, d)
		defer cancel()
		ctx = limited
	}
	r := s.closeDrained(ctx)
	if r.err == nil && r.lost == 0 {
		return nil
	}
	return s.opError("close", &IOError{Unsent: r.lost, Err: r.err})
}

// closeDrained lets everything begun go out until ctx is done, closes, and returns what was lost and why.
func (s *NetworkStream) closeDrained(ctx context.Context) drained {
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	err := s.Drain(ctx)
	s.startClose(nil, true)
	s.awaitReleased()
	s.mu.Lock()
	lost, healthy := s.end.lost, s.write.torn == nil && s.dead == nil
	s.mu.Unlock()
	if lost == 0 && healthy { // the time may have been up with nothing left to send; what failed earlier was told then
		return drained{}
	}
	var failure *IOError
	if errors.As(err, &failure) {
		err = failure.Err
	}
	if err == nil && lost > 0 {
		err = errAborted
	}
	return drained{lost, err}
}

// CloseWrite shuts the writing half down behind everything begun so far: the peer reads all of it and then the
// end. It does not wait: over a connection that may block for it, such as one of TLS, a goroutine sends the end, after
// the handshake, and [NetworkStream.Drain] tells whether it could. Later writes fail with SocketError Shutdown
// (10058). Errors: a closed or read-only stream; errors.ErrUnsupported when the connection has no halves.
func (s *NetworkStream) CloseWrite() error {
	s.mu.Lock()
	if err := s.writableLocked(); err != nil {
		s.mu.Unlock()
		return s.opError("close", err)
	}
	if torn := s.write.torn; torn != nil { // a FIN behind half a message would make it look whole
		s.mu.Unlock()
		return s.opError("close", torn)
	}
	if !s.transport.canCloseWrite() {
		s.mu.Unlock()
		return s.opError("close", &IOError{Err: codeError(CodeOperationNotSupported, errors.ErrUnsupported)})
	}
	w := &s.write
	w.finAsked = true
	own := w.idleLocked()
	if own {
		w.busy = true
	} else {
		s.wantFlushLocked()
	}
	s.unlock()
	if own {
		s.nextWrite(attempt{}, turnBytes) // nothing is ahead: the FIN goes out now, and what comes meanwhile by the loop
	}
	return nil
}

// writeEnded is the transport's call after startCloseWrite. Whoever drains is told of a failure, and so is Err after a
// hard one.
func (s *NetworkStream) writeEnded(err error) {
	if err != nil && err != errInterrupted {
		err = classify("shutdown", err)
		s.noteFinSent(err)
		s.mu.Lock()
		s.noteDeadLocked(err)
		s.mu.Unlock()
	}
	s.resumeWrite(attempt{})
}

// noteFinSent remembers, for Shutdown, why the end could not be sent. That the connection is gone is also told by the next
// read or write.
func (s *NetworkStream) noteFinSent(err error) {
	if err != nil {
		err = classify("shutdown", err)
		s.mu.Lock()
		s.endLocked().finErr = err
		s.mu.Unlock()
	}
}

// endingLocked says how the connection is to be given up.
func (s *NetworkStream) endingLocked() ending {
	switch {
	case s.write.torn != nil, s.resetIfLost && s.end.lost > 0:
		return endReset
	case s.config.LeaveOpen && !s.socketClosed:
		return endKeep
	case s.lingerZero:
		return endReset
	}
	return endOrderly
}

// noteDeadLocked latches the first hard failure of the connection, whichever direction saw it: the kernel
// reports a reset once per socket, to whichever call comes first. A broken pipe says nothing about the inbound
// side, where the peer's last words and a clean end may still wait.
func (s *NetworkStream) noteDeadLocked(err error) {
	var e *SocketError
	if !errors.As(err, &e) || !e.fromSystem() {
		return
	}
	switch e.Code {
	case CodeConnectionReset, CodeConnectionAborted, CodeTimedOut, CodeHostUnreachable, CodeNetworkUnreachable,
		CodeNetworkDown, CodeNetworkReset, CodeHostDown:
		if !s.deadIn {
			s.dead = nil // a write may have met the broken pipe first, which says less
		}
		s.deadIn = true
	case CodeShutdown:
	default:
		return
	}
	if s.dead == nil {
		s.dead = e
	}
}

// noteBroken notes that the transport has ended the connection because it broke the rules of a net.Conn.
func (s *NetworkStream) noteBroken(e *SocketError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead == nil {
		s.dead = e
	}
	s.deadIn = true
}

// mustHoldEOF reports whether an end of stream must not be believed yet. A write in a call on the connection at this
// moment may be about to report the reset that makes a read return 0: the kernel hands the error to one of them. On
// a dead connection such a call returns at once, unless a disk keeps a slice of a file waiting. A write that only waits
// for room has not taken the error, and after one that has reported a failure there is nothing more to learn.
func (s *NetworkStream) mustHoldEOF() bool {
	s.mu.Lock()
	w, t := &s.write, s.transport
	onlyWaits := w.waiting && !w.slicing && t.keeps() == 0
	inCall := w.busy && !w.parked && !onlyWaits && !w.finSent && s.dead == nil
	s.mu.Unlock()
	return inCall && t.sawReset()
}

// holdPause is how long a read whose end is not believed yet waits before it looks again.
const holdPause = time.Millisecond

var errClosing = &InvalidOperationError{Message: "the stream is being closed"}
