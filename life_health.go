package netstream

import "io"

// health is what is known of the connection from the calls on it. Guarded by the stream's mu.
type health struct {
	dead     *SocketError // first hard failure of the connection that ends its reading; before that, of its writing
	shutRead bool         // Socket.Shutdown has ended the reading half

	lingerZero bool // SetLinger(0): the stream ends with a reset

	auth *authentication // nil: no handshake was begun. Constant with Config.TLS
}

// note latches the first hard failure of the connection, whichever direction saw it: the kernel
// reports a reset once per socket, to whichever call comes first. A broken pipe says nothing about the inbound
// side, where the peer's last words and a clean end may still wait.
func (h *health) note(f *failure) {
	e := f.socket
	if f.fatal && h.fatal() == nil {
		h.auth.fatal = f.err
	}
	switch {
	case e == nil || h.deadIn():
	case e.endsReading(): // a write may have met the broken pipe first, which says less
		h.dead = e
	case h.dead == nil && e.Code == CodeShutdown && e.fromSystem():
		h.dead = e
	}
}

// deadIn reports whether the failure of the connection has ended the reading: no read shows a clean end after that.
func (h *health) deadIn() bool { return h.dead != nil && h.dead.endsReading() }

// fatal returns what TLS has ended both directions with, the failure of a handshake included.
func (h *health) fatal() error {
	if h.auth == nil {
		return nil
	}
	return h.auth.fatal
}

// isEnd reports whether an engine's answer is the end of the peer's bytes, over TLS with or without close_notify.
func isEnd(err error) bool { return err == io.EOF || err == io.ErrUnexpectedEOF }

// endsReading reports whether a connection that has failed so brings nothing more.
func (e *SocketError) endsReading() bool {
	if !e.fromSystem() {
		return e.isBroken()
	}
	switch e.Code {
	case CodeConnectionReset, CodeConnectionAborted, CodeTimedOut, CodeHostUnreachable, CodeNetworkUnreachable,
		CodeNetworkDown, CodeNetworkReset, CodeHostDown:
		return true
	}
	return false
}

// readFailure turns what ended a read, as readOutcome has it, into the error of the operation. After a hard failure of the
// connection, whichever direction saw it first, no read reports a clean end.
func (h *health) readFailure(err error) error {
	switch {
	case err == nil:
		return nil
	case err == io.EOF && h.deadIn() && !h.shutRead:
		return &IOError{Err: h.dead}
	case err == io.EOF:
		return io.EOF
	}
	f := err.(*failure)
	if f.cut && h.deadIn() && !h.shutRead {
		return &IOError{Err: h.dead}
	}
	h.note(f)
	return &IOError{Err: f.err}
}
