package promises_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestPromise12_CancelTakesBackOnlyWhatHasNotStarted(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		first, started, firstDone := kit.Plug(t, a)
		one, two, three := kit.Patterned(2, 5000), kit.Patterned(3, 6000), kit.Patterned(4, 7000)
		_, oneDone := kit.Begin(t, a, one)
		queued, twoDone := kit.Begin(t, a, two)
		_, threeDone := kit.Begin(t, a, three)
		kit.WantPending(t, a, 4, kit.PlugSize+18000)

		if a.Cancel(started) {
			t.Fatal("a write of which part is out was cancelled")
		}
		if b.Cancel(queued) {
			t.Fatal("another stream's result was cancelled")
		}
		kit.MustCancel(t, a, queued)
		kit.WantPending(t, a, 3, kit.PlugSize+12000) // its room is free before Cancel returns
		if a.Cancel(queued) {
			t.Fatal("a write was cancelled twice")
		}
		kit.WantFailure(t, "the cancelled write", kit.Within(t, "its callback", twoDone), 0, false,
			context.Canceled, netstream.CodeOperationAborted)
		kit.ReadExactly(t, b, bytes.Join([][]byte{first, one, three}, nil))
		for _, ch := range []<-chan error{firstDone, oneDone, threeDone} {
			if err := kit.Within(t, "a write that was not cancelled", ch); err != nil {
				t.Fatal(err)
			}
		}
		if a.Cancel(started) || a.Cancel(netstream.AsyncResult{}) {
			t.Fatal("Cancel of what is over, or of nothing, said true")
		}
		kit.WantIdle(t, a)
		for _, st := range kit.Styles { // the stream is intact
			if err := st.Write(a, two); err != nil {
				t.Fatal(err)
			}
			kit.ReadExactly(t, b, two)
		}
	})
}

// Only the write of which part is out has started, however many were begun before the connection took no more.
func TestPromise12_WhatWaitsForTheConnectionHasNotStarted(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.TLS() {
			t.Skip("some of what waits is sealed")
		}
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		message := kit.Patterned(1, 1000)
		begun := make([]netstream.AsyncResult, kit.PlugSize/len(message))
		for i := range begun {
			ar, err := a.BeginWrite(message, 0, len(message), nil, nil)
			kit.Must(t, err)
			begun[i] = ar
		}
		kit.Settled(t, a)
		started := 0
		for _, ar := range slices.Backward(begun) {
			if !a.Cancel(ar) && !ar.IsCompleted() {
				started++
			}
		}
		if writes, _ := a.Pending(); started > 1 || writes > 1 {
			t.Errorf("%d writes could not be cancelled, %d are pending", started, writes)
		}
		out := int(a.Stats().BytesWritten)
		kit.ReadExactly(t, b, bytes.Repeat(message, (out+len(message)-1)/len(message)))
		kit.WantIdle(t, a)
	})
}

func TestPromise12_ACancelledReadTakesNothing(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		first, firstDone := kit.BeginRead(t, b, 100)
		second, secondDone := kit.BeginRead(t, b, 100)
		_, thirdDone := kit.BeginRead(t, b, 100)
		kit.Eventually(t, "the reads wait", kit.BegunReads(b, 3))
		for _, r := range []struct {
			name string
			ar   netstream.AsyncResult
			done <-chan kit.ReadOutcome
		}{{"the one that waits in the queue", second, secondDone}, {"the one that waits for data", first, firstDone}} {
			if !b.Cancel(r.ar) {
				t.Fatalf("%s could not be cancelled", r.name)
			}
			if !r.ar.IsCompleted() {
				t.Fatalf("%s: Cancel returned true before it had completed", r.name)
			}
			o := kit.Within(t, r.name, r.done)
			kit.WantFailure(t, r.name, o.Err, 0, false, context.Canceled)
		}
		if _, err := a.Write([]byte("whole")); err != nil {
			t.Fatal(err)
		}
		o := kit.Within(t, "the read behind", thirdDone)
		if o.Err != nil || string(o.Data) != "whole" {
			t.Fatalf("the read behind got %q, %v", o.Data, o.Err)
		}
	})
}

// Whether Cancel or the connection wins: true means not one byte of it is out, false means all of it.
func TestPromise12_CancelRacesWithSending(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{Send: netstream.SendDeferred}, nil)
		got := kit.GoRead(b)
		const rounds, many, size = 40, 50, 900
		var want []byte
		cancelled := 0
		for round := range rounds {
			results := make([]netstream.AsyncResult, many)
			messages := make([][]byte, many)
			taken := make([]bool, many)
			for i := range many {
				messages[i] = kit.Record(round, i, size)
				ar, err := a.BeginWrite(messages[i], 0, size, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				results[i] = ar
			}
			var wg sync.WaitGroup
			for i := 1; i < many; i += 2 {
				wg.Go(func() { taken[i] = a.Cancel(results[i]) })
			}
			wg.Wait()
			for i, ar := range results {
				err := a.EndWrite(ar)
				if taken[i] {
					cancelled++
					kit.WantFailure(t, "a cancelled write", err, 0, false, context.Canceled)
					continue
				}
				if err != nil {
					t.Fatalf("a write that was not cancelled: %v", err)
				}
				want = append(want, messages[i]...)
			}
		}
		a.Close()
		o := kit.Within(t, "the peer reads to the end", got)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		kit.SameBytes(t, o.Data, want)
		t.Logf("%d of %d cancelled in time", cancelled, rounds*many/2)
	})
}

func TestPromise12_CancelOfAReadRacesWithData(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		const rounds = 400
		all := kit.Patterned(1, rounds)
		var got []byte
		for i := range rounds {
			ar, done := kit.BeginRead(t, b, 10)
			written := kit.Async(func() error { _, err := a.Write(all[i : i+1]); return err })
			taken := b.Cancel(ar)
			o := kit.Within(t, "the read", done)
			if taken {
				kit.WantFailure(t, "a cancelled read", o.Err, 0, false, context.Canceled)
			} else if o.Err != nil {
				t.Fatalf("a read that was not cancelled: %v", o.Err)
			}
			got = append(got, o.Data...)
			if err := kit.Within(t, "the write", written); err != nil {
				t.Fatal(err)
			}
			if taken {
				p := make([]byte, 10)
				n, err := b.Read(p)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, p[:n]...)
			}
		}
		kit.SameBytes(t, got, all)
	})
}
