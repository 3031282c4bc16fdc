package netstream

import "github.com/seed-9ac8cf60/netstream/internal/engine"

// streamState is the life of a stream. It only goes forward:
//
//	open            -> draining   CloseTimeout or Group.Shutdown lets go out what was begun
//	open, draining  -> closed     Close and its like
//	closed          -> over       the connection is released, and every callback has returned
//	over            -> done       Done is closed
type streamState uint8

const (
	streamOpen     streamState = iota
	streamDraining             // no more writes
	streamClosed               // no more calls
	streamOver                 // somebody is about to close Done
	streamDone
)

// connState is the life of the connection as the stream holds it. It only goes forward:
//
//	open          -> closed      Socket.Close closes it under the stream
//	open, closed  -> releasing   the stream or the socket is closed, and the last one out gives the connection up
//	releasing     -> released    the engine has done so
type connState uint8

const (
	connOpen connState = iota
	connClosed
	connReleasing
	connReleased
)

// life is where a stream stands between New and Done. Each transition is a method of it. Guarded by the stream's mu.
type life struct {
	stream streamState
	conn   connState
	users  int32    // calls that use the transport outside both directions
	end    *endings // nil most of the life: made by whoever closes, asks for Done or counts what is lost
}

// endings is what only the end of a life needs.
type endings struct {
	streamErr    error         // what calls get after Close
	socketErr    error         // what calls get after Socket.Close; nil: it was not called
	cause        error         // what CloseWithError or an overflow said
	lost         int64         // bytes of writes that failed during CloseTimeout or were aborted by Close
	lossResets   bool          // CloseTimeout: the connection is reset if anything was lost
	whenReleased chan struct{} // made by whoever waits for the connection to be given up
	abandoned    bool          // nobody waits for that: a call does not come back
	finErr       error         // why the FIN behind the last write could not be sent
	done         chan struct{} // made by Done
	after        *afterDone    // the functions of AfterDone
}

func (l *life) ending() *endings {
	if l.end == nil {
		l.end = new(endings)
	}
	return l.end
}

// closed reports whether the stream was closed.
func (l *life) closed() bool { return l.stream >= streamClosed }

// down reports whether the stream or the socket was closed.
func (l *life) down() bool { return l.stream >= streamClosed || l.conn != connOpen }

// disposed returns the error of a stream or socket that was closed.
func (l *life) disposed() error {
	switch {
	case l.closed():
		return l.end.streamErr
	case l.conn != connOpen:
		return l.end.socketErr
	}
	return nil
}

// drain admits no more writes.
func (l *life) drain() {
	if l.stream == streamOpen {
		l.stream = streamDraining
	}
}

// close closes the stream. It returns what to abort everything with, nil if that was done before.
func (l *life) close(cause error, lossResets bool) (abort error) {
	if l.closed() {
		return nil
	}
	e := l.ending()
	e.cause, e.lossResets, e.streamErr = cause, lossResets, disposedError("NetworkStream", cause)
	if l.conn == connOpen {
		abort = e.streamErr
	}
	l.stream = streamClosed
	return abort
}

// closeSocket closes the connection under an open stream. It returns what to abort everything with.
func (l *life) closeSocket(cause error) (abort error) {
	if l.down() {
		return nil
	}
	e := l.ending()
	e.socketErr = disposedError("Socket", cause)
	l.conn = connClosed
	return e.socketErr
}

// countLost counts what a queue has lost while the stream ends.
func (l *life) countLost(fx *writeEffects) {
	switch {
	case l.closed():
		l.end.lost += fx.lost + fx.canceled + fx.shutOut
	case l.stream == streamDraining && fx.lost > 0: // what was cancelled is not lost
		l.ending().lost += fx.lost
	}
}

// release reports whether the caller has to release the connection, and makes it the only one that does. idle says that
// neither direction has an owner or anything queued.
func (l *life) release(idle bool) bool {
	if !l.down() || l.conn >= connReleasing || l.users != 0 || !idle {
		return false
	}
	l.conn = connReleasing
	return true
}

// released notes that the engine has given the connection up, and lets Close return.
func (l *life) released() {
	l.conn = connReleased
	l.end.letCloseReturn()
}

// finish reports whether everything is over, the first time: the caller then closes Done. idle says that no callback is to
// run.
func (l *life) finish(idle bool) bool {
	if l.stream != streamClosed || l.conn != connReleased || !idle {
		return false
	}
	l.stream = streamOver
	return true
}

// tell closes Done.
func (l *life) tell() {
	l.stream = streamDone
	if l.end.done != nil {
		close(l.end.done)
	}
}

// done returns the channel of Done.
func (l *life) done() <-chan struct{} {
	e := l.ending()
	if e.done == nil {
		e.done = make(chan struct{})
		if l.stream == streamDone {
			close(e.done)
		}
	}
	return e.done
}

// abandon lets Close return although a call has not come back from the connection. It may come first: a handshake that was
// stopped has the connection given up as well.
func (l *life) abandon() {
	l.ending().abandoned = true
	l.end.letCloseReturn()
}

// letCloseReturn wakes every Close that waits.
func (e *endings) letCloseReturn() {
	if e.whenReleased != nil {
		close(e.whenReleased)
		e.whenReleased = nil
	}
}

// whenReleased returns what to wait on until the connection has been given up; nil: nobody has to wait.
func (l *life) whenReleased() <-chan struct{} {
	e := l.ending()
	if l.conn == connReleased || e.abandoned {
		return nil
	}
	if e.whenReleased == nil {
		e.whenReleased = make(chan struct{})
	}
	return e.whenReleased
}

// endingLocked says how the connection, which the caller releases, is to be given up.
func (s *NetworkStream) endingLocked() engine.Ending {
	e := s.life.end
	switch {
	case s.write.halfOut(), e.lossResets && e.lost > 0:
		return engine.Reset
	case s.config.LeaveOpen && e.socketErr == nil:
		return engine.Keep
	case s.lingerZero:
		return engine.Reset
	}
	return engine.Orderly
}
