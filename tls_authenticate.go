package netstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// A handshake takes both directions of the stream and puts a transport of TLS on the one that is there. From then on the
// stream learns of the encryption only where somebody asks for it.

// DefaultHandshakeTimeout bounds a handshake when Config.HandshakeTimeout is zero.
const DefaultHandshakeTimeout = 10 * time.Second

// authentication is the one handshake of a stream. Guarded by the stream's mu, except what says otherwise.
type authentication struct {
	owner     owner // its address names the handshake in its result
	server    bool  // constant once the stream has it
	phase     authPhase
	transport *engine.TLS                // once phase is authDone
	shaking   atomic.Pointer[engine.TLS] // from when the handshake has begun to wait or to compute; needs no mu
	stop      context.CancelCauseFunc    // ends the handshake; nil once it is over. Not under mu: it may run code of the caller's context
	stopped   error                      // why unlock calls stop: a deadline, Close. Constant once it is set
	begun     bool                       // BeginAuthenticate: the operation has not completed, or its callback has not returned
	err       error                      // once phase is authFailed: what every call gets
	fatal     error                      // what TLS has ended both directions with, in the handshake or later
}

type authPhase uint8

const (
	authDue authPhase = iota // Config.TLS: the stream is made, and may be found in its group
	authRunning
	authDone
	authFailed
)

var (
	errAuthenticating = &InvalidOperationError{Message: "a handshake is in progress"}
	errAuthenticated  = &InvalidOperationError{Message: "the stream has made its handshake"}
	errNotIdle        = &InvalidOperationError{Message: "a handshake needs a stream on which nothing is pending and whose two halves are open"}
)

// checkTLS finds what is wrong with a config whatever the connection is. The name that a client needs may come from the
// address, so authenticate looks for that.
func checkTLS(config *tls.Config, server bool) error {
	switch {
	case config.Renegotiation != tls.RenegotiateNever:
		return &ArgumentError{ParamName: "config", Message: "TLS does not renegotiate"}
	case server && len(config.Certificates) == 0 && config.GetCertificate == nil && config.GetConfigForClient == nil:
		return &ArgumentError{ParamName: "config", Message: "a server needs a certificate"}
	}
	return nil
}

// authenticate begins the handshake a, which is s.auth where Config.TLS asks for one, and new otherwise. If authenticate
// returns nil, done is called once, on a goroutine that nobody else needs and with no lock held.
func (s *NetworkStream) authenticate(ctx context.Context, a *authentication, config *tls.Config, server bool, done func(error)) error {
	switch {
	case ctx == nil:
		return &ArgumentNullError{ParamName: "ctx"}
	case config == nil:
		return &ArgumentNullError{ParamName: "config"}
	case !server && config.ServerName == "" && !config.InsecureSkipVerify: // crypto/tls would fail, and the stream with it
		return &ArgumentError{ParamName: "config", Message: "a client needs a ServerName, or InsecureSkipVerify"}
	case s.config.LeaveOpen:
		return &ArgumentError{ParamName: "LeaveOpen", Message: "an encrypted connection cannot be given back"}
	}
	if err := checkTLS(config, server); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	s.mu.Lock()
	if err := s.mayAuthenticateLocked(a); err != nil {
		s.mu.Unlock()
		stop(nil)
		return err
	}
	s.auth, a.phase, a.server, a.stop = a, authRunning, server, stop
	s.read.phase, s.write.phase = owned, owned
	if s.read.expired() || s.write.expired() {
		s.todo |= a.interruptLocked(deadlineError())
	}
	s.unlock()
	s.shakeHands(ctx, stop, a, config, done)
	return nil
}

// mayAuthenticateLocked checks that the stream is open, has no other handshake than a, and has nothing under way.
func (s *NetworkStream) mayAuthenticateLocked(a *authentication) error {
	w := &s.write
	switch {
	case s.life.disposed() != nil:
		return s.life.disposed()
	case s.auth != nil && s.auth != a:
		if err := s.auth.refusalLocked(); err != nil {
			return err
		}
		return errAuthenticated
	case s.life.stream == streamDraining:
		return errClosing
	case !s.read.idle(), !w.idle(), w.roomHead() != nil, w.tear != nil,
		w.fin != finNone, s.shutRead:
		return errNotIdle
	}
	return nil
}

