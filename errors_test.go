package netstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Row 6: who is also what.
func TestErrorTypeRelations(t *testing.T) {
	for _, c := range []struct {
		err            error
		param, message string
		text           string
	}{
		{&ArgumentNullError{"buffer"}, "buffer", "must not be nil", "netstream: argument buffer: must not be nil"},
		{&ArgumentOutOfRangeError{"offset", -1}, "offset", "out of range: -1", "netstream: argument offset: out of range: -1"},
		{&ArgumentOutOfRangeError{ParamName: "size"}, "size", "out of range", "netstream: argument size: out of range"},
		{&ArgumentError{"asyncResult", "of another stream"}, "asyncResult", "of another stream", "netstream: argument asyncResult: of another stream"},
		{&ArgumentError{Message: "odd"}, "", "odd", "netstream: odd"},
	} {
		var arg *ArgumentError
		if !errors.As(fmt.Errorf("wrapped: %w", c.err), &arg) || arg.ParamName != c.param || arg.Message != c.message {
			t.Errorf("%v as *ArgumentError: %+v", c.err, arg)
		}
		if c.err.Error() != c.text {
			t.Errorf("text %q, want %q", c.err.Error(), c.text)
		}
		var null *ArgumentNullError
		if _, is := c.err.(*ArgumentNullError); errors.As(c.err, &null) != is {
			t.Errorf("%v as *ArgumentNullError: %v", c.err, !is)
		}
		var ioe *InvalidOperationError
		if errors.As(c.err, &ioe) {
			t.Errorf("%v is an *InvalidOperationError", c.err)
		}
	}
	if got := (&InvalidOperationError{"ended twice"}).Error(); got != "netstream: ended twice" {
		t.Error(got)
	}
}

func TestObjectDisposedError(t *testing.T) {
	for object, want := range map[string]string{
		"NetworkStream": "System.Net.Sockets.NetworkStream",
		"Socket":        "System.Net.Sockets.Socket",
		"Listener":      "System.Net.Sockets.TcpListener",
	} {
		if got := disposedError(object, nil).ObjectName; got != want {
			t.Errorf("ObjectName %q, want %q", got, want)
		}
	}
	err := error(&IOError{Err: disposedError("NetworkStream", nil)})
	if err.Error() != net.ErrClosed.Error() || !errors.Is(err, net.ErrClosed) {
		t.Errorf("%q is not net.ErrClosed", err)
	}
	var ioe *InvalidOperationError
	if !errors.As(err, &ioe) || ioe.Message == "" {
		t.Error("not an *InvalidOperationError")
	}
	var se *SocketError
	if !errors.As(err, &se) || se.ErrorCode() != 995 || !errors.Is(err, CodeOperationAborted) {
		t.Errorf("no OperationAborted below: %v", se)
	}
	if errors.Is(err, context.Canceled) {
		t.Error("a plain Close is a cancellation")
	}
}

func TestObjectDisposedErrorCause(t *testing.T) {
	err := error(&IOError{Err: disposedError("NetworkStream", ErrQueueFull)})
	if !errors.Is(err, ErrQueueFull) || !errors.Is(err, net.ErrClosed) || !errors.Is(err, CodeNoBufferSpaceAvailable) {
		t.Errorf("%v: cause not found", err)
	}
	var se *SocketError
	if !errors.As(err, &se) || se.Code != CodeOperationAborted {
		t.Errorf("first SocketError is %v, want OperationAborted", se.Code.String())
	}
	if want := net.ErrClosed.Error() + ": " + ErrQueueFull.Error(); err.Error() != want {
		t.Errorf("text %q, want %q", err, want)
	}
	if err := disposedError("Socket", net.ErrClosed); err.Error() != net.ErrClosed.Error() {
		t.Errorf("text twice: %q", err)
	}
	late := net.Error(&IOError{Err: disposedError("NetworkStream", os.ErrDeadlineExceeded)})
	if late.Timeout() || late.Temporary() { //nolint:staticcheck // Temporary is what crypto/tls asks
		t.Error("closing because of a timeout is a timeout itself")
	}
}

func TestIOErrorText(t *testing.T) {
	reset := errnoError(callRead, syscall.ECONNRESET)
	for _, c := range []struct {
		err  *IOError
		want string
	}{
		{&IOError{Err: reset}, reset.Error()},
		{&IOError{N: 3, Torn: true, Err: reset}, reset.Error()},
		{&IOError{Torn: true, Err: reset}, "stream torn by an earlier write: " + reset.Error()},
		{&IOError{Torn: true}, "stream torn by an earlier write"},
		{&IOError{Unsent: 12}, "12 bytes not sent"},
		{&IOError{}, "i/o error"},
	} {
		if c.err.Error() != c.want {
			t.Errorf("%+v: %q, want %q", *c.err, c.err.Error(), c.want)
		}
	}
}

