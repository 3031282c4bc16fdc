package promises_test

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestPromise13_TheQueueIsBoundedInBytes(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingBytes: kit.PlugSize + 1000, MaxPendingWrites: -1}, nil)
		kit.SmallBuffers(t, a, b)
		first, _, firstDone := kit.Plug(t, a)
		one, two := kit.Patterned(2, 400), kit.Patterned(3, 600)
		_, oneDone := kit.Begin(t, a, one)
		kit.WantRefused(t, a, 601)
		_, twoDone := kit.Begin(t, a, two) // fills it to the last byte
		kit.WantRefused(t, a, 1)
		kit.WantPending(t, a, 3, kit.PlugSize+1000)
		kit.ReadExactly(t, b, bytes.Join([][]byte{first, one, two}, nil))
		for _, ch := range []<-chan error{firstDone, oneDone, twoDone} {
			if err := kit.Within(t, "an admitted write", ch); err != nil {
				t.Fatal(err)
			}
		}
		kit.WantIdle(t, a)
		if err := kit.BeginThen(a, one, func(netstream.AsyncResult) {}); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		kit.ReadExactly(t, b, one)
	})
}

func TestPromise13_TheQueueIsBoundedInWrites(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingBytes: -1, MaxPendingWrites: 3}, nil)
		kit.SmallBuffers(t, a, b)
		first, _, _ := kit.Plug(t, a)
		one, two := kit.Patterned(2, 400_000), kit.Patterned(3, 1)
		kit.Begin(t, a, one)
		kit.Begin(t, a, two)
		kit.WantRefused(t, a, 1)
		kit.WantRefused(t, a, 0) // a write without bytes is a write
		kit.ReadExactly(t, b, bytes.Join([][]byte{first, one, two}, nil))
		kit.WantIdle(t, a)
	})
}

func TestPromise13_NoLimit(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingBytes: -1, MaxPendingWrites: -1}, nil)
		kit.SmallBuffers(t, a, b)
		kit.Plug(t, a)
		huge := make([]byte, netstream.DefaultMaxPendingBytes)
		kit.Begin(t, a, huge)
		for range netstream.DefaultMaxPendingWrites + 1 {
			if _, err := a.BeginWrite(huge, 0, 1, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		kit.WantPending(t, a, netstream.DefaultMaxPendingWrites+3,
			kit.PlugSize+netstream.DefaultMaxPendingBytes+netstream.DefaultMaxPendingWrites+1)
		a.Close()
		b.Close()
		kit.WantIdle(t, a)
	})
}

func TestPromise13_OneWriteLargerThanEveryLimitGoesIntoAnEmptyQueue(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			group := &netstream.Group{MaxPendingBytes: 10, MaxPendingWrites: 1}
			a, b := c.Pair(t, &netstream.Config{MaxPendingBytes: 10, MaxPendingWrites: 1, Group: group}, nil)
			kit.SmallBuffers(t, a, b)
			p := kit.Patterned(1, kit.PlugSize)
			written := kit.Async(func() error { return st.Write(a, p) })
			kit.HasInput(t, b)
			if st.Async {
				kit.WantRefused(t, a, 1)
			}
			kit.ReadExactly(t, b, p)
			if err := kit.Within(t, "the large write", written); err != nil {
				t.Fatal(err)
			}
			kit.WantIdle(t, a)
		})
	})
}

// A write with a callback counts until its callback starts: a program that cannot keep up with its callbacks is
// held back like one whose peer does not read.
func TestPromise13_AWriteCountsUntilItsCallbackStarts(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		group := &netstream.Group{}
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 2, Group: group}, nil)
		started, release := make(chan struct{}), make(chan struct{})
		p := []byte("first")
		_, err := a.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) {
			if w, n := a.Pending(); w != 0 || n != 0 {
				t.Errorf("Pending in the callback: %d, %d", w, n)
			}
			close(started)
			<-release
			a.EndWrite(ar)
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		kit.Within(t, "the first callback", started)
		one, oneDone := kit.Begin(t, a, []byte("22"))
		two, twoDone := kit.Begin(t, a, []byte("333"))
		kit.Eventually(t, "both are sent", func() bool { return one.IsCompleted() && two.IsCompleted() })
		kit.WantPending(t, a, 2, 5) // although the kernel has every byte
		if st := group.Stats(); st.PendingWrites != 2 || st.PendingBytes != 5 {
			t.Fatalf("the group counts %d writes, %d bytes", st.PendingWrites, st.PendingBytes)
		}
		kit.WantRefused(t, a, 1)
		close(release)
		for _, ch := range []<-chan error{oneDone, twoDone} {
			if err := kit.Within(t, "the callbacks behind", ch); err != nil {
				t.Fatal(err)
			}
		}
		kit.WantIdle(t, a)
		// Without a callback it counts until it is complete, ended or not.
		ar, err := a.BeginWrite(p, 0, len(p), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		kit.Eventually(t, "it is sent", ar.IsCompleted)
		kit.WantIdle(t, a)
		if st := group.Stats(); st.PendingWrites != 0 || st.PendingBytes != 0 {
			t.Fatalf("the group counts %d writes, %d bytes", st.PendingWrites, st.PendingBytes)
		}
		kit.ReadExactly(t, b, []byte("first22333first"))
	})
}

