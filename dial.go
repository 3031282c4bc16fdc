package netstream

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// Dial connects to a TCP or Unix address and returns the stream; network and address are those of net.Dial, ctx
// bounds the connecting only, with [Config].TLS the handshake too. What fails on the way is a *net.OpError around an
// [*IOError] around a [*SocketError], for a handshake around an [*AuthenticationError]. Argument and state errors are
// returned as they are.
func Dial(ctx context.Context, network, address string, cfg *Config) (*NetworkStream, error) {
	c, err := dialConfig(ctx, network, cfg)
	if err != nil {
		return nil, err
	}
	return dial(ctx, network, address, c, false)
}

func dialConfig(ctx context.Context, network string, cfg *Config) (*Config, error) {
	if ctx == nil {
		return nil, &ArgumentNullError{ParamName: "ctx"}
	}
	if err := checkNetwork("dial", network); err != nil {
		return nil, err
	}
	c, err := listenConfig(cfg)
	if err == nil && c.TLS != nil {
		err = checkTLS(c.TLS, false)
	}
	return c, err
}

func dial(ctx context.Context, network, address string, c *Config, onLoop bool) (*NetworkStream, error) {
	if err := c.Group.check(); errors.Is(err, ErrGroupFull) {
		return nil, dialError(network, nil, err)
	} else if err != nil {
		return nil, err
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		if ctxErr := endedBy(ctx, err); ctxErr != nil && !errors.Is(err, ctxErr) {
			return nil, dialError(network, err, &IOError{Err: abandonedError(ctxErr)})
		}
		return nil, wrapOpError("dial", err)
	}
	s, err := newStream(conn, c, onLoop || c.TLS != nil)
	switch {
	case errors.Is(err, errNotConnected):
		err = lostError(conn)
	case errors.Is(err, ErrGroupFull): // somebody else took the place meanwhile
		err = dialError(network, nil, &IOError{Err: ErrGroupFull})
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	if c.TLS == nil {
		return s, nil
	}
	if err := s.authenticateNow(ctx, s.auth, clientConfig(c.TLS, network, address), false); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// clientConfig returns config, or a copy with the address's name.
func clientConfig(config *tls.Config, network, address string) *tls.Config {
	host, _, err := net.SplitHostPort(address)
	if config.ServerName != "" || network == "unix" || err != nil {
		return config
	}
	config = config.Clone()
	config.ServerName = host
	return config
}

// lostError is the error of a connection that was lost before it could become a stream: what net's dialer says when it is
// lost a moment earlier. Nobody else has been told yet, so it is the socket's pending error.
func lostError(conn net.Conn) error {
	why := &IOError{Err: codeError(CodeNotConnected, errNotConnected)}
	if errno := engine.PendingError(conn); errno != 0 {
		why.Err = errnoError("connect", errno)
	}
	return opError("dial", nil, conn.RemoteAddr(), why)
}

// endedBy returns ctx's error if that is why a dial failed. The dialer has a timer of its own for ctx's deadline,
// which may be first.
func endedBy(ctx context.Context, err error) error {
	var e net.Error
	if by, limited := ctx.Deadline(); limited && errors.As(err, &e) && e.Timeout() && !time.Now().Before(by) {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// abandonedError is the error of a dial that ctxErr has ended, with the text that net's dialer gives it.
func abandonedError(ctxErr error) *SocketError {
	switch ctxErr {
	case context.DeadlineExceeded:
		return codeError(CodeTimedOut, &worded{ctxErr, os.ErrDeadlineExceeded.Error()})
	case context.Canceled:
		return codeError(CodeOperationAborted, &worded{ctxErr, "operation was canceled"})
	}
	return canceledError(ctxErr)
}

// worded is an error in other words.
type worded struct {
	err  error
	text string
}

func (w *worded) Error() string { return w.text }
func (w *worded) Unwrap() error { return w.err }

// dialError keeps the addresses net has found and says what ended the attempt.
func dialError(network string, err error, why error) error {
	out := &net.OpError{Op: "dial", Net: network, Err: why}
	if inner, ok := err.(*net.OpError); ok {
		out.Source, out.Addr = inner.Source, inner.Addr
	}
	return out
}

// connectOwner names BeginConnect in results: connects belong to no object.
var connectOwner owner

// BeginConnect begins to connect and returns at once; it mirrors TcpClient.BeginConnect. ctx bounds the
// connecting; cancelling it completes the operation with ctx's error. The stream is made for asynchronous use:
// with EngineAuto it starts on the loop. Errors of Begin: arguments and networks without streams; everything
// else is told by [EndConnect].
func BeginConnect(ctx context.Context, network, address string, cfg *Config, callback AsyncCallback, state any) (AsyncResult, error) {
	c, err := dialConfig(ctx, network, cfg)
	if err != nil {
		return AsyncResult{}, err
	}
	op := newOperation(&connectOwner, kindConnect, callback, state)
	result := op.result()
	go func() {
		s, err := dial(ctx, network, address, c, true)
		op.rarely().accepted = s
		op.fail(err)
		op.complete()
		op.release(1) // the result was taken above; only the End that is still to come holds it
		if callback != nil {
			callback(result)
		}
	}()
	return result, nil
}

// EndConnect waits for the connect that ar stands for and returns its stream; it mirrors TcpClient.EndConnect. Call
// it exactly once for each BeginConnect.
func EndConnect(ar AsyncResult) (*NetworkStream, error) {
	return ar.endStream(&connectOwner, kindConnect)
}
