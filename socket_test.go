package netstream_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// resetConn is a connection whose peer has reset it: writes say so, reads see an end.
type resetConn struct{ net.Conn }

func (resetConn) Read([]byte) (int, error)  { return 0, io.EOF }
func (resetConn) Write([]byte) (int, error) { return 0, syscall.ECONNRESET }

// What could not be shut down is not shut down: the stream stays connected, and a reset is still no clean end.
func TestShutdownReceiveUnsupportedChangesNothing(t *testing.T) {
	for _, how := range []netstream.ShutdownHow{netstream.ShutdownReceive, netstream.ShutdownBoth} {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		s := kit.MustNew(t, resetConn{ours}, nil)
		defer s.Close()
		if err := s.Socket().Shutdown(how); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Shutdown(%d): %v", how, err)
		}
		if !s.Socket().Connected() {
			t.Errorf("not connected any more after Shutdown(%d), which did nothing", how)
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, netstream.CodeConnectionReset) {
			t.Error("Write:", err)
		}
		if n, err := s.Read(make([]byte, 1)); n != 0 || !errors.Is(err, netstream.CodeConnectionReset) {
			t.Errorf("Read after a reset: %d, %v", n, err)
		}
	}
}
