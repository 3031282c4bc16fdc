package netstream

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// Listener accepts streams. It is a net.Listener, so net/http and others serve from it unchanged. All methods may be called
// from any goroutine at any time.
//
// Running out of descriptors or memory does not end it: it pauses, tries again and logs one line.
// Connections that were aborted before they were accepted are skipped.
type Listener struct {
	inner  net.Listener // constant
	config *Config      // constant: for the streams
	owner  owner        // its address names this listener in results

	deadline acceptDeadline // see listener_deadline.go

	handshakes *handshakes // constant; nil: no TLS

	closed chan struct{} // constant; closed under mu

	mu        sync.Mutex // guards what follows; a leaf
	held      []net.Conn // accepted, for the next accepts
	accepts   opList     // begun and not served
	accepting bool       // a goroutine serves them
	callbacks opList     // completed, callback not started
	calling   bool       // a goroutine runs them
}

var _ net.Listener = (*Listener)(nil)

// Listen announces on a local TCP or Unix address; network and address are those of net.Listen. cfg is for the
// streams that will be accepted. Errors are those of [Dial].
func Listen(network, address string, cfg *Config) (*Listener, error) {
	if err := checkNetwork("listen", network); err != nil {
		return nil, err
	}
	c, err := listenConfig(cfg)
	if err != nil {
		return nil, err
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		return nil, wrapOpError("listen", err)
	}
	l, err := makeListener(ln, c)
	if err != nil {
		ln.Close()
		return nil, err
	}
	return l, nil
}

// NewListener accepts streams from any net.Listener: one made by net.ListenConfig (SO_REUSEPORT), an inherited
// descriptor, a wrapper that reads a PROXY header. It takes ln over; Close closes it. A wrapper that hands out connections
// of its own type, as netutil.LimitListener does, hides the socket from the native engine; [Group.MaxStreams] limits the
// number of connections without that.
func NewListener(ln net.Listener, cfg *Config) (*Listener, error) {
	if engine.IsNil(ln) {
		return nil, &ArgumentNullError{ParamName: "ln"}
	}
	c, err := listenConfig(cfg)
	if err != nil {
		return nil, err
	}
	return makeListener(ln, c)
}

func makeListener(ln net.Listener, c *Config) (*Listener, error) {
	if c.Engine == EngineEpoll && !engine.HasLoops {
		return nil, errEngine(EngineEpoll, "needs Linux")
	}
	l := &Listener{inner: ln, config: c, closed: make(chan struct{})}
	if c.TLS != nil {
		if err := checkTLS(c.TLS, true); err != nil {
			return nil, err
		}
		l.handshakes = newHandshakes(l, c.TLS)
	}
	if err := c.Group.joinListener(l); err != nil {
		return nil, err
	}
	return l, nil
}

func listenConfig(cfg *Config) (*Config, error) {
	c, err := cfg.withDefaults()
	if err == nil && c.LeaveOpen {
		err = &ArgumentError{ParamName: "LeaveOpen", Message: "only New has a connection to leave open"}
	}
	return c, err
}

// checkNetwork refuses what has no streams, before anything is made.
func checkNetwork(op, network string) error {
	switch network {
	case "tcp", "tcp4", "tcp6", "unix":
		return nil
	}
	return &net.OpError{Op: op, Net: network, Err: &IOError{
		Err: codeError(CodeProtocolNotSupported, net.UnknownNetworkError(network)),
	}}
}

// wrapOpError puts the contract's chain into the error of net, whose addresses are kept.
func wrapOpError(op string, err error) error {
	var inner *net.OpError
	if errors.As(err, &inner) {
		return &net.OpError{Op: op, Net: inner.Net, Source: inner.Source, Addr: inner.Addr, Err: &IOError{Err: classify(op, inner.Err)}}
	}
	return opError(op, nil, nil, &IOError{Err: classify(op, err)})
}

// Addr returns the listener's address.
func (l *Listener) Addr() net.Addr { return l.inner.Addr() }

// Accept waits for the next connection and returns it as a *NetworkStream. With [Config].TLS it returns another type, which
// embeds that and is what net/http takes for an encrypted connection; [Listener.AcceptStream] has the stream itself.
func (l *Listener) Accept() (net.Conn, error) {
	s, err := l.AcceptStream()
	if err != nil {
		return nil, err // not s: a nil *NetworkStream is not a nil net.Conn
	}
	return l.asConn(s), nil
}

// AcceptStream waits for the next connection. After Close it fails with a chain that matches net.ErrClosed.
func (l *Listener) AcceptStream() (*NetworkStream, error) {
	s, err := l.next(false)
	return s, l.opError(err)
}

func (l *Listener) opError(err error) error { return opError("accept", l.Addr(), nil, err) }

