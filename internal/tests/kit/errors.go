package kit

import (
	"errors"
	"io"
	"net"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// EndedAlready reports whether err says that End had been called before. An ObjectDisposedError is an
// InvalidOperationError too, as in .NET, but here it is the outcome of what Close aborted.
func EndedAlready(err error) bool {
	var twice *netstream.InvalidOperationError
	var disposed *netstream.ObjectDisposedError
	return errors.As(err, &twice) && !errors.As(err, &disposed)
}

// WantEndedAlready checks the error of a second End: *net.OpError, *IOError, *InvalidOperationError.
func WantEndedAlready(t testing.TB, what string, err error) {
	t.Helper()
	failure := IOFailure(t, err)
	if _, ok := failure.Err.(*netstream.InvalidOperationError); !ok {
		t.Fatalf("%s: %v, want an InvalidOperationError", what, err)
	}
}

// WantForeign checks the error of an End that a result does not belong to: *net.OpError, *IOError, *ArgumentError.
func WantForeign(t testing.TB, what string, err error) {
	t.Helper()
	var argument *netstream.ArgumentError
	if failure := IOFailure(t, err); !errors.As(failure.Err, &argument) || argument.ParamName != "asyncResult" {
		t.Fatalf("%s: %v, want an ArgumentError of asyncResult", what, err)
	}
}

// Check fails the test when err is not what it wants.
type Check func(t testing.TB, err error)

// BareAs returns err as an E when E is its outermost type: nothing is wrapped around it.
func BareAs[E error](err error) (E, bool) {
	e, ok := any(err).(E)
	return e, ok
}

// NullArgument wants a bare ArgumentNullError.
func NullArgument(param string) Check {
	return func(t testing.TB, err error) {
		t.Helper()
		e, ok := BareAs[*netstream.ArgumentNullError](err)
		if !ok || e.ParamName != param {
			t.Errorf("%T %v, want a bare ArgumentNullError for %s", err, err, param)
		}
	}
}

// OutOfRange wants a bare ArgumentOutOfRangeError.
func OutOfRange(param string, actual any) Check {
	return func(t testing.TB, err error) {
		t.Helper()
		e, ok := BareAs[*netstream.ArgumentOutOfRangeError](err)
		if !ok || e.ParamName != param || e.ActualValue != actual {
			t.Errorf("%T %v, want a bare ArgumentOutOfRangeError for %s = %v", err, err, param, actual)
		}
	}
}

// InvalidOperation wants a bare InvalidOperationError, which is not "closed".
func InvalidOperation(t testing.TB, err error) {
	t.Helper()
	if _, ok := BareAs[*netstream.InvalidOperationError](err); !ok {
		t.Errorf("%T %v, want a bare InvalidOperationError", err, err)
	}
}

// DisposedStream wants a bare ObjectDisposedError of the stream.
func DisposedStream(t testing.TB, err error) {
	t.Helper()
	e, ok := BareAs[*netstream.ObjectDisposedError](err)
	if !ok || e.ObjectName != "System.Net.Sockets.NetworkStream" {
		t.Errorf("%T %v, want a bare ObjectDisposedError of the stream", err, err)
	}
}

// IOErrorIn wants a net.OpError directly around an IOError and returns that; nil if there is none.
func IOErrorIn(t testing.TB, err error) *netstream.IOError {
	t.Helper()
	op, ok := BareAs[*net.OpError](err)
	if !ok {
		t.Errorf("%T %v, want a *net.OpError", err, err)
		return nil
	}
	e, ok := BareAs[*netstream.IOError](op.Err)
	if !ok {
		t.Errorf("%T %v, want an *IOError below the *net.OpError", op.Err, err)
		return nil
	}
	return e
}

// Code wants an I/O failure with that code.
func Code(code netstream.SocketErrorCode) Check {
	return func(t testing.TB, err error) {
		t.Helper()
		if IOErrorIn(t, err) == nil {
			return
		}
		var e *netstream.SocketError
		if !errors.As(err, &e) || e.Code != code || e.ErrorCode() != int(code) || !errors.Is(err, code) {
			t.Errorf("%v (code %v), want %s %d", err, e, code.String(), int(code))
		}
	}
}

// Aborted wants an I/O failure because that object was closed here.
func Aborted(object string) Check {
	return func(t testing.TB, err error) {
		t.Helper()
		Code(netstream.CodeOperationAborted)(t, err)
		var e *netstream.ObjectDisposedError
		if !errors.As(err, &e) || e.ObjectName != "System.Net.Sockets."+object || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want an ObjectDisposedError of the %s", err, object)
		}
	}
}

