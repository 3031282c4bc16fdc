package netstream

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
)

// wrappingError is a foreign error around one of ours, and asks the stream something whenever it is asked what it is.
type wrappingError struct {
	s     *NetworkStream
	below error
}

func (e wrappingError) Error() string   { return "wrapping: " + e.below.Error() }
func (e wrappingError) Is(error) bool   { e.s.Pending(); return false }
func (e wrappingError) As(any) bool     { e.s.Pending(); return false }
func (e wrappingError) Unwrap() error   { e.s.Pending(); return e.below }
func (e wrappingError) Timeout() bool   { e.s.Pending(); return false }
func (e wrappingError) Temporary() bool { e.s.Pending(); return false }

// Neither does a foreign error with a SocketError of ours below run under a lock, and what lies below is understood: over
// TLS on a stream of ours, that is how the reset of the stream below looks.
func TestForeignErrorsAroundASocketErrorMayCallTheStream(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	var failure error
	s, err := New(askingConn{ours, &failure}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	failure = wrappingError{s, errnoError(callRead, syscall.ECONNRESET)}
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("no error of Read")
	}
	if _, err := s.Write([]byte("x")); err == nil {
		t.Error("no error of Write")
	}
	if s.Socket().Connected() {
		t.Error("connected after a reset")
	}
}

// A Write that fails with io.EOF, which is no failure of a Read, has failed.
func TestForeignWriteMayFailWithEOF(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	failure := io.EOF
	s, err := New(askingConn{ours, &failure}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n, err := s.Write([]byte("x")); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("Write: %d, %v", n, err)
	}
	ar, err := s.BeginWrite([]byte("x"), 0, 1, nil, nil)
	if err == nil {
		err = s.EndWrite(ar)
	}
	if !errors.Is(err, io.EOF) {
		t.Errorf("EndWrite: %v", err)
	}
	if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("Read: %d, %v", n, err)
	}
}

// No foreign error runs under the engine's lock either. One that ends an interrupted call is asked there whether it is that of
// the deadline.
func TestForeignErrorsOfAnInterruptedCallMayCallTheStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		var failure error
		s, err := New(lateConn{askingConn{ours, &failure}}, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		failure = lateError{askingError{s}}
		ar, err := s.BeginRead(make([]byte, 1), 0, 1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !s.Cancel(ar) {
			t.Error("Cancel says false")
		}
		if _, err := s.EndRead(ar); !errors.Is(err, CodeOperationAborted) {
			t.Errorf("the read: %v", err)
		}
	})
}

// lateConn's Read waits for its deadline.
type lateConn struct{ askingConn }

func (c lateConn) Read(p []byte) (int, error) {
	_, err := c.Conn.Read(p)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = *c.err
	}
	return 0, err
}

// lateError is a deadline's. It looks for input, which asks the engine.
type lateError struct{ askingError }

func (e lateError) Timeout() bool { _, err := e.s.DataAvailable(); return err == nil }

// listError cannot be compared: an == of two of them panics.
type listError []string

func (e listError) Error() string { return e[0] }

// An error may be of any type.
func TestForeignErrorsThatCannotBeCompared(t *testing.T) {
	for name, failure := range map[string]error{
		"bare":    listError{"out of order"},
		"wrapped": &net.OpError{Op: "read", Err: listError{"out of order"}},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			s, err := New(askingConn{ours, &failure}, nil)
			if err != nil {
				t.Fatal(err)
			}
			_, rerr := s.Read(make([]byte, 1))
			_, werr := s.Write(make([]byte, 1))
			_ = s.CloseWithError(listError{"the end"})
			var list listError
			for what, err := range map[string]error{"Read": rerr, "Write": werr} {
				if !errors.As(err, &list) || list[0] != "out of order" {
					t.Errorf("%s: %v", what, err)
				}
			}
			if !errors.As(s.Err(), &list) || list[0] != "the end" {
				t.Errorf("Err: %v", s.Err())
			}
		})
	}
}
