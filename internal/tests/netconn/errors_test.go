package netconn_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// netFailures are ways to make a call on a connection fail. The same is done to a stream and to a net.Conn.
var netFailures = []struct {
	name string
	fail func(t *testing.T, conn, peer net.Conn) error
}{
	{"read after a reset", func(t *testing.T, conn, peer net.Conn) error {
		kit.ResetPeer(t, peer)
		_, err := conn.Read(make([]byte, 1))
		return err
	}},
	{"write after a reset", func(t *testing.T, conn, peer net.Conn) error {
		kit.ResetPeer(t, peer)
		_, _ = conn.Read(make([]byte, 1)) // which takes the reset
		_, err := conn.Write([]byte("x"))
		return err
	}},
	{"write after CloseWrite", func(t *testing.T, conn, _ net.Conn) error {
		kit.Must(t, conn.(interface{ CloseWrite() error }).CloseWrite())
		_, err := conn.Write([]byte("x"))
		return err
	}},
	{"read after Close", func(t *testing.T, conn, _ net.Conn) error {
		kit.Must(t, conn.Close())
		_, err := conn.Read(make([]byte, 1))
		return err
	}},
	{"write after Close", func(t *testing.T, conn, _ net.Conn) error {
		kit.Must(t, conn.Close())
		_, err := conn.Write([]byte("x"))
		return err
	}},
	{"Close while it reads", func(t *testing.T, conn, _ net.Conn) error {
		reading := kit.Async(func() error { _, err := conn.Read(make([]byte, 1)); return err })
		time.Sleep(time.Millisecond) // either way it is the same error
		kit.Must(t, conn.Close())
		return kit.Within(t, "Read", reading)
	}},
	{"read after its deadline", func(t *testing.T, conn, _ net.Conn) error {
		kit.Must(t, conn.SetReadDeadline(time.Unix(1, 0)))
		_, err := conn.Read(make([]byte, 1))
		return err
	}},
	{"write after its deadline", func(t *testing.T, conn, _ net.Conn) error {
		kit.Must(t, conn.SetWriteDeadline(time.Unix(1, 0)))
		_, err := conn.Write([]byte("x"))
		return err
	}},
	{"set a deadline after Close", func(t *testing.T, conn, _ net.Conn) error {
		kit.Must(t, conn.Close())
		return conn.SetDeadline(time.Now())
	}},
}

// sameError compares an error with net's for the same failure: the text, but for the addresses, what errors.Is finds,
// and the system call that errors.As finds.
func sameError(t *testing.T, got, want error) {
	t.Helper()
	if g, w := withoutAddresses(t, got), withoutAddresses(t, want); g != w {
		t.Errorf("text %q, net's is %q", g, w)
	}
	for _, target := range []error{net.ErrClosed, os.ErrDeadlineExceeded, context.Canceled, context.DeadlineExceeded, io.EOF, syscall.ECANCELED,
		syscall.ETIMEDOUT, syscall.EBADF, syscall.EPIPE, syscall.ECONNRESET, syscall.ECONNREFUSED, syscall.EADDRINUSE, syscall.ENOTCONN} {
		if g, w := errors.Is(got, target), errors.Is(want, target); g != w {
			t.Errorf("%v: is %v: %t, net's %t", got, target, g, w)
		}
	}
	var g, w *os.SyscallError
	if errors.As(want, &w) != errors.As(got, &g) || w != nil && (g.Syscall != w.Syscall || g.Err != w.Err) {
		t.Errorf("%v: as *os.SyscallError %v, net's %v", got, g, w)
	}
	var gotErrno, wantErrno syscall.Errno
	if errors.As(want, &wantErrno) != errors.As(got, &gotErrno) || gotErrno != wantErrno {
		t.Errorf("%v: as errno %d, net's %d", got, gotErrno, wantErrno)
	}
	var gotNet, wantNet net.Error
	if !errors.As(got, &gotNet) || !errors.As(want, &wantNet) || gotNet.Timeout() != wantNet.Timeout() {
		t.Errorf("%v and net's %v differ in Timeout", got, want)
	}
}

