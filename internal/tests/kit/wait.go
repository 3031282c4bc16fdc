package kit

import (
	"errors"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// Settled waits until a's writing waits for a connection that takes no more. The kernel goes on moving bytes between the
// two ends' buffers for a moment, so it has to have stood still for a while. A write of which nothing is out has not been
// served yet, which can take long on a busy machine.
func Settled(t testing.TB, a *netstream.NetworkStream) {
	t.Helper()
	still, written := 0, uint64(0)
	Eventually(t, "the write waits for the peer", func() bool {
		now := a.Stats().BytesWritten
		if !FullConn(a) || now != written {
			still, written = 0, now
			return false
		}
		still++
		return still > 10
	})
}

// FullConn reports whether the connection below a takes no more. What one Write of a foreign connection has done is not
// counted before it returns: the connection itself knows.
func FullConn(a *netstream.NetworkStream) bool {
	if c, ok := foreignConns.Load(a); ok {
		conn := c.(*foreignConn)
		raw, err := conn.TCPConn.SyscallConn()
		return conn.writing.Load() > 0 && err == nil && !writable(raw)
	}
	unsent, err := a.Socket().SendQueue()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && unsent == 0 {
		return false
	}
	raw, err := a.Socket().SyscallConn()
	return err != nil || !writable(raw) // a Pipe has no descriptor; its buffer is full after each Begin
}

// BegunReads returns a condition: n reads, blocking ones included, have begun on s. One that is counted has its place in the
// order; the first one waits, if it has to.
func BegunReads(s *netstream.NetworkStream, n int) func() bool {
	return func() bool { return s.Stats().ReadOps >= uint64(n) }
}

// BegunWrites is BegunReads for writes: one that waits for room counts as well.
func BegunWrites(s *netstream.NetworkStream, n int) func() bool {
	return func() bool { return s.Stats().WriteOps >= uint64(n) }
}

// Async runs f on a goroutine of its own and returns its outcome on a channel.
func Async(f func() error) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- f() }()
	return ch
}

// HasInput waits until the peer has something to read: part of what was written is out.
func HasInput(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	Eventually(t, "something has arrived", func() bool {
		ok, err := s.DataAvailable()
		return ok && err == nil
	})
}

// Patience is how long a test waits for what takes microseconds: it only ends a hang, and a shared machine may stand
// still for seconds.
const Patience = 60 * time.Second

// Eventually fails the test when cond does not come true.
func Eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", Patience, what)
		}
	}
}

// Within returns what ch delivers, and fails the test when ch neither delivers nor is closed in time.
func Within[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(Patience):
		t.Fatalf("not within %v: %s", Patience, what)
		panic("unreachable")
	}
}

// Awake returns how long f takes, counted in the ticks of a goroutine beside it: a machine that stands still for seconds
// ticks only once. It is for limits that are there to tell one behaviour from another.
func Awake(f func()) time.Duration {
	const tick = 10 * time.Millisecond
	stop, ticks := make(chan struct{}), make(chan time.Duration)
	go func() {
		var took time.Duration
		for {
			select {
			case <-stop:
				ticks <- took
				return
			case <-time.After(tick):
				took += tick
			}
		}
	}()
	f()
	close(stop)
	return <-ticks
}
