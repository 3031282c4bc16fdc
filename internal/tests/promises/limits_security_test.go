package promises_test

import (
	"context"
	"runtime"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What a peer sends, however much, stays in the kernel until the program reads it into memory of its own: the library
// has no buffer that a peer could fill. The bound is wide, because other tests' leftovers and the runtime move too; a
// library that took what comes would hold 8 MiB a stream here.
func TestSecurity_APeerThatFloodsFillsNoMemoryOfOurs(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const streams = 4
		flood := make([]byte, 8<<20)
		var pairs []endToEnd
		for range streams {
			a, b := c.Pair(t, nil, nil)
			pairs = append(pairs, endToEnd{a, b})
		}
		before := kit.HeapNow()
		for i, p := range pairs {
			if i%2 == 0 { // one that is read now and then, one that is not read at all
				kit.MustBeginRead(t, p.a, make([]byte, 1), func(netstream.AsyncResult) {})
			}
			ctx, cancel := context.WithTimeout(kit.CtxNever, 50*time.Millisecond)
			n, err := p.b.WriteContext(ctx, flood)
			cancel()
			if err == nil {
				t.Fatalf("the kernel took all of %d bytes, and nobody reads", n)
			}
		}
		if grown := kit.HeapNow() - before; grown > 1<<20 {
			t.Errorf("%d streams hold %d bytes more after their peers have sent all they could", streams, grown)
		}
		runtime.KeepAlive(flood)
		for _, p := range pairs {
			p.b.Close()
			p.a.Close()
		}
	})
}

// A peer that does not read makes the program's own writes wait, up to the limits and no further.
func TestSecurity_APeerThatDoesNotReadIsHeldToTheLimits(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const limit = 100_000
		a, b := c.Pair(t, &netstream.Config{MaxPendingBytes: limit, MaxPendingWrites: 50}, nil)
		kit.SmallBuffers(t, a, b)
		p := make([]byte, 4000)
		admitted := func() bool {
			_, err := a.BeginWrite(p, 0, len(p), nil, nil)
			if err != nil && err != netstream.ErrQueueFull {
				t.Fatal(err)
			}
			if w, n := a.Pending(); w > 50 || n > limit {
				t.Fatalf("%d writes, %d bytes are pending, more than the limits", w, n)
			}
			return err == nil
		}
		kit.Eventually(t, "the kernel and the queue are full", func() bool {
			for range 1000 {
				if !admitted() {
					return kit.FullConn(a)
				}
			}
			return false
		})
		for range 10_000 {
			admitted()
		}
	})
}
