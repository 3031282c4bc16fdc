package fanout_test

import (
	"slices"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// The limits hold for posts: pending until the kernel has them, ErrQueueFull at the limit, one of any size into an empty queue.
func TestPost_CountsAsPending(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		group := &netstream.Group{MaxPendingBytes: kit.PlugSize + 1000}
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 3, Group: group}, nil)
		kit.SmallBuffers(t, a, b)
		p := kit.Patterned(1, kit.PlugSize)
		kit.Must(t, a.Post(p)) // larger than what the group leaves to others
		kit.Settled(t, a)
		kit.Must(t, a.Post(make([]byte, 600)))
		kit.WantPending(t, a, 2, kit.PlugSize+600)
		if err := a.Post(make([]byte, 600)); err != netstream.ErrQueueFull {
			t.Errorf("above the group's bytes: %v", err)
		}
		kit.Must(t, a.Post(make([]byte, 400)))
		if err := a.Post(make([]byte, 1)); err != netstream.ErrQueueFull {
			t.Errorf("above the stream's writes: %v", err)
		}
		kit.WantPending(t, a, 3, kit.PlugSize+1000)
		if st := a.Stats(); st.PendingWrites != 3 || st.OldestPending <= 0 || st.Posts != 3 {
			t.Errorf("%+v", st)
		}
		kit.ReadExactly(t, b, append(p, make([]byte, 1000)...))
		kit.WantIdle(t, a)
		if st := a.Stats(); st.OldestPending != 0 || st.BytesWritten != kit.PlugSize+1000 {
			t.Errorf("%+v", st)
		}
	})
}

// A Post overtakes no blocking write that waits for room; so it is refused meanwhile, as Begin is.
func TestPost_StandsBehindBlockingWritesThatWaitForRoom(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 2}, nil)
		kit.SmallBuffers(t, a, b)
		p := kit.Patterned(1, kit.PlugSize)
		kit.Must(t, a.Post(p))
		kit.Settled(t, a)
		kit.Must(t, a.Post([]byte("one")))
		blocked := kit.Async(func() error { _, err := a.Write([]byte("two")); return err })
		kit.Eventually(t, "Write waits for room", kit.BegunWrites(a, 3))
		if err := a.Post([]byte("three")); err != netstream.ErrQueueFull {
			t.Error(err)
		}
		kit.ReadExactly(t, b, append(p, "onetwo"...))
		kit.Must(t, kit.Within(t, "Write", blocked))
	})
}

// OverflowDropOldest takes posts away that have not started, and nothing else of the stream changes.
func TestPost_DropOldest(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count = 3000
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 20, Overflow: netstream.OverflowDropOldest}, nil)
		if !c.Foreign {
			kit.SmallBuffers(t, a, b)
		}
		for i := range count {
			kit.Must(t, a.Post(framed(i, 3000)))
		}
		kept := count - int(a.Stats().Dropped)
		if kept == count || kept < 10 {
			t.Fatalf("%d of %d were kept", kept, count)
		}
		numbers := readFrames(t, b, kept)
		if !slices.IsSorted(numbers) || numbers[len(numbers)-1] != count-1 {
			t.Errorf("out of order, or the newest is missing: %v", numbers)
		}
		kit.WantIdle(t, a)
		if st := a.Stats(); st.WriteErr != nil || st.LostPosts != 0 || st.Posts != count || int(st.Dropped) != count-kept {
			t.Errorf("%+v", st)
		}
		kit.Must(t, a.Post(framed(0, 1)))
		readFrames(t, b, 1)
	})
}

func TestPost_OverflowClose(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 1, Overflow: netstream.OverflowClose}, nil)
		kit.SmallBuffers(t, a, b)
		kit.Must(t, a.Post(kit.Patterned(1, kit.PlugSize)))
		kit.Settled(t, a)
		if err := a.Post([]byte("x")); err != netstream.ErrQueueFull {
			t.Error(err)
		}
		kit.Within(t, "Done", a.Done())
		if a.Err() != netstream.ErrQueueFull {
			t.Error(a.Err())
		}
	})
}
