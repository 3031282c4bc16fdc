package netstream_test

import (
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// What the kernel has accepted, it delivers: so a write that completed before the stream was closed must arrive
// whole, although the peer had read nothing of it by then.
func TestPromise02_CompletionMeansTheKernelHasEveryByte(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		eachStyle(t, func(t *testing.T, st style) {
			const size = 20_000 // fits into every connection's buffers
			a, b := c.pair(t, nil, nil)
			p := patterned(7, size)
			written := async(func() error { return st.write(a, p) })
			if err := within(t, "a write that nobody reads", written); err != nil {
				t.Fatal(err)
			}
			a.Close()
			o := within(t, "the peer reads to the end", goRead(b))
			if o.err != nil {
				t.Fatal(o.err)
			}
			sameBytes(t, o.data, p)
		})
	})
}

func TestPromise02_NoCompletionBeforeTheLastByte(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		p, ar, outcome := plug(t, a)
		if ar.IsCompleted() || len(outcome) != 0 {
			t.Fatalf("completed with %d of %d bytes accepted", a.Stats().BytesWritten, plugSize)
		}
		// Behind it, writes of all sizes: each callback must find at least the bytes up to its own accepted.
		total := int64(plugSize)
		const count = 100
		early := make(chan int64, count)
		for i := range count {
			q := patterned(i, 1+i*977%9000)
			p = append(p, q...)
			total += int64(len(q))
			upTo := total
			mustBegin(t, a, q, func(ar netstream.AsyncResult) {
				err := a.EndWrite(ar)
				if accepted := int64(a.Stats().BytesWritten); err != nil || accepted < upTo {
					early <- upTo - accepted
					return
				}
				early <- 0
			})
		}
		readExactly(t, b, p)
		if err := within(t, "the first write", outcome); err != nil {
			t.Fatal(err)
		}
		for range count {
			if missing := within(t, "a callback", early); missing != 0 {
				t.Fatalf("a write completed %d bytes too early, or failed", missing)
			}
		}
	})
}

func TestPromise02_AnErrorSaysHowManyBytes(t *testing.T) {
	eachKind(t, func(t *testing.T, c connKind) {
		eachStyle(t, func(t *testing.T, st style) {
			a, b := c.pair(t, nil, nil)
			small(t, a, b)
			p := patterned(8, plugSize)
			written := async(func() error { return st.write(a, p) })
			eventually(t, "the write waits", a.WriteWaits)
			hasInputOrForeign(t, c, b)
			cutNow(t, a)
			failure := ioFailure(t, within(t, "the write that was cut", written))
			if failure.N <= 0 || failure.N >= plugSize {
				t.Fatalf("N = %d", failure.N)
			}
			if accepted := a.Stats().BytesWritten; accepted != uint64(failure.N) {
				t.Errorf("N = %d, BytesWritten = %d", failure.N, accepted)
			}
			readExactly(t, b, p[:failure.N]) // exactly so many can be read,
			rest := goRead(b)
			a.Close()
			if o := within(t, "the peer sees the end", rest); len(o.data) != 0 { // and not one more
				t.Fatalf("%d bytes more than N arrived", len(o.data))
			}
		})
	})
}

// hasInputOrForeign waits until something of a's write has arrived at b. How much the one Write call of a foreign
// connection has done is not known before it returns, and b knows no more of its input than that.
func hasInputOrForeign(t *testing.T, c connKind, b *netstream.NetworkStream) {
	t.Helper()
	if !c.foreign {
		hasInput(t, b)
		return
	}
	ar := mustBeginRead(t, b, make([]byte, 0), nil) // a zero-byte read completes when there is input
	within(t, "input at the peer", ar.AsyncWaitHandle().Done())
	if _, err := b.EndRead(ar); err != nil {
		t.Fatal(err)
	}
}
