package netconn_test

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What programs ask of a listener by interface: a deadline for accept loops that look at a flag now and then, and the
// options of the listening socket.

func wantAcceptTimeout(t *testing.T, got connected) {
	t.Helper()
	if got.s != nil {
		t.Fatal("accepted")
	}
	kit.WantIs(t, "the accept", got.err, os.ErrDeadlineExceeded, netstream.CodeTimedOut)
	if e, ok := got.err.(net.Error); !ok || !e.Timeout() {
		t.Errorf("%#v is no net.Error that is a timeout", got.err)
	}
}

// wantAccepted checks that a stream was accepted, and closes it.
func wantAccepted(t *testing.T, got connected) {
	t.Helper()
	kit.Must(t, got.err)
	kit.Must(t, got.s.Close())
}

func TestListenerDeadline_EndsAccepts(t *testing.T) {
	eachListener(t, func(t *testing.T, c kit.ConnCase) {
		for _, st := range acceptStyles {
			t.Run(st.name, func(t *testing.T) {
				ln, dial := listen(t, c)
				kit.Must(t, ln.SetDeadline(time.Unix(1, 0)))
				wantAcceptTimeout(t, kit.Within(t, "an accept after its deadline", accepting(ln, st.accept)))
				kit.Must(t, ln.SetDeadline(time.Now().Add(10*time.Millisecond)))
				wantAcceptTimeout(t, kit.Within(t, "an accept that waits", accepting(ln, st.accept)))

				kit.Must(t, ln.SetDeadline(time.Now().Add(time.Hour)))
				waiting := accepting(ln, st.accept)
				kit.Must(t, ln.SetDeadline(time.Unix(1, 0))) // before it waits or while it does
				wantAcceptTimeout(t, kit.Within(t, "an accept whose deadline is moved", waiting))

				kit.Must(t, ln.SetDeadline(time.Time{}))
				waiting = accepting(ln, st.accept)
				defer dial().Close()
				wantAccepted(t, kit.Within(t, "an accept without a deadline", waiting))
				kit.Must(t, ln.Close())
				kit.WantIs(t, "SetDeadline after Close", ln.SetDeadline(time.Time{}), net.ErrClosed)
			})
		}
	})
}

// All begun accepts are told, in Begin order, and the listener goes on.
func TestListenerDeadline_EndsEveryBegunAccept(t *testing.T) {
	eachListener(t, func(t *testing.T, c kit.ConnCase) {
		ln, dial := listen(t, c)
		const n = 20
		order := make(chan int, n)
		for i := range n {
			_, err := ln.BeginAccept(func(ar netstream.AsyncResult) {
				if _, err := ln.EndAccept(ar); !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Error(err)
				}
				order <- i
			}, nil)
			kit.Must(t, err)
		}
		kit.Must(t, ln.SetDeadline(time.Now().Add(time.Millisecond)))
		for i := range n {
			if got := kit.Within(t, "a callback", order); got != i {
				t.Errorf("callback %d came at place %d", got, i)
			}
		}
		kit.Must(t, ln.SetDeadline(time.Time{}))
		defer dial().Close()
		wantAccepted(t, kit.Within(t, "an accept", accepting(ln, acceptStyles[1].accept)))
	})
}

// An accept that waits for a place in the group obeys the deadline, the one that is moved meanwhile as well.
func TestListenerDeadline_InAFullGroup(t *testing.T) {
	for _, st := range acceptStyles {
		t.Run(st.name, func(t *testing.T) {
			group := &netstream.Group{MaxStreams: 1}
			ln, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{Group: group})
			kit.Must(t, err)
			defer ln.Close()
			client, peer := kit.ConnCase{Network: "tcp"}.NetPair(t)
			defer peer.Close()
			first := kit.MustNew(t, client, &netstream.Config{Group: group})
			defer first.Close()
			conn, err := net.Dial("tcp", ln.Addr().String())
			kit.Must(t, err)
			defer conn.Close()

			kit.Must(t, ln.SetDeadline(time.Now().Add(5*time.Millisecond)))
			wantAcceptTimeout(t, kit.Within(t, "an accept in a full group", accepting(ln, st.accept)))
			kit.Must(t, ln.SetDeadline(time.Now().Add(time.Hour)))
			waiting := accepting(ln, st.accept)
			notYet(t, waiting)
			kit.Must(t, ln.SetDeadline(time.Now().Add(2*time.Hour)))
			notYet(t, waiting)
			kit.Must(t, ln.SetDeadline(time.Now().Add(time.Millisecond)))
			wantAcceptTimeout(t, kit.Within(t, "an accept whose deadline is moved", waiting))

			kit.Must(t, ln.SetDeadline(time.Time{}))
			waiting = accepting(ln, st.accept)
			notYet(t, waiting)
			kit.Must(t, first.Close())
			wantAccepted(t, kit.Within(t, "an accept once there is a place", waiting))
		})
	}
}

