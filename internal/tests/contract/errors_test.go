package contract_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// The contract tests hold this library to the catalogue of NetworkStream's behaviour in docs/contract.md, row by
// row: "R41" in a name is row 41. Where the library differs on purpose, the test holds the difference.

// rowOK wants no error.
func rowOK(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Errorf("%T %v, want no error", err, err)
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
	if _, ok := kit.BareAs[E](outer.Err); !ok {
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

// Section 1: the model behind all rows.
func TestContractErrors(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R1 checks are returned by the call", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			s.Close()
			ar, err := s.BeginWrite([]byte("x"), 0, 1, kit.NeverCalled(t), nil)
			kit.DisposedStream(t, err)
			if !ar.IsZero() {
				t.Error("a Begin that failed has a result")
			}
			_, err = s.WriteContext(context.Background(), []byte("x"))
			kit.Aborted("NetworkStream")(t, err) // a call of net.Conn wraps it: see docs/contract.md
		})
		t.Run("R2 failures below are IOErrors", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			ar, _ := kit.StartRead(t, s, 1)
			s.Socket().Close()
			_, err := s.EndRead(ar)
			kit.Aborted("Socket")(t, err)
			_, err = s.Write([]byte("x"))
			kit.Aborted("Socket")(t, err)
			peer.Close()
		})
		t.Run("R3 text", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			rowOK(t, s.CloseWrite())
			err := s.EndWrite(kit.StartWrite(t, s, "x"))
			network := s.LocalAddr().Network()
			if text := err.Error(); !strings.HasPrefix(text, "write "+network+" ") || !strings.HasSuffix(text, ": "+kit.BrokenPipe.Error()) {
				t.Errorf("%q is not in the style of package net", text)
			}
		})
		t.Run("R7 a failure does not close the stream", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			rowOK(t, s.CloseWrite())
			for range 3 {
				kit.Code(netstream.CodeShutdown)(t, s.EndWrite(kit.StartWrite(t, s, "x")))
			}
			if !s.CanRead() || !s.CanWrite() || s.Err() != nil {
				t.Error("a failed write has closed the stream")
			}
			kit.WriteText(t, peer, "still")
			kit.ReadText(t, s, "still")
		})
	})
}

// Row 4: the number on Linux is Winsock's, as the page says; the errno is beside it.
func TestContractErrorNumbers(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		ar, _ := kit.StartRead(t, s, 1)
		kit.ResetPeer(t, peer)
		_, err := s.EndRead(ar)
		kit.Code(netstream.CodeConnectionReset)(t, err)
		var e *netstream.SocketError
		if errors.As(err, &e); e == nil || e.ErrorCode() != 10054 || !errors.Is(e.Errno, kit.Reset) {
			t.Errorf("%v: not 10054 with ECONNRESET", err)
		}
		if !errors.Is(err, kit.Reset) || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%v is not ECONNRESET alone", err)
		}
	})
}
