package foreign_test

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What one Write of a connection that is only a net.Conn takes. Writes are counted, not timed.

// messages is a connection that keeps what each Write was given. The first Write waits for gate.
type messages struct {
	net.Conn
	gate   chan struct{}
	answer func(call int, p []byte) (int, error) // nil: all is taken
	begun  atomic.Int32                          // calls of Write

	mu    sync.Mutex // guards what follows
	calls [][]byte
}

func (c *messages) Write(p []byte) (int, error) {
	c.begun.Add(1)
	<-c.gate
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls = append(c.calls, bytes.Clone(p))
	if c.answer != nil {
		return c.answer(len(c.calls), p)
	}
	return len(p), nil
}

func (c *messages) taken() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// newMessages returns a stream over such a connection, with a first write of one byte that is in the connection's Write
// until the gate is opened: what is begun meanwhile gathers.
func newMessages(t *testing.T, cfg netstream.Config) (*netstream.NetworkStream, *messages) {
	t.Helper()
	ours, theirs := net.Pipe()
	c := &messages{Conn: ours, gate: make(chan struct{})}
	cfg.MaxPendingBytes = -1
	s := kit.MustNew(t, c, &cfg)
	t.Cleanup(func() { s.Close(); theirs.Close() })
	kit.MustBegin(t, s, []byte("."), nil)
	kit.Eventually(t, "the first write is in the connection", func() bool { return c.begun.Load() == 1 })
	return s, c
}

func mustDrain(t *testing.T, s *netstream.NetworkStream) {
	t.Helper()
	if err := kit.Within(t, "Drain", kit.Async(func() error { return s.Drain(t.Context()) })); err != nil {
		t.Fatal(err)
	}
}