// callsListener tells of each call of Accept.
type callsListener struct {
	*net.TCPListener
	calls chan struct{}
}

func (l callsListener) Accept() (net.Conn, error) {
	l.calls <- struct{}{}
	return l.TCPListener.Accept()
}

// A connection that was accepted beside a group that filled up meanwhile is the next accept's, not lost; Close closes it.
func TestListenerDeadline_LosesNoConnection(t *testing.T) {
	for _, end := range []string{"accepted later", "Close"} {
		t.Run(end, func(t *testing.T) {
			group := &netstream.Group{MaxStreams: 1}
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			kit.Must(t, err)
			below := callsListener{inner.(*net.TCPListener), make(chan struct{}, 10)}
			ln, err := netstream.NewListener(below, &netstream.Config{Group: group})
			kit.Must(t, err)
			defer ln.Close()
			waiting := accepting(ln, (*netstream.Listener).AcceptStream)
			kit.Within(t, "Accept of the listener below", below.calls)
			client, peer := kit.ConnCase{Network: "tcp"}.NetPair(t)
			defer peer.Close()
			first := kit.MustNew(t, client, &netstream.Config{Group: group})
			defer first.Close()
			conn, err := net.Dial("tcp", ln.Addr().String()) // accepted, and has no place
			kit.Must(t, err)
			defer conn.Close()
			notYet(t, waiting)
			kit.Must(t, ln.SetDeadline(time.Unix(1, 0)))
			wantAcceptTimeout(t, kit.Within(t, "the accept", waiting))
			if end == "Close" {
				kit.Must(t, ln.Close())
				one := kit.Async(func() error { _, err := conn.Read(make([]byte, 1)); return err })
				if kit.Within(t, "the client's read", one) == nil {
					t.Error("the connection is still open")
				}
				return
			}
			kit.Must(t, ln.SetDeadline(time.Time{}))
			kit.Must(t, first.Close())
			got := kit.Within(t, "the next accept", accepting(ln, (*netstream.Listener).AcceptStream))
			kit.Must(t, got.err)
			defer got.s.Close()
			if got.s.RemoteAddr().String() != conn.LocalAddr().String() {
				t.Error("another connection was accepted")
			}
		})
	}
}

func TestListenerSyscallConn_LikeNets(t *testing.T) {
	eachListener(t, func(t *testing.T, c kit.ConnCase) {
		ln, _ := listen(t, c)
		raw, err := ln.SyscallConn()
		kit.Must(t, err)
		called := false
		kit.Must(t, raw.Control(func(uintptr) { called = true }))
		if !called {
			t.Error("Control has not called")
		}
		never := func(uintptr) bool { t.Error("called"); return true }
		for what, err := range map[string]error{"Read": raw.Read(never), "Write": raw.Write(never)} {
			if !errors.Is(err, syscall.EINVAL) && c.Network == "tcp" { // as on a *net.TCPListener
				t.Errorf("%s: %v", what, err)
			}
		}
		kit.Must(t, ln.Close())
		if err := raw.Control(func(uintptr) { t.Error("called") }); !errors.Is(err, net.ErrClosed) {
			t.Error("Control after Close:", err)
		}
	})
}

// A listener that has neither says so and accepts as before.
func TestListener_BelowWithoutDeadlineAndDescriptor(t *testing.T) {
	below := newFakeListener()
	ln, err := netstream.NewListener(below, nil)
	kit.Must(t, err)
	defer ln.Close()
	raw, err := ln.SyscallConn()
	kit.WantIs(t, "SyscallConn", err, errors.ErrUnsupported)
	if raw != nil {
		t.Error("a RawConn beside the error")
	}
	kit.WantIs(t, "SetDeadline", ln.SetDeadline(time.Unix(1, 0)), errors.ErrUnsupported)
	a, b := net.Pipe()
	defer b.Close()
	below.conns <- a
	wantAccepted(t, kit.Within(t, "an accept", accepting(ln, (*netstream.Listener).AcceptStream)))
}