// accept makes a stream of the next connection that is fit for one. onLoop: it will be used asynchronously.
func (l *Listener) accept(onLoop bool) (*NetworkStream, error) {
	var pause time.Duration
	gone := 0 // connections that went away, one after the other
	for {
		if err := l.awaitPlace(); err != nil {
			return nil, err
		}
		conn, err := l.nextConn()
		if err != nil {
			if aborted(err) {
				gone++
			}
			if err = l.withoutConn(err, gone, &pause); err != nil {
				return nil, err
			}
			continue
		}
		gone = 0
		s, err := l.streamOf(conn, onLoop, &pause)
		if err == nil {
			return s, nil
		}
		if err = l.withoutStream(conn, err, &pause); err != nil {
			return nil, err
		}
	}
}

// withoutConn is what follows when no connection was accepted, because of err. It returns why accept fails; nil: it goes on
// with the next connection.
func (l *Listener) withoutConn(err error, gone int, pause *time.Duration) error {
	switch {
	case l.hasClosed():
		return l.closedError()
	case aborted(err) && gone <= mostGone:
		return nil
	case exhausted(err):
		return l.waitOut(pause, err)
	}
	return &IOError{Err: classify("accept", err)}
}

// withoutStream is what follows when no stream could be made of conn, because of err. It returns what withoutConn returns.
func (l *Listener) withoutStream(conn net.Conn, err error, pause *time.Duration) error {
	if err == errAcceptTimeout && l.hold(conn) {
		return err
	}
	conn.Close()
	switch {
	case l.hasClosed():
		return l.closedError()
	case errors.Is(err, errGroupStopped):
		<-l.closed // Shutdown is about to
		return l.closedError()
	case errors.Is(err, errors.ErrUnsupported):
		return err
	case aborted(err): // the kernel hands out connections that were reset while they waited
		return nil
	}
	return l.waitOut(pause, err)
}

// streamOf makes a stream of a connection that was accepted with the last descriptor, or the last place in the group, when
// there is another. When the deadline comes first, conn is as it was.
func (l *Listener) streamOf(conn net.Conn, onLoop bool, pause *time.Duration) (*NetworkStream, error) {
	for {
		s, err := newStream(conn, l.config, onLoop)
		var stop error
		switch {
		case errors.Is(err, ErrGroupFull):
			stop = l.awaitPlace()
		case exhausted(err):
			stop = l.waitOut(pause, err)
		default:
			return s, err
		}
		if stop != nil {
			return nil, stop
		}
	}
}

// awaitPlace waits until the group has a place. It fails when the listener was closed or its deadline passed meanwhile.
func (l *Listener) awaitPlace() error {
	for left := l.config.Group.full(); left != nil; left = l.config.Group.full() {
		select {
		case <-left:
		case <-l.closed:
			return l.closedError()
		case <-l.deadline.channel():
			return errAcceptTimeout
		}
	}
	return nil
}

// mostGone is how often in a row an accept may say that a connection went away. One that says nothing else has itself ended: a
// multiplexer that is a net.Listener tells so that its own connection was reset.
const mostGone = 100

// aborted reports whether err is about one connection that went away before it was accepted (accept(2), NOTES).
func aborted(err error) bool {
	var e *SocketError
	if !errors.As(classify("accept", err), &e) {
		return false
	}
	switch e.Code {
	case CodeConnectionAborted, CodeConnectionReset, CodeNotConnected, CodeNetworkDown, CodeHostDown, CodeHostUnreachable,
		CodeNetworkUnreachable, CodeInterrupted:
		return true
	}
	return false
}

// exhausted reports whether err means that the process or the system has run out of something.
func exhausted(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
}

// waitOut pauses because of err: for 5 ms, doubling up to 1 s, as net/http does. last is how long that was the last time; 0: it
// is the first. It fails when the listener was closed or its deadline passed meanwhile.
func (l *Listener) waitOut(last *time.Duration, err error) error {
	if *last == 0 {
		l.config.logger().Warn("netstream: accept fails, trying again", "addr", addrText(l.Addr()), "error", err)
	}
	*last = min(max(2**last, 5*time.Millisecond), time.Second)
	timer := time.NewTimer(*last)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-l.closed:
		return l.closedError()
	case <-l.deadline.channel():
		return errAcceptTimeout
	}
}

func (l *Listener) hasClosed() bool { return isClosed(l.closed) }

func (l *Listener) closedError() error { return &IOError{Err: disposedError("Listener", nil)} }

// Close stops listening. Begun accepts complete with a chain that matches net.ErrClosed; streams that were accepted
// go on. A second Close is an error that matches net.ErrClosed, as that of net's listeners.
func (l *Listener) Close() error {
	l.mu.Lock()
	if l.hasClosed() {
		l.mu.Unlock()
		return opError("close", l.Addr(), nil, l.closedError())
	}
	close(l.closed)
	held := l.held
	l.held = nil
	l.mu.Unlock()
	l.deadline.set(time.Time{})
	l.handshakes.close()
	for _, conn := range held {
		conn.Close()
	}
	l.config.Group.leaveListener(l)
	if err := l.inner.Close(); err != nil {
		return opError("close", l.Addr(), nil, &IOError{Err: classify("close", err)})
	}
	return nil
}
