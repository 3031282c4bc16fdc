package netstream

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// AuthenticateAsClient makes the client's side of a TLS handshake on an open stream, which is encrypted from then on; it
// mirrors SslStream.AuthenticateAsClient. Everything else about the stream stays as it is: limits, deadlines, Begin and
// End, the group. crypto/tls decides everything about TLS. config is used as it is; it needs a ServerName, or
// InsecureSkipVerify.
//
// Nothing may be pending, or the call is an [*InvalidOperationError]. Until the handshake is over reads and writes are
// InvalidOperationErrors, and so is a second handshake, also after the first. Bytes that somebody has read ahead are
// lost to it: whoever has read through a bufio.Reader must refuse to go on when its Buffered is not 0, because those bytes
// came in the clear (CVE-2011-0411).
//
// A stream that is in a [Group] before its handshake gets that group's broadcasts in the clear, and with one of them still
// waiting the handshake is refused: for members of a group, use [Config].TLS, or leave Group.Broadcast to later.
//
// ctx, the stream's deadlines and [Config].HandshakeTimeout bound the handshake. When it fails, the error has an
// [*AuthenticationError] in its chain, and so has that of every later call; only Close is left then. A handshake that Close
// has ended fails like every call that Close aborts. Errors of the call: [*ArgumentNullError] for ctx and config,
// [*ArgumentError] for a config that cannot work or a stream with LeaveOpen, and those of a closed stream.
//
// The callbacks of config run on a goroutine of the handshake, which waits for them: whatever bounds it ends their context, not
// them. They may close the stream, and must not wait for the handshake. The Conn of a tls.ClientHelloInfo has addresses, the
// Control of a SyscallConn, and a Close that ends the handshake and does nothing later.
func (s *NetworkStream) AuthenticateAsClient(ctx context.Context, config *tls.Config) error {
	return s.authenticateNow(ctx, new(authentication), config, false)
}

// AuthenticateAsServer is [NetworkStream.AuthenticateAsClient] for the server's side. config needs a certificate, or one of
// the callbacks GetCertificate and GetConfigForClient.
func (s *NetworkStream) AuthenticateAsServer(ctx context.Context, config *tls.Config) error {
	return s.authenticateNow(ctx, new(authentication), config, true)
}

func (s *NetworkStream) authenticateNow(ctx context.Context, a *authentication, config *tls.Config, server bool) error {
	over := make(chan error, 1)
	if err := s.authenticate(ctx, a, config, server, func(err error) { over <- err }); err != nil {
		return err
	}
	return <-over
}

// BeginAuthenticateAsClient begins [NetworkStream.AuthenticateAsClient] and returns at once. It has no context: the stream's
// deadlines, [Config].HandshakeTimeout and Close bound the handshake. The callback runs on another goroutine. Call
// [NetworkStream.EndAuthenticateAsClient] exactly once. Errors of Begin are those of the call; a handshake that fails is
// told by End.
func (s *NetworkStream) BeginAuthenticateAsClient(config *tls.Config, callback AsyncCallback, state any) (AsyncResult, error) {
	return s.beginAuthenticate(config, false, callback, state)
}

// BeginAuthenticateAsServer begins [NetworkStream.AuthenticateAsServer] and returns at once.
func (s *NetworkStream) BeginAuthenticateAsServer(config *tls.Config, callback AsyncCallback, state any) (AsyncResult, error) {
	return s.beginAuthenticate(config, true, callback, state)
}

// EndAuthenticateAsClient waits for the handshake that ar stands for and returns how it ended.
func (s *NetworkStream) EndAuthenticateAsClient(ar AsyncResult) error {
	return s.endAuthenticate(ar, kindConnect)
}

// EndAuthenticateAsServer waits for the handshake that ar stands for and returns how it ended.
func (s *NetworkStream) EndAuthenticateAsServer(ar AsyncResult) error {
	return s.endAuthenticate(ar, kindAccept)
}

// authenticationKind is how results tell a client's handshake from a server's. The operation's owner tells them from
// accepts and connects.
func authenticationKind(server bool) kind {
	if server {
		return kindAccept
	}
	return kindConnect
}

func (s *NetworkStream) beginAuthenticate(config *tls.Config, server bool, callback AsyncCallback, state any) (AsyncResult, error) {
	a := &authentication{begun: true}
	op := newOperation(&a.owner, authenticationKind(server), callback, state)
	result := op.result()
	err := s.authenticate(context.Background(), a, config, server, func(err error) {
		defer func() { // the callback may end its goroutine
			s.mu.Lock()
			a.begun = false
			s.unlock()
		}()
		op.fail(err)
		op.complete()
		op.release(1) // the result was taken above; only the End that is still to come holds it
		if callback != nil {
			callback(result)
		}
	})
	if err != nil {
		op.release(2)
		return AsyncResult{}, err
	}
	return result, nil
}

