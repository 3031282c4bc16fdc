package kit

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// EndOf returns the End for results of that direction, without the count of a read.
func EndOf(s *netstream.NetworkStream, read bool) func(netstream.AsyncResult) error {
	if read {
		return func(ar netstream.AsyncResult) error { _, err := s.EndRead(ar); return err }
	}
	return s.EndWrite
}

// MustBegin begins to write p with that callback.
func MustBegin(t testing.TB, s *netstream.NetworkStream, p []byte, callback netstream.AsyncCallback) netstream.AsyncResult {
	t.Helper()
	ar, err := s.BeginWrite(p, 0, len(p), callback, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

// MustBeginRead begins to read into p with that callback.
func MustBeginRead(t testing.TB, s *netstream.NetworkStream, p []byte, callback netstream.AsyncCallback) netstream.AsyncResult {
	t.Helper()
	ar, err := s.BeginRead(p, 0, len(p), callback, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

// NeverCalled is a callback that fails the test.
func NeverCalled(t testing.TB) netstream.AsyncCallback {
	return func(netstream.AsyncResult) { t.Error("a callback has run that must not") }
}

// CloseAndWait closes s and waits until every callback has returned.
func CloseAndWait(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	s.Close()
	Within(t, "Done after Close", s.Done())
}

// CanceledContext returns a context that is done.
func CanceledContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// MustCancel takes a write back that is queued behind another. While an attempt to send is going on, what is queued is in
// flight and cannot be taken back: an engine may make one at any time, and gives back what it has not sent.
func MustCancel(t testing.TB, s *netstream.NetworkStream, queued netstream.AsyncResult) {
	t.Helper()
	Eventually(t, "a queued write is taken back", func() bool { return s.Cancel(queued) })
}

// StartStuckWrite begins a write of Large, which cannot finish because nobody reads. When it returns, the beginning is
// out: until then the write could still be taken back whole, and nothing would be cut. The rest waits: as long as attempts
// go on, each may have put in flight what is begun behind, which then cannot be taken back.
func StartStuckWrite(t testing.TB, s *netstream.NetworkStream, callback netstream.AsyncCallback) netstream.AsyncResult {
	t.Helper()
	if err := s.Socket().SetWriteBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	before := s.Stats().BytesWritten
	ar, err := s.BeginWrite(Large, 0, len(Large), callback, nil)
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, "the beginning is out", func() bool {
		_, foreign := foreignConns.Load(s) // counts when its one Write has returned
		return s.Stats().BytesWritten > before || foreign && FullConn(s)
	})
	Settled(t, s)
	return ar
}

// StartWrite begins a write without a callback.
func StartWrite(t testing.TB, s *netstream.NetworkStream, text string) netstream.AsyncResult {
	t.Helper()
	ar, err := s.BeginWrite([]byte(text), 0, len(text), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar
}

// StartRead begins a read into a buffer of its own, without a callback.
func StartRead(t testing.TB, s *netstream.NetworkStream, size int) (netstream.AsyncResult, []byte) {
	t.Helper()
	p := make([]byte, size)
	ar, err := s.BeginRead(p, 0, size, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar, p
}

// CloseSoon closes s and fails the test when that takes long.
func CloseSoon(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	d := Awake(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	if d > time.Second { // a connection that was closed lingers for two, and Close must not wait for that
		t.Errorf("Close took %v", d)
	}
}

// ForgetStream makes a stream of the group, uses it and forgets it open.
func ForgetStream(t *testing.T, c ConnCase, group *netstream.Group, i int) {
	if c.Network == "pipe" { // both ends are in the group
		a, b := netstream.Pipe(c.Config(&netstream.Config{Group: group}))
		useStream(t, a, b, i)
		return
	}
	conn, peer := c.NetPair(t)
	t.Cleanup(func() { peer.Close() })
	useStream(t, MustNew(t, conn, c.Config(&netstream.Config{Group: group})), peer, i)
}

// OnceEach counts how often each operation was handled.
type OnceEach struct {
	Handled []atomic.Int32 // how often, by operation
	wg      sync.WaitGroup
}

// NewOnceEach is for operations 0 to n-1.
func NewOnceEach(n int) *OnceEach {
	o := &OnceEach{Handled: make([]atomic.Int32, n)}
	o.wg.Add(n)
	return o
}

// Handle counts for operation i.
func (o *OnceEach) Handle(i int) {
	o.Handled[i].Add(1)
	o.wg.Done()
}

// Check waits for all operations and fails the test when one was not handled exactly once.
func (o *OnceEach) Check(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() { o.wg.Wait(); close(done) }()
	Within(t, "all operations are handled", done)
	for i := range o.Handled {
		if n := o.Handled[i].Load(); n != 1 {
			t.Errorf("operation %d was handled %d times", i, n)
		}
	}
}

// PlugOf is Plug with a write of that size.
func PlugOf(t testing.TB, a *netstream.NetworkStream, size int) (p []byte, ar netstream.AsyncResult, outcome <-chan error) {
	t.Helper()
	p = Patterned(1, size)
	ar, outcome = Begin(t, a, p)
	Settled(t, a)
	return p, ar, outcome
}

// Begin begins to write p with a callback that reports the outcome of EndWrite.
func Begin(t testing.TB, s *netstream.NetworkStream, p []byte) (netstream.AsyncResult, <-chan error) {
	t.Helper()
	ch := make(chan error, 1)
	ar, err := s.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) { ch <- s.EndWrite(ar) }, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar, ch
}

// BeginRead begins to read up to size bytes with a callback that reports what EndRead says.
func BeginRead(t testing.TB, s *netstream.NetworkStream, size int) (netstream.AsyncResult, <-chan ReadOutcome) {
	t.Helper()
	ch := make(chan ReadOutcome, 1)
	p := make([]byte, size)
	ar, err := s.BeginRead(p, 0, size, func(ar netstream.AsyncResult) {
		n, err := s.EndRead(ar)
		ch <- ReadOutcome{p[:n], err}
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return ar, ch
}

// Plug begins a write of PlugSize bytes on a, whose peer does not read, and returns when part of it is out and the
// rest waits.
func Plug(t testing.TB, a *netstream.NetworkStream) (p []byte, ar netstream.AsyncResult, outcome <-chan error) {
	t.Helper()
	return PlugOf(t, a, PlugSize)
}

// WantPending checks what is counted as pending.
func WantPending(t testing.TB, s *netstream.NetworkStream, writes int, bytes int64) {
	t.Helper()
	if w, b := s.Pending(); w != writes || b != bytes {
		t.Fatalf("Pending() = %d, %d, want %d, %d", w, b, writes, bytes)
	}
}

// WantIdle waits until nothing counts as pending any more.
func WantIdle(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	Eventually(t, "Pending is back to zero", func() bool {
		w, b := s.Pending()
		return w == 0 && b == 0
	})
}

// CutNow ends everything that writes on s with a deadline that has passed.
func CutNow(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	if err := s.SetWriteDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
}

// ResetPeer has a TCP connection, or the one below a *tls.Conn, send a reset.
func ResetPeer(t testing.TB, peer net.Conn) {
	t.Helper()
	below := peer
	if c, ok := peer.(*tls.Conn); ok {
		below = c.NetConn()
	}
	if err := below.(*net.TCPConn).SetLinger(0); err != nil {
		t.Error(err)
	}
	below.Close()
}

// ErrPast is what a deadline that has passed ends with.
var ErrPast = os.ErrDeadlineExceeded

// CtxNever is a context that never ends.
var CtxNever = context.Background()

// useStream has bytes go in both directions.
func useStream(t *testing.T, s *netstream.NetworkStream, peer io.ReadWriter, i int) {
	p := make([]byte, 100+i)
	Must(t, s.EndWrite(MustBegin(t, s, p, nil)))
	if _, err := io.ReadFull(peer, p); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write(p[:10]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, p[:10]); err != nil {
		t.Fatal(err)
	}
}

// CloseWrite ends the writing half of a stream or a connection.
func CloseWrite(t testing.TB, c any) {
	t.Helper()
	if err := c.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		t.Error(err)
	}
}
