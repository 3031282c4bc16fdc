package netstream_test

import (
	"errors"
	"net"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// connKind is a connCase, or a connection that the library knows nothing about but net.Conn's methods.
type connKind struct {
	connCase
	foreign bool
}

// eachKind is eachConn and a foreign connection besides: nothing can be tried on that without blocking, so every
// begun operation takes the way over a goroutine.
func eachKind(t *testing.T, f func(t *testing.T, c connKind)) {
	t.Helper()
	eachConn(t, func(t *testing.T, c connCase) { f(t, connKind{c, false}) })
	foreign := connCase{"foreign", netstream.EnginePortable, "tcp"}
	if foreign.usable() {
		t.Run(foreign.name, func(t *testing.T) { f(t, connKind{foreign, true}) })
	}
}

// foreignConn hides from the library that it is a TCP connection.
type foreignConn struct{ *net.TCPConn }

func (c connKind) pair(t testing.TB, cfgA, cfgB *netstream.Config) (a, b *netstream.NetworkStream) {
	t.Helper()
	if !c.foreign {
		return c.connCase.pair(t, cfgA, cfgB)
	}
	ca, cb := c.netPair(t)
	a = mustNew(t, foreignConn{ca.(*net.TCPConn)}, c.config(cfgA))
	b = mustNew(t, foreignConn{cb.(*net.TCPConn)}, c.config(cfgB))
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// ended returns the End for results of that direction, without the count of a read.
func ended(s *netstream.NetworkStream, read bool) func(netstream.AsyncResult) error {
	if read {
		return func(ar netstream.AsyncResult) error { _, err := s.EndRead(ar); return err }
	}
	return s.EndWrite
}

// mustBegin begins to write p with that callback.
func mustBegin(t testing.TB, s *netstream.NetworkStream, p []byte, callback netstream.AsyncCallback) netstream.AsyncResult {
	t.Helper()
	ar, err := s.BeginWrite(p, 0, len(p), callback, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

// mustBeginRead begins to read into p with that callback.
func mustBeginRead(t testing.TB, s *netstream.NetworkStream, p []byte, callback netstream.AsyncCallback) netstream.AsyncResult {
	t.Helper()
	ar, err := s.BeginRead(p, 0, len(p), callback, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

// neverCalled is a callback that fails the test.
func neverCalled(t testing.TB) netstream.AsyncCallback {
	return func(netstream.AsyncResult) { t.Error("a callback has run that must not") }
}

// closeAndWait closes s and waits until every callback has returned.
func closeAndWait(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	s.Close()
	within(t, "Done after Close", s.Done())
}

// endedAlready reports whether err says that End had been called before. An ObjectDisposedError is an
// InvalidOperationError too, as in .NET, but here it is the outcome of what Close aborted.
func endedAlready(err error) bool {
	var twice *netstream.InvalidOperationError
	var disposed *netstream.ObjectDisposedError
	return errors.As(err, &twice) && !errors.As(err, &disposed)
}

// wantEndedAlready checks the error of a second End: *net.OpError, *IOError, *InvalidOperationError.
func wantEndedAlready(t testing.TB, what string, err error) {
	t.Helper()
	failure := ioFailure(t, err)
	if _, ok := failure.Err.(*netstream.InvalidOperationError); !ok {
		t.Fatalf("%s: %v, want an InvalidOperationError", what, err)
	}
}

// wantForeign checks the error of an End that a result does not belong to: *net.OpError, *IOError, *ArgumentError.
func wantForeign(t testing.TB, what string, err error) {
	t.Helper()
	var argument *netstream.ArgumentError
	if failure := ioFailure(t, err); !errors.As(failure.Err, &argument) || argument.ParamName != "asyncResult" {
		t.Fatalf("%s: %v, want an ArgumentError of asyncResult", what, err)
	}
}