func TestPromise13_DropOldestDropsWhatHasNotStarted(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 4, Overflow: netstream.OverflowDropOldest}, nil)
		kit.SmallBuffers(t, a, b)
		first, started, firstDone := kit.Plug(t, a)
		const count = 10
		messages := make([][]byte, count)
		outcomes := make([]<-chan error, count)
		for i := range count {
			messages[i] = kit.Record(i, i, 500)
			_, outcomes[i] = kit.Begin(t, a, messages[i])
		}
		want := append([]byte(nil), first...)
		for i := range count {
			if i < count-3 {
				err := kit.Within(t, "a dropped write", outcomes[i])
				kit.WantFailure(t, "a dropped write", err, 0, false, netstream.ErrDropped, netstream.CodeOperationAborted)
				continue
			}
			want = append(want, messages[i]...)
		}
		if started.IsCompleted() {
			t.Fatal("a write that had started was dropped")
		}
		if st := a.Stats(); st.Dropped != count-3 || st.PendingWrites != 4 {
			t.Fatalf("Stats: %d dropped, %d pending", st.Dropped, st.PendingWrites)
		}
		kit.ReadExactly(t, b, want)
		for _, ch := range append(outcomes[count-3:], firstDone) {
			if err := kit.Within(t, "a write that was kept", ch); err != nil {
				t.Fatal(err)
			}
		}
		kit.WantIdle(t, a)
	})
}

// Dropping ends as soon as there is room, and does not begin when it would not make room.
func TestPromise13_DropOldestDropsNoMoreThanHelps(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		group := &netstream.Group{MaxPendingBytes: kit.PlugSize + 1000}
		for _, where := range []struct {
			name string
			cfg  *netstream.Config
		}{
			{"stream", &netstream.Config{MaxPendingBytes: kit.PlugSize + 1000, Overflow: netstream.OverflowDropOldest}},
			{"group", &netstream.Config{Group: group, Overflow: netstream.OverflowDropOldest}},
		} {
			t.Run(where.name, func(t *testing.T) {
				a, b := c.Pair(t, where.cfg, nil)
				kit.SmallBuffers(t, a, b)
				first, _, _ := kit.Plug(t, a)
				_, one := kit.Begin(t, a, make([]byte, 300))
				_, two := kit.Begin(t, a, make([]byte, 300))
				three := kit.Patterned(3, 300)
				kit.Begin(t, a, three)
				kit.WantRefused(t, a, 1001) // dropping all three would not make room for that
				kit.WantPending(t, a, 4, kit.PlugSize+900)
				last := kit.Patterned(4, 550)
				kit.Begin(t, a, last)
				for _, ch := range []<-chan error{one, two} {
					kit.WantFailure(t, "dropped", kit.Within(t, "dropped", ch), 0, false, netstream.ErrDropped)
				}
				kit.WantPending(t, a, 3, kit.PlugSize+850)
				kit.ReadExactly(t, b, bytes.Join([][]byte{first, three, last}, nil))
				kit.WantIdle(t, a)
			})
		}
	})
}

func TestPromise13_OverflowCloseDisconnectsTheSlowConsumer(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 2, Overflow: netstream.OverflowClose}, nil)
		kit.SmallBuffers(t, a, b)
		first, _, firstDone := kit.Plug(t, a)
		_, behind := kit.Begin(t, a, []byte("behind"))
		_, reading := kit.BeginRead(t, a, 10)
		p := []byte("too much")
		_, err := a.BeginWrite(p, 0, len(p), func(netstream.AsyncResult) { t.Error("the callback of a refused Begin ran") }, nil)
		kit.WantQueueFull(t, err)
		err = kit.Within(t, "the write on its way", firstDone)
		n := kit.IOFailure(t, err).N
		kit.WantFailure(t, "the write on its way", err, int64(a.Stats().BytesWritten), true, netstream.ErrQueueFull)
		kit.WantAborted(t, "the write on its way", err, "NetworkStream")
		err = kit.Within(t, "the write behind", behind)
		kit.WantFailure(t, "the write behind", err, 0, false, netstream.ErrQueueFull, net.ErrClosed)
		err = kit.Within(t, "the read", reading).Err
		kit.WantFailure(t, "the read", err, 0, false, netstream.ErrQueueFull, net.ErrClosed)
		kit.Within(t, "Done", a.Done())
		if !errors.Is(a.Err(), netstream.ErrQueueFull) {
			t.Fatalf("Err() = %v", a.Err())
		}
		kit.WantIdle(t, a)
		o := kit.Within(t, "the peer sees the cut", kit.GoRead(b))
		kit.WantEndAfterCut(t, c, kit.OrEOF(o.Err))
		if !c.TCP() {
			kit.SameBytes(t, o.Data, first[:n]) // a reset of TCP may take with it what was not read
		}
	})
}
