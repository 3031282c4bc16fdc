package netstream

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
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
