package netstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// ArgumentNullError reports that an argument that must be there is nil. It
// mirrors .NET's ArgumentNullException and, as there, is an [ArgumentError] too:
// errors.As finds both. It is returned bare, never inside a *net.OpError.
type ArgumentNullError struct {
	ParamName string // .NET's name of the parameter: "buffer", "asyncResult", ...
}

// Error names the parameter.
func (e *ArgumentNullError) Error() string {
	return "netstream: argument " + e.ParamName + ": must not be nil"
}

// As makes the error an *ArgumentError for errors.As.
func (e *ArgumentNullError) As(target any) bool {
	return asArgumentError(target, e.ParamName, "must not be nil")
}

// ArgumentOutOfRangeError reports that an argument has a value outside its
// range. It mirrors .NET's ArgumentOutOfRangeException and, as there, is an
// [ArgumentError] too: errors.As finds both. It is returned bare.
type ArgumentOutOfRangeError struct {
	ParamName   string // .NET's name of the parameter: "offset", "size", "value", ...
	ActualValue any    // what was passed; nil when it is not known
}

// Error names the parameter and its value.
func (e *ArgumentOutOfRangeError) Error() string {
	return "netstream: argument " + e.ParamName + ": " + e.complaint()
}

// As makes the error an *ArgumentError for errors.As.
func (e *ArgumentOutOfRangeError) As(target any) bool {
	return asArgumentError(target, e.ParamName, e.complaint())
}

func (e *ArgumentOutOfRangeError) complaint() string {
	if e.ActualValue == nil {
		return "out of range"
	}
	return fmt.Sprintf("out of range: %v", e.ActualValue)
}

// ArgumentError reports that an argument does not fit: an AsyncResult of another
// stream, for example. It mirrors .NET's ArgumentException.
type ArgumentError struct {
	ParamName string // .NET's name of the parameter; may be empty
	Message   string // what is wrong with it, in a few words
}

// Error names the parameter and says what is wrong.
func (e *ArgumentError) Error() string {
	if e.ParamName == "" {
		return "netstream: " + e.Message
	}
	return "netstream: argument " + e.ParamName + ": " + e.Message
}

// asArgumentError is the base-class half of .NET's argument exceptions.
func asArgumentError(target any, param, message string) bool {
	t, ok := target.(**ArgumentError)
	if ok {
		*t = &ArgumentError{ParamName: param, Message: message}
	}
	return ok
}

// InvalidOperationError reports a call that the state of the object does not
// allow: reading from a stream opened for writing, ending an operation twice. It
// mirrors .NET's InvalidOperationException.
type InvalidOperationError struct {
	Message string // what was wrong with the call
}

// Error returns the message.
func (e *InvalidOperationError) Error() string { return "netstream: " + e.Message }

// ObjectDisposedError reports a call on, or an operation aborted by, something
// that this program has closed. It mirrors .NET's ObjectDisposedException and, as
// there, is an [InvalidOperationError] too.
//
// errors.Is(err, net.ErrClosed) holds. Below it lies a [SocketError] with
// [CodeOperationAborted], and beside that the error given to CloseWithError, if
// any, for errors.Is and errors.As.
type ObjectDisposedError struct {
	ObjectName string // .NET's full type name: "System.Net.Sockets.NetworkStream", "System.Net.Sockets.Socket", ...

	cause error // why it was closed; nil for a plain Close
}

var _ net.Error = (*ObjectDisposedError)(nil)

// Error returns package net's text for the use of a closed connection,
// followed by the reason for closing where one was given.
func (e *ObjectDisposedError) Error() string {
	if e.cause == nil || e.cause == net.ErrClosed {
		return net.ErrClosed.Error()
	}
	return net.ErrClosed.Error() + ": " + e.cause.Error()
}

// Is makes the error net.ErrClosed for errors.Is.
func (e *ObjectDisposedError) Is(target error) bool { return target == net.ErrClosed }

// As makes the error an *InvalidOperationError for errors.As.
func (e *ObjectDisposedError) As(target any) bool {
	t, ok := target.(**InvalidOperationError)
	if ok {
		*t = &InvalidOperationError{Message: e.Error()}
	}
	return ok
}

// Unwrap returns the SocketError below and the cause. The SocketError comes
// first, so that errors.As finds OperationAborted even when the cause has a
// SocketError of its own.
func (e *ObjectDisposedError) Unwrap() []error {
	if e.cause == nil {
		return []error{errAborted}
	}
	return []error{errAborted, e.cause}
}

