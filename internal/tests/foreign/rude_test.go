package foreign_test

import (
	"net"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// rude is one end of a net.Pipe of which single methods misbehave; those that are nil do not.
type rude struct {
	net.Conn
	peer        net.Conn // the other end
	read        func(p []byte) (int, error)
	write       func(p []byte) (int, error)
	setDeadline func(d string, t time.Time) error
	close       func() error

	writes atomic.Int32 // calls of Write that have begun
}

func (c *rude) inWrite() bool { return c.writes.Load() > 0 }

func (c *rude) Read(p []byte) (int, error) {
	if c.read != nil {
		return c.read(p)
	}
	return c.Conn.Read(p)
}

func (c *rude) Write(p []byte) (int, error) {
	c.writes.Add(1)
	if c.write != nil {
		return c.write(p)
	}
	return c.Conn.Write(p)
}

func (c *rude) SetReadDeadline(t time.Time) error {
	if c.setDeadline != nil {
		return c.setDeadline("read", t)
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *rude) SetWriteDeadline(t time.Time) error {
	if c.setDeadline != nil {
		return c.setDeadline("write", t)
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *rude) Close() error {
	if c.close != nil {
		return c.close()
	}
	return c.Conn.Close()
}

// newRude returns a stream over a rude connection that change makes so, and the other end.
func newRude(t *testing.T, cfg *netstream.Config, change func(c *rude)) (*netstream.NetworkStream, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	c := &rude{Conn: ours, peer: theirs}
	change(c)
	s := kit.MustNew(t, c, cfg)
	t.Cleanup(func() { s.Close(); theirs.Close(); ours.Close() })
	return s, theirs
}

func goexit([]byte) (int, error) { runtime.Goexit(); return 0, nil }
func panics([]byte) (int, error) { panic("out of a connection") }

// wantOver closes s, which has to come back, and waits until all is over.
func wantOver(t *testing.T, s *netstream.NetworkStream) {
	t.Helper()
	if err := kit.Within(t, "Close", kit.Async(s.Close)); err != nil {
		t.Fatal(err)
	}
	kit.Within(t, "Done", s.Done())
	kit.WantPending(t, s, 0, 0)
}
