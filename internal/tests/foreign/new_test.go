package foreign_test

import (
	"net"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What New asks of a connection is foreign code as well.

// A connection that panics under New has no place in the group.
func TestForeignNewThatPanicsTakesNoPlace(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	cfg := &netstream.Config{Group: &netstream.Group{MaxStreams: 1}}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic is not New's caller's")
			}
		}()
		netstream.New(&noDeadlines{ours}, cfg)
	}()
	go kit.SendPing(theirs)
	s := kit.MustNew(t, ours, cfg) // it is untouched, and there is room
	defer s.Close()
	kit.Must(t, kit.ReadPing(s.Read))
}

type noDeadlines struct{ net.Conn }

func (*noDeadlines) SetDeadline(time.Time) error { panic("no deadlines here") }

// An address that is a nil pointer is none: nothing is asked of it.
func TestForeignNilAddresses(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	s := kit.MustNew(t, &nowhere{ours}, nil)
	defer s.Close()
	if s.LocalAddr() != nil || s.RemoteAddr() != nil {
		t.Errorf("the ends are %#v and %#v", s.LocalAddr(), s.RemoteAddr())
	}
	kit.Must(t, s.SetReadDeadline(time.Unix(1, 0)))
	if _, err := s.Read(make([]byte, 1)); err == nil || err.Error() == "" {
		t.Errorf("Read: %v", err)
	}
}

type nowhere struct{ net.Conn }

func (*nowhere) LocalAddr() net.Addr  { return (*textAddr)(nil) }
func (*nowhere) RemoteAddr() net.Addr { return (*textAddr)(nil) }

type textAddr string

func (a textAddr) Network() string { return string(a) }
func (a textAddr) String() string  { return string(a) }