// Timeout returns false: closing is no timeout, whatever its cause.
func (e *ObjectDisposedError) Timeout() bool { return false }

// Temporary returns false: what is closed stays closed.
func (e *ObjectDisposedError) Temporary() bool { return false }

// IOError is a failed transfer. It mirrors the System.IO.IOException that .NET
// wraps around every failure below the stream, and adds how far the transfer
// got. It stands directly below the outermost *net.OpError.
type IOError struct {
	// N is the number of this operation's bytes that were transferred before it
	// failed: for a write, those the kernel accepted.
	N int64
	// Unsent is, after a CloseTimeout or a Group.Shutdown that lost something, the
	// number of bytes of all begun writes that the kernel never got.
	Unsent int64
	// Torn says that a message stands cut off in the outgoing bytes, so that
	// nothing may follow it: this write and all later ones fail. Only behind a
	// blocking Write that ran out of time may the next blocking Write go on.
	Torn bool
	// Err is the cause: a *SocketError, *ObjectDisposedError, ...
	Err error
}

var _ net.Error = (*IOError)(nil)

// Error returns the text of the cause, without a prefix of its own, because
// the *net.OpError outside has one. A write that failed only because an earlier
// one was cut says so.
func (e *IOError) Error() string {
	earlier := e.Torn && e.N == 0
	switch {
	case e.Err == nil && earlier:
		return "stream torn by an earlier write"
	case e.Err == nil && e.Unsent > 0:
		return strconv.FormatInt(e.Unsent, 10) + " bytes not sent"
	case e.Err == nil:
		return "i/o error"
	case earlier:
		return "stream torn by an earlier write: " + e.Err.Error()
	}
	return e.Err.Error()
}

// Unwrap returns Err.
func (e *IOError) Unwrap() error { return e.Err }

// Timeout reports whether the cause is a timeout.
func (e *IOError) Timeout() bool {
	t, _ := asTimeout(e.Err)
	return t
}

// Temporary reports whether the cause is temporary. It is false for a torn
// stream, which no second try can mend.
func (e *IOError) Temporary() bool {
	t, _ := asTemporary(e.Err)
	return t && !e.Torn
}

// Errors of the bounded write queue. They are made once, so that refusing a
// write under overload allocates nothing; compare with errors.Is.
var (
	// ErrQueueFull is what a Begin or a Post returns when the write queue has no room. Its
	// chain holds a [SocketError] with [CodeNoBufferSpaceAvailable]. Nothing was
	// lent and no callback will run.
	ErrQueueFull error = codeError(CodeNoBufferSpaceAvailable, errors.New("write queue is full"))

	// ErrDropped is what a queued write completes with when it was thrown out to
	// make room for a newer one (OverflowDropOldest). Not one byte of it has gone
	// out. Its chain holds a [SocketError] with [CodeOperationAborted].
	ErrDropped error = codeError(CodeOperationAborted, errors.New("write dropped from a full queue"))
)

// Failures that happen often enough, or in large enough numbers at once, to be
// made only once.
var (
	errAborted  = codeError(CodeOperationAborted, nil)
	errDeadline = codeError(CodeTimedOut, os.ErrDeadlineExceeded)
	errCanceled = codeError(CodeOperationAborted, context.Canceled)
	errCtxDone  = codeError(CodeTimedOut, context.DeadlineExceeded)
	errShutdown = errnoError(callWrite, codeToErrno(CodeShutdown)) // net asks the kernel, which says this
)

// errnoError returns the error of a system call, by package net's name, that failed with errno.
func errnoError(call string, errno syscall.Errno) *SocketError {
	return &SocketError{Code: errnoToCode(errno), Errno: errno, cause: os.NewSyscallError(call, errno)}
}

// codeError returns an error of this program's own making with the given code.
// cause, which may be nil, gives it its text and is what it unwraps to.
func codeError(code SocketErrorCode, cause error) *SocketError {
	return &SocketError{Code: code, Errno: codeToErrno(code), cause: cause}
}

// deadlineError returns the error of an operation whose deadline or timeout has
// passed: os.ErrDeadlineExceeded for errors.Is, "i/o timeout" as text.
func deadlineError() *SocketError { return errDeadline }

// canceledError returns the error of an operation that a context or Cancel has
// ended; cause is ctx.Err(), nil means context.Canceled. A context whose own
// deadline has passed is a timeout, as it is in package net.
func canceledError(cause error) *SocketError {
	switch cause {
	case nil, context.Canceled:
		return errCanceled
	case context.DeadlineExceeded:
		return errCtxDone
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		return codeError(CodeTimedOut, cause)
	}
	return codeError(CodeOperationAborted, cause)
}

