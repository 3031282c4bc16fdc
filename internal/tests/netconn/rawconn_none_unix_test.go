//go:build unix

package netconn_test

import (
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// peeked is the other check that pools make (go-redis, internal/pool/conn_check.go): like alive, but it leaves what it
// finds, and takes the deadlines away first.
func peeked(conn net.Conn) error {
	_ = conn.SetDeadline(time.Time{})
	below, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := below.SyscallConn()
	if err != nil {
		return err
	}
	var found error
	if err := raw.Read(func(fd uintptr) bool {
		n, _, err := syscall.Recvfrom(int(fd), make([]byte, 1), syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		switch {
		case n == 0 && err == nil:
			found = io.EOF
		case n > 0:
			found = errUnread
		case err != syscall.EAGAIN:
			found = err
		}
		return true
	}); err != nil {
		return err
	}
	return found
}

// eachWithoutDescriptor runs f with streams that have no descriptor, or whose bytes are not those of one.
func eachWithoutDescriptor(t *testing.T, cfg *netstream.Config, f func(t *testing.T, s *netstream.NetworkStream, peer net.Conn)) {
	t.Helper()
	for name, open := range map[string]func(t *testing.T) (*netstream.NetworkStream, net.Conn){
		"Pipe": func(*testing.T) (*netstream.NetworkStream, net.Conn) { a, b := netstream.Pipe(cfg); return a, b },
		"a wrapper": func(t *testing.T) (*netstream.NetworkStream, net.Conn) {
			a, b := kit.ConnCase{Network: "tcp"}.NetPair(t)
			return kit.MustNew(t, struct{ net.Conn }{a}, cfg), b
		},
		"TLS": func(t *testing.T) (*netstream.NetworkStream, net.Conn) {
			a, b := kit.ConnCase{Network: "tcp"}.NetPair(t)
			client, server := kit.MustTLSOver(t, a, b)
			return kit.MustNew(t, client, cfg), server
		},
		"a stream over a Pipe": func(t *testing.T) (*netstream.NetworkStream, net.Conn) {
			a, b := netstream.Pipe(nil)
			return kit.MustNew(t, a, cfg), b
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := open(t)
			defer peer.Close()
			defer s.Close()
			f(t, s, peer)
		})
	}
}

// A pool that checks its idle connection before each statement goes on using it.
func TestSyscallConn_WithoutDescriptorPassesLivenessChecks(t *testing.T) {
	checks := map[string]func(net.Conn) error{"read": alive, "peek": peeked}
	for name, check := range checks {
		t.Run(name, func(t *testing.T) {
			eachWithoutDescriptor(t, nil, func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
				for range 20 {
					kit.Must(t, check(s))
					statement := kit.Async(func() error { _, err := s.Write([]byte("statement")); return err })
					kit.ReadExactly(t, peer, []byte("statement"))
					kit.Must(t, kit.Within(t, "the statement", statement))
					answer := kit.Async(func() error { _, err := peer.Write([]byte("answer")); return err })
					kit.ReadExactly(t, s, []byte("answer"))
					kit.Must(t, kit.Within(t, "the answer", answer))
				}
				ar, p := kit.StartRead(t, s, 2) // it does not wait for a read, of which it would take nothing
				kit.Must(t, kit.Within(t, "the check beside a read", kit.Async(func() error { return check(s) })))
				push := kit.Async(func() error { _, err := peer.Write([]byte("ok")); return err })
				_, err := s.EndRead(ar)
				kit.Must(t, err)
				kit.Must(t, kit.Within(t, "the push", push))
				if string(p) != "ok" {
					t.Errorf("read %q", p)
				}
				kit.Must(t, s.Close())
				kit.WantIs(t, "the check after Close", check(s), net.ErrClosed)
			})
		})
	}
}

// What the stream knows without a descriptor is told: a deadline, a failure, that it may not read.
func TestSyscallConn_WithoutDescriptorTellsWhatIsKnown(t *testing.T) {
	eachWithoutDescriptor(t, nil, func(t *testing.T, s *netstream.NetworkStream, _ net.Conn) {
		raw, err := s.SyscallConn()
		kit.Must(t, err)
		never := func(uintptr) bool { t.Error("called"); return true }
		kit.Must(t, raw.Read(never))
		kit.WantIs(t, "Control", raw.Control(func(uintptr) { t.Error("called") }), errors.ErrUnsupported)
		kit.WantIs(t, "Write", raw.Write(never), errors.ErrUnsupported)
		if raw, err := s.Socket().SyscallConn(); raw != nil || !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("the Socket's: %v, %v", raw, err)
		}
		kit.Must(t, s.SetReadDeadline(time.Unix(1, 0)))
		kit.WantIs(t, "Read after its deadline", raw.Read(never), os.ErrDeadlineExceeded)
		kit.Must(t, s.SetReadDeadline(time.Time{}))
		kit.Must(t, raw.Read(never))
		kit.Must(t, s.Close())
		kit.WantIs(t, "Read after Close", raw.Read(never), net.ErrClosed)
		kit.WantIs(t, "Write after Close", raw.Write(never), net.ErrClosed)
		kit.WantIs(t, "Control after Close", raw.Control(func(uintptr) { t.Error("called") }), net.ErrClosed)
	})
	eachWithoutDescriptor(t, &netstream.Config{Access: netstream.AccessWrite}, func(t *testing.T, s *netstream.NetworkStream, _ net.Conn) {
		raw, err := s.SyscallConn()
		kit.Must(t, err)
		var invalid *netstream.InvalidOperationError
		if err := raw.Read(func(uintptr) bool { return true }); !errors.As(err, &invalid) {
			t.Error(err)
		}
	})
	t.Run("a failure", func(t *testing.T) {
		a, b := kit.ConnCase{Network: "tcp"}.NetPair(t)
		s := kit.MustNew(t, struct{ net.Conn }{a}, nil)
		kit.ResetPeer(t, b)
		_, err := s.Read(make([]byte, 1))
		kit.WantIs(t, "Read", err, netstream.CodeConnectionReset)
		kit.WantIs(t, "the check", alive(s), netstream.CodeConnectionReset)
	})
}
