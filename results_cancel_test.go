package netstream_test

import (
	"bytes"
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
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
	eachKind(t, func(t *testing.T, c connKind) {
		const rounds, many, size = 60, 100, 1500
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		got := goRead(b)
		var want []byte
		hits, misses := 0, 0
		for round := range rounds {
			writes := make([]cancelledWrite, many)
			for i := range writes {
				w := &writes[i]
				w.message = record(round, i, size)
				w.result = mustBegin(t, a, w.message, func(ar netstream.AsyncResult) {
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
			wantIdle(t, a) // all callbacks have started
			for i := range writes {
				w := &writes[i]
				eventually(t, "the callback", func() bool { return w.calls.Load() > 0 })
			}
			last := make(chan struct{}) // the callback of a last write comes after all of them
			mustBegin(t, a, []byte{}, func(netstream.AsyncResult) { close(last) })
			within(t, "the last callback", last)
			for i := range writes {
				w := &writes[i]
				if n := w.calls.Load(); n != 1 {
					t.Fatalf("%d callbacks", n)
				}
				if w.taken {
					hits++
					wantFailure(t, "a cancelled write", w.err, 0, false, context.Canceled)
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
		o := within(t, "the peer reads to the end", got)
		if o.err != nil {
			t.Fatal(o.err)
		}
		sameBytes(t, o.data, want) // not one byte of a cancelled write, every byte of the others
		t.Logf("%d cancelled, %d written", hits, misses)
	})
}

func TestResultsCancelFreesTheRoomBeforeItReturns(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		const many = 100 // more than the portable engine takes at once
		a, b := c.pair(t, &netstream.Config{MaxPendingWrites: many + 1, MaxPendingBytes: plugSize + many*1000}, nil)
		small(t, a, b)
		plug(t, a)
		var results []netstream.AsyncResult
		for range many {
			results = append(results, mustBegin(t, a, make([]byte, 1000), nil))
		}
		for round := range 200 {
			if _, err := a.BeginWrite(make([]byte, 1000), 0, 1000, nil, nil); !errors.Is(err, netstream.ErrQueueFull) {
				t.Fatalf("round %d: the queue is not full: %v", round, err)
			}
			last := &results[many-1-round%20]
			if !a.Cancel(*last) {
				t.Fatalf("round %d: a queued write was not cancelled", round)
			}
			wantPending(t, a, many, plugSize+(many-1)*1000)
			*last = mustBegin(t, a, make([]byte, 1000), nil)
		}
	})
}

func TestResultsCancelThatIsTooLateChangesNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		p, ar, outcome := plug(t, a)
		for range 10 {
			if a.Cancel(ar) {
				t.Fatal("a write that is half out was cancelled")
			}
		}
		if ar.IsCompleted() {
			t.Fatal("completed by a Cancel that said false")
		}
		readExactly(t, b, p)
		if err := within(t, "the write", outcome); err != nil {
			t.Fatal(err)
		}
		done := mustBegin(t, a, []byte("x"), nil)
		if err := a.EndWrite(done); err != nil {
			t.Fatal(err)
		}
		if a.Cancel(done) {
			t.Error("a write that has ended was cancelled")
		}
		readExactly(t, b, []byte("x"))
	})
}

// A read is cancelled while the one ahead of it gets its byte. That byte is the only one, so the second read
// cannot have taken anything: Cancel must not say that it is too late.
func TestResultsCancelOfAReadBehindOneThatCompletes(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		a, b := c.pair(t, nil, nil)
		for range 300 {
			_, first := beginRead(t, b, 1)
			ar, second := beginRead(t, b, 1)
			written := async(func() error { _, err := a.Write([]byte("x")); return err })
			if !b.Cancel(ar) {
				t.Fatal("a read that has got nothing is still there and was not cancelled")
			}
			if !ar.IsCompleted() {
				t.Fatal("Cancel said true before the completion")
			}
			o := within(t, "the cancelled read's callback", second)
			wantFailure(t, "the cancelled read", o.err, 0, false, context.Canceled)
			if o := within(t, "the first read", first); o.err != nil || string(o.data) != "x" {
				t.Fatalf("the first read: %q, %v", o.data, o.err)
			}
			if err := within(t, "the peer's Write", written); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// Cancel, data and other reads meet: every byte goes to exactly one read, in order, and each read's callback runs
// exactly once.
func TestResultsCancelAgainstCompletionOfReads(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		const rounds, many = 100, 20
		a, b := c.pair(t, nil, nil)
		var want, got []byte
		hits := 0
		for round := range rounds {
			var outcomes [many]<-chan readOutcome
			var results [many]netstream.AsyncResult
			for i := range many {
				results[i], outcomes[i] = beginRead(t, b, 3)
			}
			p := patterned(round, many) // not enough for all, unless they take less than they could
			want = append(want, p...)
			written := async(func() error { _, err := a.Write(p); return err })
			var taken [many]bool
			for i := round % 2; i < many; i += 2 {
				taken[i] = b.Cancel(results[i])
			}
			for i := range many { // so that the round ends: what got nothing so far is cancelled too
				taken[i] = taken[i] || b.Cancel(results[i])
			}
			for i := range many {
				o := within(t, "a read's callback", outcomes[i])
				got = append(got, o.data...)
				if taken[i] {
					hits++
					wantFailure(t, "a cancelled read", o.err, 0, false, context.Canceled)
				} else if o.err != nil || len(o.data) == 0 {
					t.Fatalf("a read that was not cancelled: %d bytes, %v", len(o.data), o.err)
				}
			}
			if err := within(t, "the peer's Write", written); err != nil {
				t.Fatal(err)
			}
		}
		a.CloseWrite()
		o := within(t, "what no read has taken", goRead(b))
		if got = append(got, o.data...); !bytes.Equal(got, want) {
			t.Errorf("the reads got %d bytes, in order or not, of %d", len(got), len(want))
		}
		t.Logf("%d of %d reads cancelled", hits, rounds*many)
	})
}