// disposedError returns the error for the use of something closed. object is
// "NetworkStream", "Socket" or "Listener"; cause is what CloseWithError was
// given, or nil.
func disposedError(object string, cause error) *ObjectDisposedError {
	if object == "Listener" {
		object = "TcpListener" // .NET's nearest relative
	}
	return &ObjectDisposedError{ObjectName: "System.Net.Sockets." + object, cause: cause}
}

// shutdownError returns the error of a write after CloseWrite.
func shutdownError() *SocketError { return errShutdown }

// classify gives an error from outside this package (a foreign net.Conn, a
// dialer, a system call) a chain with a *SocketError in it. io.EOF is no failure
// and passes untouched, and so does what has a *SocketError already. The
// *net.OpError on the outside is taken off, because opError will put the operation
// and addresses back once. A bare errno gets the *os.SyscallError that package
// net has around it; call is the name there.
func classify(call string, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	cause := peel(err)
	if failure, ok := cause.(*engine.TLSError); ok {
		return tlsFailure(failure)
	}
	if se := (*SocketError)(nil); errors.As(cause, &se) {
		return cause
	}
	if errno, ok := cause.(syscall.Errno); ok {
		return errnoError(call, errno)
	}
	if broken, ok := cause.(*engine.BrokenError); ok {
		return codeError(CodeConnectionAborted, broken)
	}
	if cause == engine.ErrNoLook {
		return codeError(CodeOperationNotSupported, cause)
	}
	if cause == os.ErrDeadlineExceeded {
		return errDeadline
	}
	if errno := syscall.Errno(0); errors.As(cause, &errno) {
		return &SocketError{Code: errnoToCode(errno), Errno: errno, cause: cause}
	}
	return codeError(codeOf(cause), cause)
}

// codeOf finds the code of an error without errno. Contexts come before names,
// because a look-up that was given up is a *net.DNSError around the context's
// error; names come before timeouts, because TryAgain says more.
func codeOf(err error) SocketErrorCode {
	if errors.Is(err, context.Canceled) {
		return CodeOperationAborted
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) {
		return CodeTimedOut
	}
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
		if dns.Temporary() {
			return CodeTryAgain
		}
		return CodeHostNotFound
	}
	if errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe) {
		return CodeOperationAborted
	}
	if timeout, _ := asTimeout(err); timeout {
		return CodeTimedOut
	}
	return CodeSocketError
}

// peel takes off what opError will put on again: who failed where. An *os.SyscallError stays if it is what it says. Errors of
// a foreign connection are not compared with each other: they may be of a type that cannot be.
func peel(err error) error {
	for {
		var inner error
		switch e := err.(type) {
		case *net.OpError:
			inner = e.Err
		case *os.SyscallError:
			if _, system := e.Err.(syscall.Errno); !system {
				inner = e.Err
			}
		case *IOError, *SocketError, *ObjectDisposedError, *engine.BrokenError, *engine.TLSError, *AuthenticationError:
		default: // crypto/tls wraps what it keeps, and adds no word
			if below := errors.Unwrap(err); below != nil && below.Error() == err.Error() {
				inner = below
			}
		}
		if inner == nil {
			return err
		}
		err = inner
	}
}

// opError puts the operation and the addresses around err: the outermost layer
// of every I/O error, and the one place that builds it. What a program that
// knows package net looks for below is found by errors.As and errors.Is, the
// *os.SyscallError too; a type assertion of OpError.Err itself finds the
// *IOError and nothing else. nil and io.EOF pass, and so does what is a
// *net.OpError already. "accept", "listen" and "set" concern the local address,
// and package net shows that one alone.
func opError(op string, local, remote net.Addr, err error) error {
	local, remote = orNil(local), orNil(remote)
	return opErrorBetween(op, &ends{local, remote, networkOf(local, remote)}, err)
}

// opErrorBetween is opError without a call of the addresses' methods.
func opErrorBetween(op string, at *ends, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	if _, ok := err.(*net.OpError); ok {
		return err
	}
	e := &net.OpError{Op: op, Net: at.network, Source: at.local, Addr: at.remote, Err: err}
	if at.local != nil && (op == "accept" || op == "listen" || op == "set") {
		e.Source, e.Addr = nil, at.local
	}
	return e
}