func TestIOErrorTimeoutTemporary(t *testing.T) {
	timeout := &IOError{Err: deadlineError()}
	if !timeout.Timeout() || !timeout.Temporary() {
		t.Error("a deadline is not a temporary timeout")
	}
	torn := &IOError{Torn: true, Err: deadlineError()}
	if !torn.Timeout() || torn.Temporary() {
		t.Error("a torn stream invites another try")
	}
	if e := (&IOError{Err: errnoError(callRead, syscall.EPIPE)}); e.Timeout() || e.Temporary() {
		t.Error("EPIPE is temporary")
	}
	if e := (&IOError{}); e.Timeout() || e.Temporary() {
		t.Error("nothing is temporary")
	}
}

func TestQueueErrors(t *testing.T) {
	var se *SocketError
	if !errors.As(ErrQueueFull, &se) || se.ErrorCode() != 10055 {
		t.Errorf("ErrQueueFull: %v", se)
	}
	wrapped := opError("write", nil, nil, &IOError{Err: ErrDropped})
	if !errors.Is(wrapped, ErrDropped) || errors.Is(wrapped, ErrQueueFull) || errors.Is(ErrQueueFull, ErrDropped) {
		t.Error("ErrDropped and ErrQueueFull are confused")
	}
	if !errors.Is(ErrDropped, CodeOperationAborted) {
		t.Error("ErrDropped has no code")
	}
}

func TestInternalErrors(t *testing.T) {
	if err := deadlineError(); !errors.Is(err, os.ErrDeadlineExceeded) || err.Error() != "i/o timeout" || err.Code != CodeTimedOut {
		t.Errorf("deadline: %v", err)
	}
	if err := canceledError(nil); !errors.Is(err, context.Canceled) || err.Code != CodeOperationAborted {
		t.Errorf("canceled: %v", err)
	}
	if err := canceledError(context.DeadlineExceeded); !errors.Is(err, context.DeadlineExceeded) || err.Code != CodeTimedOut {
		t.Errorf("ctx deadline: %v", err)
	}
	mine := fmt.Errorf("too late: %w", context.DeadlineExceeded)
	if err := canceledError(mine); !errors.Is(err, mine) || err.Code != CodeTimedOut || !err.Timeout() {
		t.Errorf("own cause: %v", err)
	}
	if err := canceledError(io.ErrNoProgress); !errors.Is(err, io.ErrNoProgress) || err.Code != CodeOperationAborted {
		t.Errorf("own cause: %v", err)
	}
	if err := shutdownError(); err.ErrorCode() != 10058 || err.Errno != codeToErrno(CodeShutdown) {
		t.Errorf("shutdown: %v", err)
	}
	allocs := testing.AllocsPerRun(100, func() { _, _, _ = deadlineError(), canceledError(nil), shutdownError() })
	if allocs != 0 {
		t.Errorf("%v allocations for errors made in advance", allocs)
	}
}

// foreignTimeout is what a net.Conn of another package may return.
type foreignTimeout struct{}

func (foreignTimeout) Error() string   { return "slow" }
func (foreignTimeout) Timeout() bool   { return true }
func (foreignTimeout) Temporary() bool { return false }

// inOp is err as package net reports it.
func inOp(err error) error { return &net.OpError{Op: "read", Net: "tcp", Err: err} }

func TestClassify(t *testing.T) {
	const reset = syscall.ECONNRESET
	wrapped := fmt.Errorf("frame 7: %w", inOp(os.NewSyscallError("read", reset)))
	noHost := &net.DNSError{Err: "no such host", Name: "x", IsNotFound: true}
	tryAgain := &net.DNSError{Err: "server misbehaving", Name: "x", IsTemporary: true}
	dnsSlow := &net.DNSError{Err: "i/o timeout", Name: "x", IsTimeout: true}
	for _, c := range []struct {
		name string
		in   error
		code SocketErrorCode
		is   error
		text string
	}{
		{"errno", reset, CodeConnectionReset, reset, callRead + ": " + reset.Error()},
		{"SyscallError", os.NewSyscallError("recvmsg", reset), CodeConnectionReset, reset, "recvmsg: " + reset.Error()},
		{"OpError", inOp(os.NewSyscallError("splice", reset)), CodeConnectionReset, reset, "splice: " + reset.Error()},
		{"errno wrapped", wrapped, CodeConnectionReset, reset, wrapped.Error()},
		{"deadline", os.ErrDeadlineExceeded, CodeTimedOut, os.ErrDeadlineExceeded, "i/o timeout"},
		{"deadline in OpError", inOp(os.ErrDeadlineExceeded), CodeTimedOut, os.ErrDeadlineExceeded, "i/o timeout"},
		{"foreign timeout", foreignTimeout{}, CodeTimedOut, foreignTimeout{}, "slow"},
		{"net.ErrClosed", inOp(net.ErrClosed), CodeOperationAborted, net.ErrClosed, net.ErrClosed.Error()},
		{"closed pipe", io.ErrClosedPipe, CodeOperationAborted, io.ErrClosedPipe, io.ErrClosedPipe.Error()},
		{"canceled", context.Canceled, CodeOperationAborted, context.Canceled, "context canceled"},
		{"ctx deadline", context.DeadlineExceeded, CodeTimedOut, context.DeadlineExceeded, "context deadline exceeded"},
		{"no host", inOp(noHost), CodeHostNotFound, noHost, noHost.Error()},
		{"try again", tryAgain, CodeTryAgain, tryAgain, tryAgain.Error()},
		{"DNS timeout", dnsSlow, CodeTryAgain, dnsSlow, dnsSlow.Error()},
		{"other", io.ErrNoProgress, CodeSocketError, io.ErrNoProgress, io.ErrNoProgress.Error()},
	} {
		got := classify(callRead, c.in)
		var se *SocketError
		if !errors.As(got, &se) || se.Code != c.code {
			t.Errorf("%s: %v, want code %s", c.name, got, c.code.String())
			continue
		}
		if !errors.Is(got, c.is) || !errors.Is(got, c.code) || got.Error() != c.text {
			t.Errorf("%s: text %q, want %q; Is(%v) %v", c.name, got, c.text, c.is, errors.Is(got, c.is))
		}
	}
}

