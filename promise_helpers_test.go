package netstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// plugSize is more than the buffers between two streams hold after small was called.
const plugSize = 2 << 20

// patterned returns size bytes that no other id has at the same places.
func patterned(id, size int) []byte {
	p := make([]byte, size)
	x := uint32(id)*2654435761 + 12345
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

// small makes the buffers between a and b small, so that a peer that does not read is felt soon.
func small(t testing.TB, a, b *netstream.NetworkStream) {
	t.Helper()
	if err := a.Socket().SetWriteBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
	if err := b.Socket().SetReadBuffer(32 << 10); err != nil {
		t.Fatal(err)
	}
}

// begin begins to write p with a callback that reports the outcome of EndWrite.
func begin(t testing.TB, s *netstream.NetworkStream, p []byte) (netstream.AsyncResult, <-chan error) {
	t.Helper()
	ch := make(chan error, 1)
	ar, err := s.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) { ch <- s.EndWrite(ar) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar, ch
}

// beginRead begins to read up to size bytes with a callback that reports what EndRead says.
func beginRead(t testing.TB, s *netstream.NetworkStream, size int) (netstream.AsyncResult, <-chan readOutcome) {
	t.Helper()
	ch := make(chan readOutcome, 1)
	p := make([]byte, size)
	ar, err := s.BeginRead(p, 0, size, func(ar netstream.AsyncResult) {
		n, err := s.EndRead(ar)
		ch <- readOutcome{p[:n], err}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar, ch
}

type readOutcome struct {
	data []byte
	err  error
}

// plug begins a write of plugSize bytes on a, whose peer does not read, and returns when part of it is out and the
// rest waits.
func plug(t testing.TB, a *netstream.NetworkStream) (p []byte, ar netstream.AsyncResult, outcome <-chan error) {
	t.Helper()
	p = patterned(1, plugSize)
	ar, outcome = begin(t, a, p)
	settled(t, a)
	return p, ar, outcome
}

// settled waits until a's writing waits for a connection that takes no more. The kernel moves bytes between the
// two ends' buffers for a moment yet, so it has to have stood still for a while.
func settled(t testing.TB, a *netstream.NetworkStream) {
	t.Helper()
	still, written := 0, uint64(0)
	eventually(t, "the write waits for the peer", func() bool {
		now := a.Stats().BytesWritten
		if !a.WriteWaits() || now != written {
			still, written = 0, now
			return false
		}
		still++
		return still > 10
	})
}

// async runs f on a goroutine of its own and returns its outcome on a channel.
func async(f func() error) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- f() }()
	return ch
}

// goRead reads everything from r on a goroutine of its own.
func goRead(r io.Reader) <-chan readOutcome {
	ch := make(chan readOutcome, 1)
	go func() {
		data, err := io.ReadAll(r)
		ch <- readOutcome{data, err}
	}()
	return ch
}

// readExactly reads len(want) bytes and compares them.
func readExactly(t testing.TB, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	ch := async(func() error { _, err := io.ReadFull(r, got); return err })
	if err := within(t, "the peer reads what was written", ch); err != nil {
		t.Fatalf("reading %d bytes: %v", len(want), err)
	}
	sameBytes(t, got, want)
}

// sameBytes compares without printing megabytes.
func sameBytes(t testing.TB, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Fatalf("got %d bytes, want %d; they differ from byte %d on", len(got), len(want), i)
}

// ioFailure checks the outer layers of an I/O failure, *net.OpError around *IOError, and returns the latter.
func ioFailure(t testing.TB, err error) *netstream.IOError {
	t.Helper()
	op, ok := err.(*net.OpError)
	if !ok {
		t.Fatalf("outermost is %T (%v), want *net.OpError", err, err)
	}
	failure, ok := op.Err.(*netstream.IOError)
	if !ok {
		t.Fatalf("below *net.OpError is %T (%v), want *IOError", op.Err, err)
	}
	return failure
}

// wantFailure checks that err is an I/O failure after n bytes, torn or not, that matches all targets.
func wantFailure(t testing.TB, what string, err error, n int64, torn bool, targets ...error) {
	t.Helper()
	failure := ioFailure(t, err)
	if failure.N != n || failure.Torn != torn {
		t.Fatalf("%s: N=%d Torn=%t, want N=%d Torn=%t: %v", what, failure.N, failure.Torn, n, torn, err)
	}
	wantIs(t, what, err, targets...)
}

// wantIs checks that err matches all targets and holds a *SocketError.
func wantIs(t testing.TB, what string, err error, targets ...error) {
	t.Helper()
	for _, target := range targets {
		if !errors.Is(err, target) {
			t.Fatalf("%s: %v does not match %v", what, err, target)
		}
	}
	var se *netstream.SocketError
	if !errors.As(err, &se) {
		t.Fatalf("%s: no *SocketError in %v", what, err)
	}
}

// wantAborted checks the chain of what Close, or Socket().Close, ended: the object's name, 995, net.ErrClosed.
func wantAborted(t testing.TB, what string, err error, object string) {
	t.Helper()
	var disposed *netstream.ObjectDisposedError
	if !errors.As(err, &disposed) || disposed.ObjectName != "System.Net.Sockets."+object {
		t.Fatalf("%s: %v (%#v), want an ObjectDisposedError of %s", what, err, disposed, object)
	}
	wantIs(t, what, err, net.ErrClosed, netstream.CodeOperationAborted)
	var se *netstream.SocketError
	if errors.As(err, &se); se.ErrorCode() != 995 {
		t.Fatalf("%s: ErrorCode %d, want 995", what, se.ErrorCode())
	}
}

// wantPending checks what is counted as pending.
func wantPending(t testing.TB, s *netstream.NetworkStream, writes int, bytes int64) {
	t.Helper()
	if w, b := s.Pending(); w != writes || b != bytes {
		t.Fatalf("Pending() = %d, %d, want %d, %d", w, b, writes, bytes)
	}
}

// wantIdle waits until nothing counts as pending any more.
func wantIdle(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	eventually(t, "Pending is back to zero", func() bool {
		w, b := s.Pending()
		return w == 0 && b == 0
	})
}

// cutNow ends everything that writes on s with a deadline that has passed.
func cutNow(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	if err := s.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}

// hasInput waits until the peer has something to read: part of what was written is out.
func hasInput(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	eventually(t, "something has arrived", func() bool {
		ok, err := s.DataAvailable()
		return ok && err == nil
	})
}

// wantEndAfterCut checks what a peer sees behind the bytes of a connection that was cut: never a clean end where the
// connection can be reset. A Unix socket cannot (design, promise 16).
func wantEndAfterCut(t testing.TB, c connCase, err error) {
	t.Helper()
	if c.network == "unix" {
		if err != nil && err != io.EOF {
			t.Fatalf("peer of a cut Unix socket: %v, want the end", err)
		}
		return
	}
	wantIs(t, "peer of a cut connection", err, netstream.CodeConnectionReset)
}

// resetPeer has a plain TCP connection send a reset.
func resetPeer(t testing.TB, peer net.Conn) {
	t.Helper()
	if err := peer.(*net.TCPConn).SetLinger(0); err != nil {
		t.Error(err)
	}
	peer.Close()
}

func readPing(read func([]byte) (int, error)) error {
	_, err := read(make([]byte, 4))
	return err
}

var (
	errPast  = os.ErrDeadlineExceeded
	ctxNever = context.Background()
)