// shakeHands makes the handshake of a, which the stream has already.
func (s *NetworkStream) shakeHands(ctx context.Context, stop context.CancelCauseFunc, a *authentication, config *tls.Config, done func(error)) {
	limit := s.config.HandshakeTimeout
	if limit == 0 {
		limit = DefaultHandshakeTimeout
	}
	stopTimer := func() bool { return false }
	if limit > 0 {
		stopTimer = time.AfterFunc(limit, func() { stop(deadlineError()) }).Stop
	}
	s.moveForTLS()
	s.mu.Lock()
	below := s.transport
	options := engine.TLSOptions{
		Config: config, Server: a.server, Ends: (*tlsEnds)(s),
		IDs: [2]uint32{engine.Read: s.read.id, engine.Write: s.write.id}, // the first that the engine has not seen
	}
	s.mu.Unlock()
	t := engine.NewTLS(below, s.engineOwner(), options)
	s.mu.Lock()
	s.transport = t
	s.mu.Unlock()
	a.shaking.Store(t)
	t.Handshake(ctx, func(err error) {
		stopTimer()
		err = s.finishAuthentication(a, t, err)
		stop(nil)
		done(err)
	})
}

// tlsEnds is a stream as the callbacks of a tls.Config know it.
type tlsEnds NetworkStream

func (e *tlsEnds) LocalAddr() net.Addr  { return (*NetworkStream)(e).localAddr() }
func (e *tlsEnds) RemoteAddr() net.Addr { return (*NetworkStream)(e).remoteAddr() }

func (e *tlsEnds) Control(f func(fd uintptr)) error { return rawSocket{&e.socket}.Control(f) }

// moveForTLS moves an EngineAuto stream to a loop before its handshake. Both directions are the caller's.
func (s *NetworkStream) moveForTLS() {
	s.mu.Lock()
	move := s.residence.leave()
	s.mu.Unlock()
	if move {
		s.replaceTransport()
	}
}

// finishAuthentication notes how the handshake has ended, and gives the directions back.
func (s *NetworkStream) finishAuthentication(a *authentication, t *engine.TLS, err error) error {
	fatal := false
	if err != nil {
		err = classify("authenticate", s.whyStopped(a, err))
		_, fatal = err.(*AuthenticationError) // and not Close
		err = s.opError("authenticate", err)
	}
	s.mu.Lock()
	a.transport, a.phase, a.err, a.stop = t, authDone, err, nil // the caller's context is not held for longer
	if err != nil {
		a.phase = authFailed
	}
	if fatal {
		a.fatal = err
	}
	s.giveDirections(t.IDs())
	return err
}

// whyStopped adds what the caller's context says to the cause that it gives, which may be any error. A deadline and Close, by
// which the stream itself stops a handshake, speak for themselves.
func (s *NetworkStream) whyStopped(a *authentication, err error) error {
	e, ok := err.(*engine.TLSError)
	if !ok || e.Stopped == nil {
		return err
	}
	s.mu.Lock()
	own := a.stopped
	s.mu.Unlock()
	switch cause := e.Err.(type) {
	case *SocketError:
		if cause == errDeadline {
			return err
		}
	case *ObjectDisposedError:
		if cause == own {
			return err
		}
	}
	if errors.Is(e.Err, e.Stopped) {
		return err
	}
	return &engine.TLSError{Authentication: true, Err: fmt.Errorf("%w: %w", e.Stopped, e.Err)}
}

// refusalLocked returns why the stream can be neither read nor written, nil if it can.
func (a *authentication) refusalLocked() error {
	switch {
	case a == nil || a.phase == authDone:
		return nil
	case a.phase <= authRunning:
		return errAuthenticating
	}
	return a.err
}

// idle reports whether no callback of a handshake is to run.
func (a *authentication) idle() bool { return a == nil || !a.begun }

// interruptLocked has unlock end a handshake that is in progress with e: by a deadline or Close.
func (a *authentication) interruptLocked(e error) todo {
	if a == nil || a.phase != authRunning || a.stopped != nil {
		return 0
	}
	a.stopped = e
	return todoStopHandshake
}

// awaitsPeer reports whether it is the peer that keeps the handshake from going on. It takes no lock.
func (a *authentication) awaitsPeer() bool {
	t := a.shaking.Load()
	return t != nil && t.AwaitsPeer()
}

// authenticated returns the handshake that has succeeded, nil if there is none or the stream was closed.
func (s *NetworkStream) authenticated() *authentication {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.auth == nil || s.auth.phase != authDone || s.life.closed() {
		return nil
	}
	return s.auth
}

// giveDirections gives both directions up after a handshake, to whoever waits for them. The caller holds mu; giveDirections
// gives it up.
func (s *NetworkStream) giveDirections(ids [2]uint32) {
	var fx effects // stays empty: no raw call has a callback
	s.read.id, s.write.id = ids[engine.Read], ids[engine.Write]
	for _, d := range [...]*side{&s.read.side, &s.write.side} {
		d.stopped()
		d.rest(&fx)
	}
	if !s.write.empty() || s.write.fin != finNone { // a CloseWrite waits; else the next write is to find the direction idle
		s.wantFlushLocked()
	}
	s.unlock()
}