func mustBeginv(t *testing.T, s *netstream.NetworkStream, pieces [][]byte) {
	t.Helper()
	if _, err := s.BeginWritev(pieces, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// Without GatherWrites a begun write is a Write, the pieces of a BeginWritev included.
func TestGatherKeepsMessagesApart(t *testing.T) {
	s, c := newMessages(t, netstream.Config{})
	want := [][]byte{[]byte(".")}
	for i := range 200 {
		want = append(want, kit.Patterned(i, i))
		kit.MustBegin(t, s, kit.Patterned(i, i), nil)
	}
	for _, size := range []int{10, 15 << 10, 63 << 10} { // header and body
		mustBeginv(t, s, [][]byte{kit.Patterned(1, 100), kit.Patterned(2, size), kit.Patterned(3, 7)})
		want = append(want, bytes.Join([][]byte{kit.Patterned(1, 100), kit.Patterned(2, size), kit.Patterned(3, 7)}, nil))
	}
	want = append(want, kit.Patterned(4, 1<<20))
	kit.MustBegin(t, s, kit.Patterned(4, 1<<20), nil)
	close(c.gate)
	mustDrain(t, s)
	calls := c.taken()
	if len(calls) != len(want) {
		t.Fatalf("%d Writes, want %d", len(calls), len(want))
	}
	for i := range want {
		kit.SameBytes(t, calls[i], want[i])
	}
}

// With it, and over TLS, what waits shares Writes of up to 16 KiB.
func TestGatherShares(t *testing.T) {
	s, c := newMessages(t, netstream.Config{GatherWrites: true})
	want := []byte(".")
	for i := range 2000 {
		want = append(want, kit.Patterned(i, 64)...)
		kit.MustBegin(t, s, kit.Patterned(i, 64), nil)
	}
	kit.MustBegin(t, s, []byte{}, nil) // of nothing
	large := kit.Patterned(1, 100<<10)
	kit.MustBegin(t, s, large, nil)
	kit.MustBegin(t, s, []byte("end"), nil)
	want = append(append(want, large...), "end"...)
	close(c.gate)
	mustDrain(t, s)
	calls := c.taken()
	kit.SameBytes(t, bytes.Join(calls, nil), want)
	if most := 1 + (2000*64+16<<10-1)/(16<<10) + 2; len(calls) > most {
		t.Errorf("%d Writes, at most %d were needed", len(calls), most)
	}
	for _, p := range calls {
		if len(p) > 16<<10 && len(p) != len(large) {
			t.Errorf("a shared Write of %d bytes", len(p))
		}
	}
}

func TestGatherOverTLS(t *testing.T) {
	below1, below2 := kit.ConnCase{Network: "tcp"}.NetPair(t)
	counted := &messages{Conn: below1, gate: make(chan struct{})}
	close(counted.gate)
	counted.answer = func(_ int, p []byte) (int, error) { return below1.Write(p) }
	client, server := kit.MustTLSOver(t, counted, below2)
	a, b := kit.MustNew(t, client, nil), kit.MustNew(t, server, nil)
	defer a.Close()
	defer b.Close()
	counted.mu.Lock()
	counted.calls = nil
	counted.mu.Unlock()
	var want []byte
	const each, count = 64, 60_000
	message := kit.Patterned(1, each)
	for range count {
		want = append(want, message...)
	}
	got := kit.Async(func() error { kit.ReadExactly(t, b, want); return nil })
	counted.mu.Lock() // the first write stays in the connection
	for range count {
		kit.MustBegin(t, a, message, nil)
	}
	counted.mu.Unlock()
	if err := kit.Within(t, "the peer reads", got); err != nil {
		t.Fatal(err)
	}
	// The first records of a connection are those of one packet (tls.Config.DynamicRecordSizingDisabled).
	if n := len(counted.taken()); n > count/50 {
		t.Errorf("%d records for %d messages", n, count)
	}
}

// The pieces of one write take a number of Writes that does not depend on how many they are.
func TestGatherManyPieces(t *testing.T) {
	pieces := make([][]byte, 160_000)
	for i := range pieces {
		pieces[i] = kit.Patterned(i&0xff, 300)
	}
	want := append([]byte("."), bytes.Join(pieces, nil)...)
	for _, gather := range []bool{false, true} {
		s, c := newMessages(t, netstream.Config{GatherWrites: gather})
		mustBeginv(t, s, pieces)
		close(c.gate)
		mustDrain(t, s)
		calls := c.taken()
		kit.SameBytes(t, bytes.Join(calls, nil), want)
		block := 64 << 10
		if gather {
			block = 16 << 10
		}
		if most := 2 + len(want)/(block-300); len(calls) > most {
			t.Errorf("%d Writes, want no more than %d", len(calls), most)
		}
	}
}

// A shared Write that fails in the middle: what is whole succeeded, what is cut says where, the rest fails.
func TestGatherCountsAreExact(t *testing.T) {
	for _, at := range []int{0, 1, 10, 15, 20, 39, 40} { // bytes of the shared Write that are out
		s, c := newMessages(t, netstream.Config{GatherWrites: true})
		c.answer = func(call int, p []byte) (int, error) {
			switch call {
			case 1:
				return len(p), nil
			case 2:
				return at, syscall.ECONNRESET
			}
			return 0, syscall.EPIPE
		}
		var done []<-chan error
		for i := range 4 {
			if i == 2 {
				ch := make(chan error, 1)
				_, err := s.BeginWritev([][]byte{kit.Patterned(i, 4), kit.Patterned(i, 6)}, func(ar netstream.AsyncResult) { ch <- s.EndWrite(ar) }, nil)
				if err != nil {
					t.Fatal(err)
				}
				done = append(done, ch)
				continue
			}
			_, ch := kit.Begin(t, s, kit.Patterned(i, 10))
			done = append(done, ch)
		}
		close(c.gate)
		failed := false
		for i, ch := range done {
			err := kit.Within(t, "a write", ch)
			switch n := at - i*10; {
			case n >= 10:
				if err != nil {
					t.Errorf("cut at %d, write %d: %v", at, i, err)
				}
			case n > 0 || !failed && n == 0:
				kit.WantFailure(t, "the one that was cut", err, int64(n), n > 0, syscall.ECONNRESET)
				failed = true
			default:
				if f := kit.IOFailure(t, err); f.N != 0 || f.Torn != (at%10 != 0) {
					t.Errorf("cut at %d, write %d: %+v", at, i, f)
				}
			}
		}
		if n := s.Stats().BytesWritten; n != uint64(1+at) {
			t.Errorf("cut at %d: %d bytes are counted", at, n)
		}
		wantOver(t, s)
	}
}

// Only what is in the Write at this moment has started.
func TestGatherLeavesTheRestToCancel(t *testing.T) {
	s, c := newMessages(t, netstream.Config{GatherWrites: true})
	second := make(chan struct{})
	c.answer = func(call int, p []byte) (int, error) {
		if call == 2 {
			<-second
		}
		return len(p), nil
	}
	var results []netstream.AsyncResult
	for range 30 {
		results = append(results, kit.MustBegin(t, s, kit.Patterned(1, 1<<10), nil))
	}
	c.gate <- struct{}{} // one Write goes through, the next one has 16 of the 30
	close(c.gate)
	kit.Eventually(t, "the second Write", func() bool { return c.begun.Load() == 2 })
	for i, ar := range results {
		if got := s.Cancel(ar); got != (i >= 16) {
			t.Errorf("Cancel of write %d says %t", i, got)
		}
	}
	close(second)
	mustDrainCancelled(t, s)
	kit.SameBytes(t, bytes.Join(c.taken(), nil), append([]byte("."), bytes.Repeat(kit.Patterned(1, 1<<10), 16)...))
}

// mustDrainCancelled drains a stream of which writes were cancelled.
func mustDrainCancelled(t *testing.T, s *netstream.NetworkStream) {
	t.Helper()
	err := kit.Within(t, "Drain", kit.Async(func() error { return s.Drain(t.Context()) }))
	if err == nil || errors.Is(err, net.ErrClosed) {
		t.Fatalf("Drain: %v", err)
	}
}

// WriteBuffers is one message to a connection whose Write may be one, and one record over TLS.
func TestGatherWriteBuffersIsOneWrite(t *testing.T) {
	pieces := [][]byte{kit.Patterned(1, 300), kit.Patterned(2, 300), kit.Patterned(3, 300)}
	for _, gather := range []bool{false, true} {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := &messages{Conn: ours, gate: make(chan struct{})}
		close(c.gate)
		s := kit.MustNew(t, c, &netstream.Config{GatherWrites: gather})
		defer s.Close()
		if n, err := s.WriteBuffers(pieces); n != 900 || err != nil {
			t.Fatal(n, err)
		}
		if calls := c.taken(); len(calls) != 1 || !bytes.Equal(calls[0], bytes.Join(pieces, nil)) {
			t.Errorf("GatherWrites %t: %d Writes, want one of 900 bytes", gather, len(calls))
		}
	}
}

// A blocking write shares no Write with others: its context ends it alone, where it had to end what it shares.
func TestGatherLeavesBlockingWritesAlone(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := &messages{Conn: ours, gate: make(chan struct{})}
	s := kit.MustNew(t, c, &netstream.Config{GatherWrites: true})
	defer s.Close()
	_, first := kit.Begin(t, s, []byte("first"))
	kit.Eventually(t, "the first write is in Write", func() bool { return c.begun.Load() == 1 })
	_, second := kit.Begin(t, s, []byte("second"))
	blocking := kit.Async(func() error { _, err := s.Write([]byte("blocking")); return err })
	kit.Eventually(t, "the blocking write is queued", func() bool { return s.Stats().PendingWrites == 3 })
	_, last := kit.Begin(t, s, []byte("last"))
	close(c.gate)
	for _, done := range []<-chan error{first, second, blocking, last} {
		kit.Must(t, kit.Within(t, "a write", done))
	}
	for _, p := range c.taken() {
		if bytes.Contains(p, []byte("blocking")) && len(p) != len("blocking") && !bytes.HasPrefix(p, []byte("blocking")) {
			t.Errorf("the blocking write shares a Write behind others: %q", p)
		}
	}
}
