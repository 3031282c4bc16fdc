package promises_test

import (
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What the kernel has accepted, it delivers: so a write that completed before the stream was closed must arrive
// whole, although the peer had read nothing of it by then.
func TestPromise02_CompletionMeansTheKernelHasEveryByte(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			const size = 20_000 // fits into every connection's buffers
			a, b := c.Pair(t, nil, nil)
			p := kit.Patterned(7, size)
			written := kit.Async(func() error { return st.Write(a, p) })
			if err := kit.Within(t, "a write that nobody reads", written); err != nil {
				t.Fatal(err)
			}
			a.Close()
			o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			kit.SameBytes(t, o.Data, p)
		})
	})
}

func TestPromise02_NoCompletionBeforeTheLastByte(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		p, ar, outcome := kit.Plug(t, a)
		if ar.IsCompleted() || len(outcome) != 0 {
			t.Fatalf("completed with %d of %d bytes accepted", a.Stats().BytesWritten, kit.PlugSize)
		}
		// Behind it, writes of all sizes: each callback must find at least the bytes up to its own accepted.
		total := int64(kit.PlugSize)
		const count = 100
		early := make(chan int64, count)
		for i := range count {
			q := kit.Patterned(i, 1+i*977%9000)
			p = append(p, q...)
			total += int64(len(q))
			upTo := total
			kit.MustBegin(t, a, q, func(ar netstream.AsyncResult) {
				err := a.EndWrite(ar)
				if accepted := int64(a.Stats().BytesWritten); err != nil || accepted < upTo {
					early <- upTo - accepted
					return
				}
				early <- 0
			})
		}
		kit.ReadExactly(t, b, p)
		if err := kit.Within(t, "the first write", outcome); err != nil {
			t.Fatal(err)
		}
		for range count {
			if missing := kit.Within(t, "a callback", early); missing != 0 {
				t.Fatalf("a write completed %d bytes too early, or failed", missing)
			}
		}
	})
}

func TestPromise02_AnErrorSaysHowManyBytes(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			a, b := c.Pair(t, nil, nil)
			kit.SmallBuffers(t, a, b)
			p := kit.Patterned(8, kit.PlugSize)
			written := kit.Async(func() error { return st.Write(a, p) })
			kit.Eventually(t, "the write waits", kit.BegunWrites(a, 1))
			hasInputOrForeign(t, c, b)
			kit.CutNow(t, a)
			failure := kit.IOFailure(t, kit.Within(t, "the write that was cut", written))
			if failure.N <= 0 || failure.N >= kit.PlugSize {
				t.Fatalf("N = %d", failure.N)
			}
			if accepted := a.Stats().BytesWritten; accepted != uint64(failure.N) && !c.TLS() {
				t.Errorf("N = %d, BytesWritten = %d", failure.N, accepted)
			}
			kit.ReadExactly(t, b, p[:failure.N]) // exactly so many can be read,
			kit.Eventually(t, "what was sealed before a Write was cut is out", func() bool {
				return a.Stats().BytesWritten == uint64(failure.N)
			})
			rest := kit.GoRead(b)
			a.Close()
			if o := kit.Within(t, "the peer sees the end", rest); len(o.Data) != 0 { // and not one more
				t.Fatalf("%d bytes more than N arrived", len(o.Data))
			}
		})
	})
}

// hasInputOrForeign waits until something of a's write has arrived at b. How much the one Write call of a foreign
// connection has done is not known before it returns, and b knows no more of its input than that.
func hasInputOrForeign(t *testing.T, c kit.ConnKind, b *netstream.NetworkStream) {
	t.Helper()
	if !c.Foreign {
		kit.HasInput(t, b)
		return
	}
	ar := kit.MustBeginRead(t, b, make([]byte, 0), nil) // a zero-byte read completes when there is input
	kit.Within(t, "input at the peer", ar.AsyncWaitHandle().Done())
	if _, err := b.EndRead(ar); err != nil {
		t.Fatal(err)
	}
}