// withoutAddresses returns the text of a *net.OpError after its addresses.
func withoutAddresses(t *testing.T, err error) string {
	t.Helper()
	op, ok := err.(*net.OpError)
	if !ok {
		t.Fatalf("outermost is %T (%v), want a *net.OpError", err, err)
	}
	text := err.Error()
	for _, a := range []net.Addr{op.Source, op.Addr} {
		if a != nil {
			text = strings.ReplaceAll(text, a.String(), "A")
		}
	}
	return text
}

func TestErrorsReadLikeNet(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for _, k := range netFailures {
			t.Run(k.name, func(t *testing.T) {
				plain, plainPeer := c.NetPair(t)
				defer plain.Close()
				defer plainPeer.Close()
				want := k.fail(t, plain, plainPeer)
				s, peer := c.WithPeer(t, nil)
				sameError(t, k.fail(t, s, peer), want)
			})
		}
	})
}

// What a begun operation ends with has the same chain, on the loop too.
func TestErrorsOfBegunOperationsReadLikeNet(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		plain, plainPeer := c.NetPair(t)
		defer plain.Close()
		kit.ResetPeer(t, plainPeer)
		_, wantRead := plain.Read(make([]byte, 1))
		_, wantWrite := plain.Write([]byte("x"))
		s, peer := c.WithPeer(t, nil)
		ar, _ := kit.StartRead(t, s, 1)
		kit.ResetPeer(t, peer)
		_, err := s.EndRead(ar)
		sameError(t, err, wantRead)
		sameError(t, s.EndWrite(kit.StartWrite(t, s, "x")), wantWrite)
	})
}

func TestErrorsOfDialAndListenReadLikeNet(t *testing.T) {
	address := closedAddress(t)
	_, want := net.Dial("tcp", address)
	_, got := netstream.Dial(t.Context(), "tcp", address, nil)
	sameError(t, got, want)

	taken, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(t, err)
	defer taken.Close()
	_, want = net.Listen("tcp", taken.Addr().String())
	_, got = netstream.Listen("tcp", taken.Addr().String(), nil)
	sameError(t, got, want)

	plain, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(t, err)
	ours, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	kit.Must(t, err)
	kit.Must(t, errors.Join(plain.Close(), ours.Close()))
	_, want = plain.Accept()
	_, got = ours.Accept()
	sameError(t, got, want)
	sameError(t, ours.Close(), plain.Close()) // a second time
}

// A dial that runs out of time, or is cancelled, says what net's does, and always matches the context's error: net's is
// os.ErrDeadlineExceeded instead when its own timer comes first.
func TestErrorsOfAbandonedDialsReadLikeNet(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems refuse what does not fit into the backlog")
	}
	address := fullBacklog(t)
	for _, k := range []struct {
		name string
		is   error
		ctx  func() (context.Context, context.CancelFunc)
	}{
		{"out of time", context.DeadlineExceeded, func() (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 20*time.Millisecond)
		}},
		{"out of time before", context.DeadlineExceeded, func() (context.Context, context.CancelFunc) {
			return context.WithDeadline(context.Background(), time.Unix(1, 0))
		}},
		{"cancelled", context.Canceled, func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			time.AfterFunc(20*time.Millisecond, cancel)
			return ctx, cancel
		}},
		{"cancelled before", context.Canceled, func() (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return ctx, cancel
		}},
	} {
		t.Run(k.name, func(t *testing.T) {
			ctx, cancel := k.ctx()
			defer cancel()
			_, want := (&net.Dialer{}).DialContext(ctx, "tcp", address)
			for _, st := range connectStyles {
				ctx, cancel := k.ctx()
				_, got := st.connect(ctx, "tcp", address, nil)
				cancel()
				if g, w := withoutAddresses(t, got), withoutAddresses(t, want); g != w || !errors.Is(got, k.is) {
					t.Errorf("%s: %q, net's is %q; is %v: %t", st.name, g, w, k.is, errors.Is(got, k.is))
				}
				if errno := syscall.Errno(0); errors.As(got, &errno) || errors.Is(got, syscall.ETIMEDOUT) || errors.Is(got, syscall.ECANCELED) {
					t.Errorf("%s: %v has an errno", st.name, got)
				}
			}
		})
	}
}
