package promises_test

import (
	"errors"
	"sync/atomic"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A dropped write has given its room up, but its callback is still to run, and so it is with one that is sent. While
// callbacks are blocked these may not pile up without end.
func TestPromise13_DroppedWritesWhoseCallbacksWaitAreBounded(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const limit, bound = 20, netstream.DefaultMaxPendingWrites
		a, b := c.Pair(t, &netstream.Config{Overflow: netstream.OverflowDropOldest, MaxPendingWrites: limit}, nil)
		entered, release := make(chan struct{}), make(chan struct{})
		if _, err := a.BeginWrite([]byte("x"), 0, 1, func(netstream.AsyncResult) { close(entered); <-release }, nil); err != nil {
			t.Fatal(err)
		}
		kit.Within(t, "the callback that blocks", entered)
		p := kit.Patterned(1, kit.PlugSize) // nobody reads: what is not dropped waits
		var begun, called atomic.Int64
		full := false
		for range 2 * bound {
			_, err := a.BeginWrite(p, 0, len(p), func(netstream.AsyncResult) { called.Add(1) }, nil)
			if full = errors.Is(err, netstream.ErrQueueFull); full {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			begun.Add(1)
		}
		if n := begun.Load(); !full || n > bound+2*limit {
			t.Errorf("%d writes were begun behind a blocked callback, full %t", n, full)
		}
		close(release)
		a.Close()
		b.Close()
		kit.Within(t, "Done", a.Done())
		if called.Load() != begun.Load() {
			t.Errorf("%d callbacks for %d writes", called.Load(), begun.Load())
		}
	})
}
