package netstream

import (
	"context"
	"errors"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// Close closes the stream and aborts what is pending; a second Close does nothing and returns nil. Aborted
// operations complete with a chain of [*ObjectDisposedError] and SocketError 995, their callbacks run, and End
// still tells each outcome. Close waits for system calls in progress, never for callbacks, so a callback may
// call it; wait for Done to know that all callbacks have returned. A foreign connection may ignore
// deadlines: Close waits a second for a call on it and then closes it under the call, LeaveOpen or not. For a handshake
// that is in a callback of its tls.Config Close waits a second, too; the connection is closed when the callback has returned.
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
func (s *NetworkStream) startClose(cause error, lossResets bool) {
	s.mu.Lock()
	s.abortLocked(s.life.close(cause, lossResets))
	s.unlock()
}

// closeSocket closes the connection under the stream, which stays open.
func (s *NetworkStream) closeSocket() {
	s.mu.Lock()
	s.abortLocked(s.life.closeSocket(nil))
	s.unlock()
	s.awaitReleased()
}

// abortLocked asks everything under way to stop, because of e; nil: nothing does.
func (s *NetworkStream) abortLocked(e error) {
	if e == nil {
		return
	}
	s.read.stopDeadline()
	s.write.stopDeadline()
	s.cutAllLocked(&s.read.side, e)
	s.write.fin.cancel()
	s.cutAllLocked(&s.write.side, e)
}

// configPatience is how long Close waits for a callback of a tls.Config.
const configPatience = time.Second

// awaitReleased waits until the connection has been given up; in a handshake not for long, because that may be in a callback of
// its tls.Config, which may wait for anything, this very Close included.
func (s *NetworkStream) awaitReleased() {
	s.mu.Lock()
	ch, shaking := s.life.whenReleased(), s.auth != nil && s.auth.phase == authRunning
	s.mu.Unlock()
	switch {
	case ch == nil:
	case shaking:
		late := time.NewTimer(configPatience)
		defer late.Stop()
		select {
		case <-ch:
		case <-late.C:
		}
	default:
		<-ch
	}
}

// CloseTimeout drains for up to d, then closes; it mirrors NetworkStream.Close(int), but does what the
// documentation of that says. No write can be begun once it has been called. It returns nil when
// everything begun was accepted by the kernel. Otherwise the connection is reset, and the error is an
// [*IOError] whose Unsent is the number of bytes that were not. 0 closes at once; a negative d waits
// without limit.
func (s *NetworkStream) CloseTimeout(d time.Duration) error {
	s.mu.Lock()
	closed := s.life.closed()
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
	s.life.drain()
	s.mu.Unlock()
	err := s.Drain(ctx)
	s.startClose(nil, true)
	s.awaitReleased()
	s.mu.Lock()
	lost, healthy := s.life.end.lost, s.write.tear == nil && s.dead == nil
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
// (10058). Errors: a closed, read-only or torn stream; [*InvalidOperationError] during a TLS handshake of the stream itself;
// errors.ErrUnsupported when the connection has no halves.
func (s *NetworkStream) CloseWrite() error {
	s.mu.Lock()
	if err := s.writableLocked(); err != nil {
		s.mu.Unlock()
		return s.opError("close", err)
	}
	if t := s.write.tear; t != nil { // a FIN behind half a message would make it look whole
		s.mu.Unlock()
		return s.opError("close", t.failure)
	}
	if !s.transport.Traits().Halves {
		s.mu.Unlock()
		return s.opError("close", &IOError{Err: codeError(CodeOperationNotSupported, errors.ErrUnsupported)})
	}
	w := &s.write
	w.fin.ask()
	own := w.idle()
	if own {
		w.phase = owned
	} else {
		s.wantFlushLocked()
	}
	s.unlock()
	if own {
		s.goOn(nothing, true) // nothing is ahead: the FIN goes out now, and what comes meanwhile by the loop
	}
	return nil
}

// writeEnded is the transport's call after StartCloseWrite. Whoever drains is told of a failure, and so is Err after a
// hard one.
func (s *NetworkStream) writeEnded(err error) {
	if f, failed := outcome("shutdown", err).(*failure); failed {
		s.noteFinSent(f.err)
		s.mu.Lock()
		s.note(f)
		s.mu.Unlock()
	} else {
		s.noteFinSent(err)
	}
	s.flush(nothing)
}

// noteFinSent remembers, for Shutdown and Drain, why the end could not be sent. The next read or write also tells that the
// connection is gone. What has interrupted the end, such as a deadline, was not meant for it: it is still to be sent, unless
// the stream was closed.
func (s *NetworkStream) noteFinSent(err error) {
	switch err {
	case nil:
	case engine.ErrInterrupted:
		s.mu.Lock()
		if !s.life.down() {
			s.write.fin.interrupted()
		}
		s.mu.Unlock()
	default:
		err = classify("shutdown", err)
		s.mu.Lock()
		s.write.fin.fail()
		s.life.ending().finErr = err
		s.mu.Unlock()
	}
}

// mustHoldEOF reports whether an end of stream must not be believed yet. After a reset the kernel tells the error to one call
// only, and another one sees an end: a write that is in a call at this moment may be the one that is told. So the end waits
// until the write has reported. That takes no time on a dead connection, unless a disk keeps a slice of a file waiting. A write
// that only waits for room takes no error, and once a failure is known there is nothing more to learn.
func (s *NetworkStream) mustHoldEOF() bool {
	s.mu.Lock()
	w, t := &s.write, s.transport
	hasOwner := w.phase == owned || w.phase == waiting
	onlyWaits := w.phase == waiting && !w.calling && t.Traits().OnlyWaits[engine.Write]
	inCall := hasOwner && !onlyWaits && w.fin < finSending
	known := s.dead != nil
	s.mu.Unlock()
	return inCall && !known && t.SawReset()
}

// holdPause is how long a read whose end is not believed yet waits before it looks again.
const holdPause = time.Millisecond

var errClosing = &InvalidOperationError{Message: "the stream is being closed"}