func (s *NetworkStream) endAuthenticate(ar AsyncResult, k kind) error {
	if ar.IsZero() {
		return s.zeroResult()
	}
	s.mu.Lock()
	a := s.auth
	s.mu.Unlock()
	if a == nil {
		return s.opError("authenticate", &IOError{Err: errForeignResult})
	}
	op, lastWord, err := ar.end(&a.owner, k)
	if err != nil {
		return s.opError("authenticate", err)
	}
	err = op.failure()
	op.leave(lastWord)
	return err
}

// IsAuthenticated reports whether a handshake has succeeded; it mirrors SslStream.IsAuthenticated. It is false after
// Close.
func (s *NetworkStream) IsAuthenticated() bool { return s.authenticated() != nil }

// IsEncrypted reports whether the bytes of the stream are encrypted, which is so from a handshake until Close.
func (s *NetworkStream) IsEncrypted() bool { return s.authenticated() != nil }

// IsServer reports whether the stream is the server's side of a handshake that has succeeded.
func (s *NetworkStream) IsServer() bool {
	a := s.authenticated()
	return a != nil && a.server
}

// SslProtocol returns the version that was negotiated, such as tls.VersionTLS13; 0 before a handshake has succeeded.
func (s *NetworkStream) SslProtocol() uint16 {
	state, _ := s.ConnectionState()
	return state.Version
}

// NegotiatedCipherSuite returns the cipher suite, such as tls.TLS_AES_128_GCM_SHA256; 0 before a handshake has succeeded.
func (s *NetworkStream) NegotiatedCipherSuite() uint16 {
	state, _ := s.ConnectionState()
	return state.CipherSuite
}

// ConnectionState returns what crypto/tls says of the connection, and whether a handshake has succeeded. It does not wait
// for one.
func (s *NetworkStream) ConnectionState() (state tls.ConnectionState, ok bool) {
	a := s.authenticated()
	if a == nil {
		return tls.ConnectionState{}, false
	}
	return a.transport.ConnectionState(), true
}

// lookAhead has an encrypted stream on which no read is pending decrypt what has come, so that Available knows of it.
func (s *NetworkStream) lookAhead() {
	s.mu.Lock()
	if s.auth == nil || s.auth.phase != authDone || s.life.disposed() != nil || !s.read.idle() {
		s.mu.Unlock()
		return
	}
	s.read.phase = owned
	t := s.transport
	s.mu.Unlock()
	_, _ = t.TryRead(nil) // an end or a failure comes again
	s.serveReads(nothing, nil, ownRead)
}

// AuthenticationError is a handshake that failed; it mirrors System.Security.Authentication.AuthenticationException. Err is
// what crypto/tls says: errors.As finds a *tls.CertificateVerificationError, a tls.RecordHeaderError, or a
// tls.AlertError that the peer has sent. It may as well be an end of the connection (io.ErrUnexpectedEOF, a [*SocketError]),
// or what has stopped the handshake: a deadline, or a context, whose Err and cause errors.Is finds.
type AuthenticationError struct {
	Err error // why it failed
}

// Error returns the text of Err.
func (e *AuthenticationError) Error() string { return e.Err.Error() }

// Unwrap returns Err.
func (e *AuthenticationError) Unwrap() error { return e.Err }

// Timeout reports whether the handshake has taken too long.
func (e *AuthenticationError) Timeout() bool {
	t, _ := asTimeout(e.Err)
	return t
}

// Temporary returns false: the stream is of no use any more.
func (e *AuthenticationError) Temporary() bool { return false }

// tlsFailure turns the engine's error of a TLS connection into the contract's.
func tlsFailure(e *engine.TLSError) error {
	switch cause := e.Err.(type) {
	case *ObjectDisposedError: // Close has stopped the handshake
		return cause
	case syscall.Errno, *engine.BrokenError:
		return &AuthenticationError{Err: classify(callRead, cause)}
	default:
		if e.Authentication {
			return &AuthenticationError{Err: stopCause(cause)}
		}
		return codeError(CodeConnectionAborted, cause)
	}
}

// stopCause gives an error of a context its code.
func stopCause(err error) error {
	if err != io.ErrUnexpectedEOF && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return canceledError(err)
	}
	return err
}
