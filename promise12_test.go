package netstream_test

import (
	"bytes"
	"context"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

func TestPromise12_CancelTakesBackOnlyWhatHasNotStarted(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		first, started, firstDone := plug(t, a)
		one, two, three := patterned(2, 5000), patterned(3, 6000), patterned(4, 7000)
		_, oneDone := begin(t, a, one)
		queued, twoDone := begin(t, a, two)
		_, threeDone := begin(t, a, three)
		wantPending(t, a, 4, plugSize+18000)

		if a.Cancel(started) {
			t.Fatal("a write of which part is out was cancelled")
		}
		if b.Cancel(queued) {
			t.Fatal("another stream's result was cancelled")
		}
		if !a.Cancel(queued) {
			t.Fatal("a queued write could not be cancelled")
		}
		wantPending(t, a, 3, plugSize+12000) // its room is free before Cancel returns
		if a.Cancel(queued) {
			t.Fatal("a write was cancelled twice")
		}
		wantFailure(t, "the cancelled write", within(t, "its callback", twoDone), 0, false,
			context.Canceled, netstream.CodeOperationAborted)
		readExactly(t, b, bytes.Join([][]byte{first, one, three}, nil))
		for _, ch := range []<-chan error{firstDone, oneDone, threeDone} {
			if err := within(t, "a write that was not cancelled", ch); err != nil {
				t.Fatal(err)
			}
		}
		if a.Cancel(started) || a.Cancel(netstream.AsyncResult{}) {
			t.Fatal("Cancel of what is over, or of nothing, said true")
		}
		wantIdle(t, a)
		for _, st := range styles { // the stream is intact
			if err := st.write(a, two); err != nil {
				t.Fatal(err)
			}
			readExactly(t, b, two)
		}
	})
}

func TestPromise12_ACancelledReadTakesNothing(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		first, firstDone := beginRead(t, b, 100)
		second, secondDone := beginRead(t, b, 100)
		_, thirdDone := beginRead(t, b, 100)
		eventually(t, "the read waits", b.ReadWaits)
		for _, r := range []struct {
			name string
			ar   netstream.AsyncResult
			done <-chan readOutcome
		}{{"the one that waits in the queue", second, secondDone}, {"the one that waits for data", first, firstDone}} {
			if !b.Cancel(r.ar) {
				t.Fatalf("%s could not be cancelled", r.name)
			}
			if !r.ar.IsCompleted() {
				t.Fatalf("%s: Cancel returned true before it had completed", r.name)
			}
			o := within(t, r.name, r.done)
			wantFailure(t, r.name, o.err, 0, false, context.Canceled)
		}
		if _, err := a.Write([]byte("whole")); err != nil {
			t.Fatal(err)
		}
		o := within(t, "the read behind", thirdDone)
		if o.err != nil || string(o.data) != "whole" {
			t.Fatalf("the read behind got %q, %v", o.data, o.err)
		}
	})
}

// Whether Cancel or the connection wins: true means not one byte of it is out, false means all of it.
func TestPromise12_CancelRacesWithSending(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, &netstream.Config{Send: netstream.SendDeferred}, nil)
		got := goRead(b)
		const rounds, many, size = 40, 50, 900
		var want []byte
		cancelled := 0
		for round := range rounds {
			results := make([]netstream.AsyncResult, many)
			messages := make([][]byte, many)
			taken := make([]bool, many)
			for i := range many {
				messages[i] = record(round, i, size)
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
					wantFailure(t, "a cancelled write", err, 0, false, context.Canceled)
					continue
				}
				if err != nil {
					t.Fatalf("a write that was not cancelled: %v", err)
				}
				want = append(want, messages[i]...)
			}
		}
		a.Close()
		o := within(t, "the peer reads to the end", got)
		if o.err != nil {
			t.Fatal(o.err)
		}
		sameBytes(t, o.data, want)
		t.Logf("%d of %d cancelled in time", cancelled, rounds*many/2)
	})
}

func TestPromise12_CancelOfAReadRacesWithData(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		const rounds = 400
		all := patterned(1, rounds)
		var got []byte
		for i := range rounds {
			ar, done := beginRead(t, b, 10)
			written := async(func() error { _, err := a.Write(all[i : i+1]); return err })
			taken := b.Cancel(ar)
			o := within(t, "the read", done)
			if taken {
				wantFailure(t, "a cancelled read", o.err, 0, false, context.Canceled)
			} else if o.err != nil {
				t.Fatalf("a read that was not cancelled: %v", o.err)
			}
			got = append(got, o.data...)
			if err := within(t, "the write", written); err != nil {
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
		sameBytes(t, got, all)
	})
}