func TestClassifyLeavesAlone(t *testing.T) {
	inner := &IOError{Err: disposedError("Socket", nil)} // of a stream below: who failed where is said once
	if got := classify(callRead, opError("read", nil, nil, inner)); got != inner {
		t.Errorf("classify of a stream's error: %#v", got)
	}
	for _, err := range []error{nil, io.EOF, deadlineError(), ErrQueueFull, inner} {
		if got := classify(callRead, err); got != err {
			t.Errorf("classify(%v) = %v", err, got)
		}
		if got := classify(callRead, &net.OpError{Op: "read", Err: foreignTimeout{}}).(net.Error); !got.Timeout() || got.Temporary() { //nolint:staticcheck // Temporary is what is tested
			t.Error("the cause's own word on Timeout and Temporary is lost")
		}
	}
}

// What the real resolver and dialer answer, not only what tests make up.
func TestClassifyRealDial(t *testing.T) {
	ctx, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancel()
	_, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:1")
	got := classify(callRead, err)
	if !errors.Is(got, CodeTimedOut) || !errors.Is(got, context.DeadlineExceeded) {
		t.Errorf("dial after the deadline: %v", got)
	}
	ctx, cancel = context.WithCancel(context.Background())
	cancel()
	_, err = (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:1")
	got = classify(callRead, err)
	if !errors.Is(got, CodeOperationAborted) || !errors.Is(got, context.Canceled) {
		t.Errorf("dial with a cancelled context: %v", got)
	}
}

func TestOpError(t *testing.T) {
	local := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4000}
	remote := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5000}
	if opError("write", local, remote, nil) != nil || opError("read", local, remote, io.EOF) != io.EOF {
		t.Error("nil or io.EOF was wrapped")
	}
	inner := &IOError{Err: errnoError(callRead, syscall.ECONNRESET)}
	for op, want := range map[string]string{
		"write":  "write tcp 127.0.0.1:4000->127.0.0.1:5000: ",
		"read":   "read tcp 127.0.0.1:4000->127.0.0.1:5000: ",
		"set":    "set tcp 127.0.0.1:4000: ",
		"accept": "accept tcp 127.0.0.1:4000: ",
	} {
		if got := opError(op, local, remote, inner).Error(); got != want+inner.Error() {
			t.Errorf("%s: %q", op, got)
		}
	}
	if got := opError("dial", nil, remote, inner).Error(); !strings.HasPrefix(got, "dial tcp 127.0.0.1:5000: ") {
		t.Error(got)
	}
	if got := opError("close", nil, nil, inner).Error(); !strings.HasPrefix(got, "close: ") {
		t.Error(got)
	}
	once := opError("write", local, remote, inner)
	if opError("read", remote, local, once) != once {
		t.Error("wrapped twice")
	}
}

// The outermost type is what net/http and crypto/tls assert on.
func TestOpErrorChain(t *testing.T) {
	err := opError("read", nil, nil, &IOError{N: 5, Err: deadlineError()})
	ne, ok := err.(net.Error)
	if !ok || !ne.Timeout() || !ne.Temporary() { //nolint:staticcheck // what crypto/tls asks
		t.Fatalf("%v: no temporary timeout", err)
	}
	var ioe *IOError
	if !errors.As(err, &ioe) || ioe.N != 5 || !errors.Is(err, os.ErrDeadlineExceeded) || !errors.Is(err, CodeTimedOut) {
		t.Errorf("chain of %v", err)
	}
	if !errors.Is(opError("write", nil, nil, &IOError{Err: shutdownError()}), CodeShutdown) {
		t.Error("no Shutdown in the chain")
	}
}