// Must wants no error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantTornNow checks that every kind of write on a torn stream fails with Torn and sends nothing. After a resumable tear a
// blocking Write may go on, and is not tried; what TLS holds of the one that was cut is still going out, so that nothing
// else follows shows only at the peer.
func WantTornNow(t *testing.T, a *netstream.NetworkStream, cause error, resumable bool) {
	t.Helper()
	before := a.Stats().BytesWritten
	p := []byte("after")
	_, err := a.BeginWrite(p, 0, len(p), func(netstream.AsyncResult) { t.Error("the callback of a refused Begin ran") }, nil)
	WantFailure(t, "BeginWrite on a torn stream", err, 0, true, cause)
	_, err = a.BeginWritev([][]byte{p}, nil, nil)
	WantFailure(t, "BeginWritev on a torn stream", err, 0, true, cause)
	n, err := a.WriteContext(CtxNever, p)
	WantFailure(t, "WriteContext on a torn stream", err, 0, true, cause)
	if n != 0 {
		t.Fatalf("WriteContext on a torn stream: n=%d", n)
	}
	if !resumable {
		n, err = a.Write(p)
		WantFailure(t, "Write on a torn stream", err, 0, true, cause)
		if n != 0 {
			t.Fatalf("Write on a torn stream: n=%d", n)
		}
	}
	if after := a.Stats().BytesWritten; after != before && !resumable {
		t.Fatalf("%d bytes followed a torn message", after-before)
	}
}

// OrEOF turns io.ReadAll's nil back into the io.EOF it stands for.
func OrEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// WantRefused checks that Begin fails with ErrQueueFull, lends nothing and runs no callback.
func WantRefused(t testing.TB, s *netstream.NetworkStream, size int) {
	t.Helper()
	writes, bytes := s.Pending()
	p := make([]byte, size)
	ar, err := s.BeginWrite(p, 0, size, func(netstream.AsyncResult) { t.Error("the callback of a refused Begin ran") }, nil)
	WantQueueFull(t, err)
	if !ar.IsZero() {
		t.Fatal("a refused Begin returned a result")
	}
	_, err = s.BeginWritev([][]byte{p[:size/2], p[size/2:]}, nil, nil)
	WantQueueFull(t, err)
	WantPending(t, s, writes, bytes)
}

// WantQueueFull checks that err is a bare ErrQueueFull.
func WantQueueFull(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, netstream.ErrQueueFull) {
		t.Fatalf("Begin on a full queue: %v, want ErrQueueFull", err)
	}
	var se *netstream.SocketError
	if !errors.As(err, &se) || se.ErrorCode() != 10055 {
		t.Fatalf("Begin on a full queue: %v (%+v), want 10055 in the chain", err, se)
	}
}

// IOFailure checks the outer layers of an I/O failure, *net.OpError around *IOError, and returns the latter.
func IOFailure(t testing.TB, err error) *netstream.IOError {
	t.Helper()
	op, ok := err.(*net.OpError)
	if !ok {
		t.Fatalf("outermost is %T (%v), want *net.OpError", err, err)
	}
	failure, ok := op.Err.(*netstream.IOError)
	if !ok {
		t.Fatalf("below *net.OpError is %T (%v), want *IOError", op.Err, err)
	}
	return failure
}

// WantFailure checks that err is an I/O failure after n bytes, torn or not, that matches all targets.
func WantFailure(t testing.TB, what string, err error, n int64, torn bool, targets ...error) {
	t.Helper()
	failure := IOFailure(t, err)
	if failure.N != n || failure.Torn != torn {
		t.Fatalf("%s: N=%d Torn=%t, want N=%d Torn=%t: %v", what, failure.N, failure.Torn, n, torn, err)
	}
	WantIs(t, what, err, targets...)
}

// WantIs checks that err matches all targets and holds a *SocketError.
func WantIs(t testing.TB, what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Fatalf("%s: %v does not match %v", what, err, target)
		}
	}
	var se *netstream.SocketError
	if !errors.As(err, &se) {
		t.Fatalf("%s: no *SocketError in %v", what, err)
	}
}

// WantAborted checks the chain of what Close, or Socket().Close, ended: the object's name, 995, net.ErrClosed.
func WantAborted(t testing.TB, what string, err error, object string) {
	t.Helper()
	var disposed *netstream.ObjectDisposedError
	if !errors.As(err, &disposed) || disposed.ObjectName != "System.Net.Sockets."+object {
		t.Fatalf("%s: %v (%#v), want an ObjectDisposedError of %s", what, err, disposed, object)
	}
	WantIs(t, what, err, net.ErrClosed, netstream.CodeOperationAborted)
	var se *netstream.SocketError
	if errors.As(err, &se); se.ErrorCode() != 995 {
		t.Fatalf("%s: ErrorCode %d, want 995", what, se.ErrorCode())
	}
}

// WantEndAfterCut checks what a peer sees behind the bytes of a connection that was cut: never a clean end where the
// connection can be reset. A Unix socket cannot (promise 16).
func WantEndAfterCut(t testing.TB, c ConnCase, err error) {
	t.Helper()
	if c.Network == "unix" {
		if err != nil && err != io.EOF {
			t.Fatalf("peer of a cut Unix socket: %v, want the end", err)
		}
		return
	}
	WantIs(t, "peer of a cut connection", err, netstream.CodeConnectionReset)
}
