package netstream_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// The contract tests hold this library to the catalogue of NetworkStream's behaviour in docs/contract.md, row by
// row: "R41" in a name is row 41. Where the library differs on purpose, the test holds the difference.

// rowCheck fails the test when err is not the error that a row asks for.
type rowCheck func(t testing.TB, err error)

// bareAs returns err as an E when E is its outermost type: nothing is wrapped around it.
func bareAs[E error](err error) (E, bool) {
	e, ok := any(err).(E)
	return e, ok
}

func rowOK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%T %v, want no error", err, err)
	}
}

// rowNull wants a bare ArgumentNullError.
func rowNull(param string) rowCheck {
	return func(t testing.TB, err error) {
		t.Helper()
		e, ok := bareAs[*netstream.ArgumentNullError](err)
		if !ok || e.ParamName != param {
			t.Errorf("%T %v, want a bare ArgumentNullError for %s", err, err, param)
		}
	}
}

// rowRange wants a bare ArgumentOutOfRangeError.
func rowRange(param string, actual any) rowCheck {
	return func(t testing.TB, err error) {
		t.Helper()
		e, ok := bareAs[*netstream.ArgumentOutOfRangeError](err)
		if !ok || e.ParamName != param || e.ActualValue != actual {
			t.Errorf("%T %v, want a bare ArgumentOutOfRangeError for %s = %v", err, err, param, actual)
		}
	}
}

// rowInvalid wants a bare InvalidOperationError, which is not "closed".
func rowInvalid(t testing.TB, err error) {
	t.Helper()
	if _, ok := bareAs[*netstream.InvalidOperationError](err); !ok {
		t.Errorf("%T %v, want a bare InvalidOperationError", err, err)
	}
}

// rowDisposed wants a bare ObjectDisposedError of the stream.
func rowDisposed(t testing.TB, err error) {
	t.Helper()
	e, ok := bareAs[*netstream.ObjectDisposedError](err)
	if !ok || e.ObjectName != "System.Net.Sockets.NetworkStream" {
		t.Errorf("%T %v, want a bare ObjectDisposedError of the stream", err, err)
	}
}

// rowIO wants a net.OpError directly around an IOError and returns that; nil if there is none.
func rowIO(t testing.TB, err error) *netstream.IOError {
	t.Helper()
	op, ok := bareAs[*net.OpError](err)
	if !ok {
		t.Errorf("%T %v, want a *net.OpError", err, err)
		return nil
	}
	e, ok := bareAs[*netstream.IOError](op.Err)
	if !ok {
		t.Errorf("%T %v, want an *IOError below the *net.OpError", op.Err, err)
		return nil
	}
	return e
}

// rowCode wants an I/O failure with that code.
func rowCode(code netstream.SocketErrorCode) rowCheck {
	return func(t testing.TB, err error) {
		t.Helper()
		if rowIO(t, err) == nil {
			return
		}
		var e *netstream.SocketError
		if !errors.As(err, &e) || e.Code != code || e.ErrorCode() != int(code) || !errors.Is(err, code) {
			t.Errorf("%v (code %v), want %s %d", err, e, code.String(), int(code))
		}
	}
}

// rowAborted wants an I/O failure because that object was closed here.
func rowAborted(object string) rowCheck {
	return func(t testing.TB, err error) {
		t.Helper()
		rowCode(netstream.CodeOperationAborted)(t, err)
		var e *netstream.ObjectDisposedError
		if !errors.As(err, &e) || e.ObjectName != "System.Net.Sockets."+object || !errors.Is(err, net.ErrClosed) {
			t.Errorf("%v, want an ObjectDisposedError of the %s", err, object)
		}
	}
}

// rowWithin wants an IOError with a bare E directly in it.
func rowWithin[E error](t testing.TB, err error) {
	t.Helper()
	var outer *netstream.IOError
	if !errors.As(err, &outer) {
		t.Errorf("%T %v, want an *IOError", err, err)
		return
	}
	if _, ok := bareAs[E](outer.Err); !ok {
		t.Errorf("%T %v in the IOError, want %T", outer.Err, err, *new(E))
	}
}

// rowForeign wants what End says of a result that is not its own.
func rowForeign(t testing.TB, err error) {
	t.Helper()
	rowWithin[*netstream.ArgumentError](t, err)
	var e *netstream.ArgumentError
	if !errors.As(err, &e) || e.ParamName != "asyncResult" {
		t.Errorf("%v, want it to be about asyncResult", err)
	}
}

// rowTwice wants what a second End says.
func rowTwice(t testing.TB, err error) {
	t.Helper()
	rowWithin[*netstream.InvalidOperationError](t, err)
}

