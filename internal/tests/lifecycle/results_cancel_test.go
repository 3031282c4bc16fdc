package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// cancelledWrite is one write that is begun and cancelled, and what came of it.
type cancelledWrite struct {
	message []byte
	calls   atomic.Int32
	err     error // of EndWrite in the callback
	result  netstream.AsyncResult
	taken   bool // Cancel said true
}

// Cancel meets completion at all stages: the peer reads in bursts, so that writes wait, are in flight and are through.
func TestResultsCancelAgainstCompletionOfWrites(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const rounds, many, size = 60, 100, 1500
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		got := kit.GoRead(b)
		var want []byte
		hits, misses := 0, 0
		for round := range rounds {
			writes := make([]cancelledWrite, many)
			for i := range writes {
				w := &writes[i]
				w.message = kit.Record(round, i, size)
				w.result = kit.MustBegin(t, a, w.message, func(ar netstream.AsyncResult) {
					w.calls.Add(1)
					w.err = a.EndWrite(ar)
				})
				if i%7 == 3 { // the freshest first: it is the likeliest to be still there
					w.taken = a.Cancel(w.result)
				}
			}
			for i := round % 3; i < many; i += 3 {
				w := &writes[i]
				w.taken = w.taken || a.Cancel(w.result)
				if w.taken && a.Cancel(w.result) {
					t.Error("cancelled twice")
				}
				if w.taken && !w.result.IsCompleted() {
					t.Error("Cancel said true before the completion")
				}
			}
			kit.WantIdle(t, a) // all callbacks have started
			for i := range writes {
				w := &writes[i]
				kit.Eventually(t, "the callback", func() bool { return w.calls.Load() > 0 })
			}
			last := make(chan struct{}) // the callback of a last write comes after all of them
			kit.MustBegin(t, a, []byte{}, func(netstream.AsyncResult) { close(last) })
			kit.Within(t, "the last callback", last)
			for i := range writes {
				w := &writes[i]
				if n := w.calls.Load(); n != 1 {
					t.Fatalf("%d callbacks", n)
				}
				if w.taken {
					hits++
					kit.WantFailure(t, "a cancelled write", w.err, 0, false, context.Canceled)
					continue
				}
				if w.err != nil {
					t.Fatalf("a write that was not cancelled: %v", w.err)
				}
				misses++
				want = append(want, w.message...)
			}
		}
		a.Close()
		o := kit.Within(t, "the peer reads to the end", got)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		kit.SameBytes(t, o.Data, want) // not one byte of a cancelled write, every byte of the others
		t.Logf("%d cancelled, %d written", hits, misses)
	})
}

func TestResultsCancelFreesTheRoomBeforeItReturns(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const many = 100 // more than the portable engine takes at once
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: many + 1, MaxPendingBytes: kit.PlugSize + many*1000}, nil)
		kit.SmallBuffers(t, a, b)
		kit.Plug(t, a)
		var results []netstream.AsyncResult
		for range many {
			results = append(results, kit.MustBegin(t, a, make([]byte, 1000), nil))
		}
		for round := range 200 {
			if _, err := a.BeginWrite(make([]byte, 1000), 0, 1000, nil, nil); !errors.Is(err, netstream.ErrQueueFull) {
				t.Fatalf("round %d: the queue is not full: %v", round, err)
			}
			last := &results[many-1-round%20]
			if !a.Cancel(*last) {
				t.Fatalf("round %d: a queued write was not cancelled", round)
			}
			kit.WantPending(t, a, many, kit.PlugSize+(many-1)*1000)
			*last = kit.MustBegin(t, a, make([]byte, 1000), nil)
		}
	})
}

func TestResultsCancelThatIsTooLateChangesNothing(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		p, ar, outcome := kit.Plug(t, a)
		for range 10 {
			if a.Cancel(ar) {
				t.Fatal("a write that is half out was cancelled")
			}
		}
		if ar.IsCompleted() {
			t.Fatal("completed by a Cancel that said false")
		}
		kit.ReadExactly(t, b, p)
		if err := kit.Within(t, "the write", outcome); err != nil {
			t.Fatal(err)
		}
		done := kit.MustBegin(t, a, []byte("x"), nil)
		if err := a.EndWrite(done); err != nil {
			t.Fatal(err)
		}
		if a.Cancel(done) {
			t.Error("a write that has ended was cancelled")
		}
		kit.ReadExactly(t, b, []byte("x"))
	})
}

// A read is cancelled while the one ahead of it gets its byte. That byte is the only one, so the second read
// cannot have taken anything: Cancel must not say that it is too late.
func TestResultsCancelOfAReadBehindOneThatCompletes(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		for range 300 {
			_, first := kit.BeginRead(t, b, 1)
			ar, second := kit.BeginRead(t, b, 1)
			written := kit.Async(func() error { _, err := a.Write([]byte("x")); return err })
			if !b.Cancel(ar) {
				t.Fatal("a read that has got nothing is still there and was not cancelled")
			}
			if !ar.IsCompleted() {
				t.Fatal("Cancel said true before the completion")
			}
			o := kit.Within(t, "the cancelled read's callback", second)
			kit.WantFailure(t, "the cancelled read", o.Err, 0, false, context.Canceled)
			if o := kit.Within(t, "the first read", first); o.Err != nil || string(o.Data) != "x" {
				t.Fatalf("the first read: %q, %v", o.Data, o.Err)
			}
			if err := kit.Within(t, "the peer's Write", written); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Cancel, data and other reads meet: every byte goes to exactly one read, in order, and each read's callback runs
// exactly once.
func TestResultsCancelAgainstCompletionOfReads(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const rounds, many = 100, 20
		a, b := c.Pair(t, nil, nil)
		var want, got []byte
		hits := 0
		for round := range rounds {
			var outcomes [many]<-chan kit.ReadOutcome
			var results [many]netstream.AsyncResult
			for i := range many {
				results[i], outcomes[i] = kit.BeginRead(t, b, 3)
			}
			p := kit.Patterned(round, many) // not enough for all, unless they take less than they could
			want = append(want, p...)
			written := kit.Async(func() error { _, err := a.Write(p); return err })
			var taken [many]bool
			for i := round % 2; i < many; i += 2 {
				taken[i] = b.Cancel(results[i])
			}
			for i := range many { // so that the round ends: what got nothing so far is cancelled too
				taken[i] = taken[i] || b.Cancel(results[i])
			}
			for i := range many {
				o := kit.Within(t, "a read's callback", outcomes[i])
				got = append(got, o.Data...)
				if taken[i] {
					hits++
					kit.WantFailure(t, "a cancelled read", o.Err, 0, false, context.Canceled)
				} else if o.Err != nil || len(o.Data) == 0 {
					t.Fatalf("a read that was not cancelled: %d bytes, %v", len(o.Data), o.Err)
				}
			}
			if err := kit.Within(t, "the peer's Write", written); err != nil {
				t.Fatal(err)
			}
		}
		a.CloseWrite()
		o := kit.Within(t, "what no read has taken", kit.GoRead(b))
		if got = append(got, o.Data...); !bytes.Equal(got, want) {
			t.Errorf("the reads got %d bytes, in order or not, of %d", len(got), len(want))
		}
		t.Logf("%d of %d reads cancelled", hits, rounds*many)
	})
}
