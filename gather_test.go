package netstream_test

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// What one Write of a connection that is only a net.Conn takes. Writes are counted, not timed.

// messages is a connection that keeps what each Write was given. The first Write waits for gate.
type messages struct {
	net.Conn
	gate   chan struct{}
	answer func(call int, p []byte) (int, error) // nil: all is taken

	mu    sync.Mutex // guards what follows
	calls [][]byte
}

func (c *messages) Write(p []byte) (int, error) {
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
	s := mustNew(t, c, &cfg)
	t.Cleanup(func() { s.Close(); theirs.Close() })
	mustBegin(t, s, []byte("."), nil)
	eventually(t, "the first write is in the connection", s.WriteWaits)
	return s, c
}

func mustDrain(t *testing.T, s *netstream.NetworkStream) {
	t.Helper()
	if err := within(t, "Drain", async(func() error { return s.Drain(t.Context()) })); err != nil {
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
		want = append(want, patterned(i, i))
		mustBegin(t, s, patterned(i, i), nil)
	}
	for _, size := range []int{10, 15 << 10, 63 << 10} { // header and body
		mustBeginv(t, s, [][]byte{patterned(1, 100), patterned(2, size), patterned(3, 7)})
		want = append(want, bytes.Join([][]byte{patterned(1, 100), patterned(2, size), patterned(3, 7)}, nil))
	}
	want = append(want, patterned(4, 1<<20))
	mustBegin(t, s, patterned(4, 1<<20), nil)
	close(c.gate)
	mustDrain(t, s)
	calls := c.taken()
	if len(calls) != len(want) {
		t.Fatalf("%d Writes, want %d", len(calls), len(want))
	}
	for i := range want {
		sameBytes(t, calls[i], want[i])
	}
}

// With it, and over TLS, what waits shares Writes of up to 16 KiB.
func TestGatherShares(t *testing.T) {
	s, c := newMessages(t, netstream.Config{GatherWrites: true})
	want := []byte(".")
	for i := range 2000 {
		want = append(want, patterned(i, 64)...)
		mustBegin(t, s, patterned(i, 64), nil)
	}
	mustBegin(t, s, []byte{}, nil) // of nothing
	large := patterned(1, 100<<10)
	mustBegin(t, s, large, nil)
	mustBegin(t, s, []byte("end"), nil)
	want = append(append(want, large...), "end"...)
	close(c.gate)
	mustDrain(t, s)
	calls := c.taken()
	sameBytes(t, bytes.Join(calls, nil), want)
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
	below1, below2 := connCase{network: "tcp"}.netPair(t)
	counted := &messages{Conn: below1, gate: make(chan struct{})}
	close(counted.gate)
	counted.answer = func(_ int, p []byte) (int, error) { return below1.Write(p) }
	client, server := mustTLSOver(t, counted, below2)
	a, b := mustNew(t, client, nil), mustNew(t, server, nil)
	defer a.Close()
	defer b.Close()
	counted.mu.Lock()
	counted.calls = nil
	counted.mu.Unlock()
	var want []byte
	const each, count = 64, 60_000
	message := patterned(1, each)
	for range count {
		want = append(want, message...)
	}
	got := async(func() error { readExactly(t, b, want); return nil })
	counted.mu.Lock() // the first write stays in the connection
	for range count {
		mustBegin(t, a, message, nil)
	}
	counted.mu.Unlock()
	if err := within(t, "the peer reads", got); err != nil {
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
		pieces[i] = patterned(i&0xff, 300)
	}
	want := append([]byte("."), bytes.Join(pieces, nil)...)
	for _, gather := range []bool{false, true} {
		s, c := newMessages(t, netstream.Config{GatherWrites: gather})
		mustBeginv(t, s, pieces)
		close(c.gate)
		mustDrain(t, s)
		calls := c.taken()
		sameBytes(t, bytes.Join(calls, nil), want)
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
				_, err := s.BeginWritev([][]byte{patterned(i, 4), patterned(i, 6)}, func(ar netstream.AsyncResult) { ch <- s.EndWrite(ar) }, nil)
				if err != nil {
					t.Fatal(err)
				}
				done = append(done, ch)
				continue
			}
			_, ch := begin(t, s, patterned(i, 10))
			done = append(done, ch)
		}
		close(c.gate)
		failed := false
		for i, ch := range done {
			err := within(t, "a write", ch)
			switch n := at - i*10; {
			case n >= 10:
				if err != nil {
					t.Errorf("cut at %d, write %d: %v", at, i, err)
				}
			case n > 0 || !failed && n == 0:
				wantFailure(t, "the one that was cut", err, int64(n), n > 0, syscall.ECONNRESET)
				failed = true
			default:
				if f := ioFailure(t, err); f.N != 0 || f.Torn != (at%10 != 0) {
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
		results = append(results, mustBegin(t, s, patterned(1, 1<<10), nil))
	}
	c.gate <- struct{}{} // one Write goes through, the next one has 16 of the 30
	close(c.gate)
	eventually(t, "the second Write", func() bool { return s.Stats().BytesWritten == 1 && s.WriteWaits() })
	for i, ar := range results {
		if got := s.Cancel(ar); got != (i >= 16) {
			t.Errorf("Cancel of write %d says %t", i, got)
		}
	}
	close(second)
	mustDrainCancelled(t, s)
	sameBytes(t, bytes.Join(c.taken(), nil), append([]byte("."), bytes.Repeat(patterned(1, 1<<10), 16)...))
}

// mustDrainCancelled drains a stream of which writes were cancelled.
func mustDrainCancelled(t *testing.T, s *netstream.NetworkStream) {
	t.Helper()
	err := within(t, "Drain", async(func() error { return s.Drain(t.Context()) }))
	if err == nil || errors.Is(err, net.ErrClosed) {
		t.Fatalf("Drain: %v", err)
	}
}