// noCallback is for a Begin that must fail.
func noCallback(t testing.TB) netstream.AsyncCallback {
	return func(netstream.AsyncResult) { t.Error("the callback ran although Begin had failed") }
}

// rowBytes is more than any connection takes when nobody reads.
var rowBytes = make([]byte, 8<<20)

// rowStuck begins a write that cannot finish because nobody reads.
func rowStuck(t testing.TB, s *netstream.NetworkStream, callback netstream.AsyncCallback) netstream.AsyncResult {
	t.Helper()
	if err := s.Socket().SetWriteBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	ar, err := s.BeginWrite(rowBytes, 0, len(rowBytes), callback, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

// rowBegin begins a write.
func rowBegin(t testing.TB, s *netstream.NetworkStream, text string) netstream.AsyncResult {
	t.Helper()
	ar, err := s.BeginWrite([]byte(text), 0, len(text), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

// rowBeginRead begins a read into a buffer of its own.
func rowBeginRead(t testing.TB, s *netstream.NetworkStream, size int) (netstream.AsyncResult, []byte) {
	t.Helper()
	p := make([]byte, size)
	ar, err := s.BeginRead(p, 0, size, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar, p
}

// rowWrite sends text from w.
func rowWrite(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// rowExpect reads text from r.
func rowExpect(t testing.TB, r io.Reader, text string) {
	t.Helper()
	p := make([]byte, len(text))
	if _, err := io.ReadFull(r, p); err != nil || string(p) != text {
		t.Fatalf("read %q, %v, want %q", p, err, text)
	}
}

// rowReset makes conn, the peer, reset its connection.
func rowReset(t testing.TB, conn net.Conn) {
	t.Helper()
	if err := conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

// rowCloseBy closes s and fails the test when that takes long.
func rowCloseBy(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	d := awake(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if d > time.Second { // a connection that was closed lingers for two, and Close must not wait for that
		t.Errorf("Close took %v", d)
	}
}

// Section 1: the model behind all rows.
func TestContractErrors(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		t.Run("R1 checks are returned by the call", func(t *testing.T) {
			s, _ := c.pair(t, nil, nil)
			s.Close()
			ar, err := s.BeginWrite([]byte("x"), 0, 1, noCallback(t), nil)
			rowDisposed(t, err)
			if !ar.IsZero() {
				t.Error("a Begin that failed has a result")
			}
			_, err = s.WriteContext(context.Background(), []byte("x"))
			rowAborted("NetworkStream")(t, err) // a call of net.Conn wraps it: see docs/contract.md
		})
		t.Run("R2 failures below are IOErrors", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			ar, _ := rowBeginRead(t, s, 1)
			s.Socket().Close()
			_, err := s.EndRead(ar)
			rowAborted("Socket")(t, err)
			_, err = s.Write([]byte("x"))
			rowAborted("Socket")(t, err)
			peer.Close()
		})
		t.Run("R3 text", func(t *testing.T) {
			s, _ := c.pair(t, nil, nil)
			rowOK(t, s.CloseWrite())
			err := s.EndWrite(rowBegin(t, s, "x"))
			network := s.LocalAddr().Network()
			if text := err.Error(); !strings.HasPrefix(text, "write "+network+" ") || !strings.HasSuffix(text, ": "+syscall.EPIPE.Error()) {
				t.Errorf("%q is not in the style of package net", text)
			}
		})
		t.Run("R7 a failure does not close the stream", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			rowOK(t, s.CloseWrite())
			for range 3 {
				rowCode(netstream.CodeShutdown)(t, s.EndWrite(rowBegin(t, s, "x")))
			}
			if !s.CanRead() || !s.CanWrite() || s.Err() != nil {
				t.Error("a failed write has closed the stream")
			}
			rowWrite(t, peer, "still")
			rowExpect(t, s, "still")
		})
	})
}

// Row 4: the number on Linux is Winsock's, as the page says; the errno is beside it.
func TestContractErrorNumbers(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		s, peer := c.withPeer(t, nil)
		ar, _ := rowBeginRead(t, s, 1)
		rowReset(t, peer)
		_, err := s.EndRead(ar)
		rowCode(netstream.CodeConnectionReset)(t, err)
		var e *netstream.SocketError
		if errors.As(err, &e); e == nil || e.ErrorCode() != 10054 || !errors.Is(e.Errno, syscall.ECONNRESET) {
			t.Errorf("%v: not 10054 with ECONNRESET", err)
		}
		if !errors.Is(err, syscall.ECONNRESET) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v is not ECONNRESET alone", err)
		}
	})
}
