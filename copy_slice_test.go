package netstream

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// cutShort lets some raw calls through and interrupts the next before it has called anybody, as a cancel does.
type cutShort struct {
	engine.Connection
	calls int
}

func (t *cutShort) RawCall(_ engine.Direction, _ uint32, f func(fd uintptr) bool) error {
	if t.calls--; t.calls < 0 {
		return engine.ErrInterrupted
	}
	f(0)
	return nil
}

// A slice that is interrupted between two calls counts what went out, and nothing twice.
func TestCopy_AnInterruptedSliceCountsWhatWentOut(t *testing.T) {
	for calls := range 3 {
		var out int64
		n, err := moveAll(&cutShort{calls: calls}, 0, 1000, "write", func(int, int64) (int, syscall.Errno) {
			out += 100
			return 100, 0
		})
		if n != out || err != engine.ErrInterrupted {
			t.Errorf("interrupted before call %d: %d, %v; %d went out", calls+1, n, err, out)
		}
	}
}

// A connection that its owner has closed takes nothing, and nothing is counted.
func TestCopy_NothingIsCountedThatWasNotSent(t *testing.T) {
	client, server, err := dialTCPPair()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	s, err := New(client, &Config{Engine: EnginePortable})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	name := filepath.Join(os.TempDir(), fmt.Sprintf("netstream-%d", os.Getpid())) // t.TempDir cannot be removed under Wine 8
	defer os.Remove(name)
	if err := os.WriteFile(name, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	client.Close()
	if n, err := s.ReadFrom(f); n != 0 || err == nil || s.Stats().BytesWritten != 0 {
		t.Errorf("ReadFrom: %d, %v; BytesWritten %d", n, err, s.Stats().BytesWritten)
	}
}

// askingError asks the stream something whenever it is asked what it is.
type askingError struct{ s *NetworkStream }

func (e askingError) Error() string { return "asking" }
func (e askingError) Is(error) bool { e.s.Pending(); return false }
func (e askingError) Unwrap() error { e.s.Pending(); return nil }

type askingConn struct {
	net.Conn
	err *error
}

func (c askingConn) Write([]byte) (int, error) { return 0, *c.err }
func (c askingConn) Read([]byte) (int, error)  { return 0, *c.err }

// No method of a foreign error is called under a lock.
func TestForeignErrorsMayCallTheStream(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	var failure error
	s, err := New(askingConn{ours, &failure}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	failure = askingError{s}
	for _, call := range []func() error{
		func() error { _, err := s.Read(make([]byte, 1)); return err },
		func() error { _, err := s.Write([]byte("x")); return err },
		func() error {
			ar, err := s.BeginRead(make([]byte, 1), 0, 1, nil, nil)
			if err == nil {
				_, err = s.EndRead(ar)
			}
			return err
		},
		func() error {
			ar, err := s.BeginWrite([]byte("x"), 0, 1, nil, nil)
			if err == nil {
				err = s.EndWrite(ar)
			}
			return err
		},
	} {
		if err := call(); err == nil {
			t.Error("no error")
		}
	}
}
