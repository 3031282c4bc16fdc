package promises_test

import (
	"errors"
	"io"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// OverflowDropOldest takes every message that is no larger than half of the limits, whatever the peer does: something is
// always there to be dropped, and what the kernel has, has given its room up.
func TestPromise13_DropOldestTakesWhatComes(t *testing.T) {
	const size = 1000
	limits := []struct {
		name string
		cfg  netstream.Config
	}{
		{"two writes", netstream.Config{MaxPendingWrites: 2}},
		{"twenty writes", netstream.Config{MaxPendingWrites: 20}},
		{"the bytes of two", netstream.Config{MaxPendingBytes: 2 * size}},
		{"the bytes of fifty", netstream.Config{MaxPendingBytes: 50 * size}},
		{"a group of its own", netstream.Config{Group: &netstream.Group{MaxPendingBytes: 5 * size, MaxPendingWrites: 4}}},
	}
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		for _, l := range limits {
			for _, reads := range []bool{false, true} {
				name := l.name + ", the peer stalls"
				if reads {
					name = l.name + ", the peer reads"
				}
				t.Run(name, func(t *testing.T) {
					cfg := l.cfg
					cfg.Overflow = netstream.OverflowDropOldest
					a, b := c.Pair(t, &cfg, nil)
					if !c.Foreign {
						kit.SmallBuffers(t, a, b)
					}
					if reads {
						go io.Copy(io.Discard, b)
					}
					takesAll(t, a, 5000, size)
				})
			}
		}
	})
}

// takesAll begins so many writes, none of which may be refused. Each of them ends.
func takesAll(t *testing.T, a *netstream.NetworkStream, count, size int) {
	t.Helper()
	p := kit.Patterned(1, size)
	var ended, dropped atomic.Int64
	onWritten := func(ar netstream.AsyncResult) {
		if errors.Is(a.EndWrite(ar), netstream.ErrDropped) {
			dropped.Add(1)
		}
		ended.Add(1)
	}
	refused := 0
	for range count {
		if _, err := a.BeginWrite(p, 0, size, onWritten, nil); err != nil {
			kit.WantQueueFull(t, err)
			refused++
		}
	}
	if refused > 0 {
		t.Errorf("%d of %d Begins were refused", refused, count)
	}
	a.Close()
	kit.Within(t, "Done", a.Done())
	if n := ended.Load(); n != int64(count-refused) {
		t.Errorf("%d of %d writes ended", n, count-refused)
	}
	if n := a.Stats().Dropped; n != uint64(dropped.Load()) {
		t.Errorf("Stats says %d dropped, the writes %d", n, dropped.Load())
	}
}

// What the kernel has accepted holds no room under this policy, though its callback has not started; nor does a write
// that its deadline ended.
func TestPromise13_UnderDropOldestOnlyWhatIsNotOutHoldsRoom(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 2, Overflow: netstream.OverflowDropOldest}, nil)
		go io.Copy(io.Discard, b)
		entered, release := make(chan struct{}), make(chan struct{})
		if _, err := a.BeginWrite([]byte("x"), 0, 1, func(netstream.AsyncResult) { close(entered); <-release }, nil); err != nil {
			t.Fatal(err)
		}
		kit.Within(t, "the callback that blocks", entered)
		var outcomes []<-chan error
		for range 10 {
			ar, outcome := kit.Begin(t, a, []byte("sent"))
			kit.Eventually(t, "it is sent", ar.IsCompleted)
			kit.WantIdle(t, a)
			outcomes = append(outcomes, outcome)
		}
		kit.Must(t, a.SetWriteDeadline(time.Unix(1, 0)))
		for range 3 {
			ar, late := kit.Begin(t, a, []byte("too late"))
			kit.Eventually(t, "it ends", ar.IsCompleted)
			kit.WantIdle(t, a)
			defer func() {
				kit.WantFailure(t, "the late one", kit.Within(t, "the late one", late), 0, false, os.ErrDeadlineExceeded)
			}()
		}
		if n := a.Stats().Dropped; n != 0 {
			t.Errorf("%d writes were dropped", n)
		}
		close(release)
		for _, outcome := range outcomes {
			kit.Must(t, kit.Within(t, "a callback behind the blocked one", outcome))
		}
	})
}
