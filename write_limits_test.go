package netstream

import (
	"io"
	"math"
	"testing"
	"testing/synctest"
	"time"
)

// The limits are met exactly, and the highest there are let anything in.
func TestWriteQueue_LimitsAreExact(t *testing.T) {
	c := Config{MaxPendingWrites: 3, MaxPendingBytes: 10}
	for _, k := range []struct {
		writes, bytes, size int64
		want                bool
	}{
		{0, 0, 11, true}, // larger than the limit, and alone
		{1, 0, 10, true},
		{1, 1, 10, false},
		{2, 8, 2, true},
		{2, 8, 3, false},
		{3, 8, 0, false},
		{2, 10, 0, true},
	} {
		if got := c.admits(k.writes, k.bytes, k.size); got != k.want {
			t.Errorf("%d writes of %d bytes, and one of %d: admitted=%t", k.writes, k.bytes, k.size, got)
		}
	}
	highest := Config{MaxPendingWrites: mostWrites, MaxPendingBytes: mostBytes}
	if !highest.admits(1, 1, 1<<41) {
		t.Error("without a limit, 2 TiB are not admitted")
	}
}

// What counts is the smaller one of a stream's limit and its group's. Zero is no limit of a group.
func TestWriteQueue_TheSmallerLimitCounts(t *testing.T) {
	for _, k := range []struct {
		group         *Group
		writes, bytes int64
	}{
		{nil, 10, 100},
		{&Group{}, 10, 100},
		{&Group{MaxPendingWrites: 9}, 9, 100},
		{&Group{MaxPendingBytes: 99}, 10, 99},
		{&Group{MaxPendingWrites: 11, MaxPendingBytes: 101}, 10, 100},
	} {
		c := Config{MaxPendingWrites: 10, MaxPendingBytes: 100, Group: k.group}
		if writes, bytes := c.leastLimits(); writes != k.writes || bytes != k.bytes {
			t.Errorf("group %+v: %d writes of %d bytes, want %d of %d", k.group, writes, bytes, k.writes, k.bytes)
		}
	}
}

// Callbacks that do not start bound what OverflowDropOldest lets in, to the write, whether something has to be dropped or not. No
// other policy knows them.
func TestWriteQueue_WhatIsPiledIsBounded(t *testing.T) {
	for _, k := range []struct {
		overflow    Overflow
		piled       int32
		empty, full bool // whether one more is let in
	}{
		{OverflowDropOldest, maxPiled - 1, true, true},
		{OverflowDropOldest, maxPiled, false, false},
		{OverflowFail, maxPiled, true, false},
	} {
		r := newQueueRig(t, &vectors{run: -1}, Config{MaxPendingWrites: 4, MaxPendingBytes: 100, Overflow: k.overflow}, nil)
		let := func() bool {
			r.w.piled.Store(k.piled)
			defer r.w.piled.Store(0)
			var fx writeEffects
			admitted := r.w.admit(3) || r.w.makeRoom(3, &fx)
			if admitted {
				r.w.uncount(3)
			} else if fx.dropped > 0 {
				t.Errorf("%+v: something was dropped in vain", k)
			}
			r.carryOut(&fx)
			return admitted
		}
		if got := let(); got != k.empty {
			t.Errorf("%+v: an empty queue lets it in: %t", k, got)
		}
		for range 4 {
			r.begin(false, 3)
		}
		if got := let(); got != k.full {
			t.Errorf("%+v: a full queue lets it in: %t", k, got)
		}
	}
}

// A slice of a file that turns out shorter gives the room of the rest up, and is over with what has gone out.
func TestWriteQueue_AWriteShrinks(t *testing.T) {
	g := &Group{MaxPendingBytes: 1000}
	r := newQueueRig(t, &vectors{run: -1}, Config{MaxPendingWrites: 4, MaxPendingBytes: 1000, Group: g}, nil)
	op := newOperation(&r.owner, kindWrite, nil, nil)
	op.size, op.caller = 100, byResumable
	r.w.ownBlocking(op)
	want := func(writes, bytes int64) {
		t.Helper()
		if w, b := r.w.pending(); w != writes || b != bytes {
			t.Errorf("%d writes of %d bytes are pending, want %d of %d", w, b, writes, bytes)
		}
		if w, b := g.limits.writes.Load(), g.limits.bytes.Load(); w != writes || b != bytes {
			t.Errorf("the group counts %d writes of %d bytes, want %d of %d", w, b, writes, bytes)
		}
	}
	want(1, 100)
	r.w.shrink(op, 30)
	want(1, 30)
	var fx writeEffects
	r.w.account(30, 30, nil, &fx)
	r.w.returned()
	r.w.settle(30, &fx)
	if !op.completed() || op.done != 30 {
		t.Errorf("completed=%t with %d bytes done", op.completed(), op.done)
	}
	r.carryOut(&fx)
	want(0, 0)
}

// Nothing is dropped behind a WaitRoom that waits for more than dropping can give, however much that is.
func TestWriteQueue_NothingIsDroppedForAHugeWaitRoom(t *testing.T) {
	r := newQueueRig(t, &vectors{run: -1}, Config{MaxPendingWrites: 100, MaxPendingBytes: 6, Overflow: OverflowDropOldest}, nil)
	r.write(true, 3)
	r.begin(false, 3)
	r.write(false, 1)
	r.waitRoom(math.MaxInt64)
	r.waitRoom(1)
	r.write(false, 1)
	r.begin(false, 1)
	if r.check(); r.told.dropped > 0 || len(r.messages) != 4 {
		t.Errorf("%d were dropped for one of %d messages", r.told.dropped, len(r.messages))
	}
	r.windUp()
}

// The age of what is pending is that of the oldest: of the write that Begin has sent in part, one that waits, or a post.
func TestOldestPending_OfEveryKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(nil)
		defer b.Close()
		defer a.Close()
		want := func(what string, age time.Duration) {
			t.Helper()
			synctest.Wait()
			if got := a.Stats().OldestPending; got != age {
				t.Errorf("%s: %v, want %v", what, got, age)
			}
		}
		read := func(n int) {
			t.Helper()
			for p := make([]byte, n); len(p) > 0; {
				m, err := b.Read(p)
				if err != nil {
					t.Fatal(err)
				}
				p = p[m:]
			}
			synctest.Wait()
		}
		begin := func(n int) {
			t.Helper()
			if _, err := a.BeginWrite(make([]byte, n), 0, n, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		want("idle", 0)
		time.Sleep(time.Hour)
		begin(100 << 10) // the pipe holds 64 KiB
		want("just begun", 1)
		time.Sleep(time.Minute)
		read(1000)
		want("half out", time.Minute)
		if err := a.Post(make([]byte, 100<<10)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		begin(100 << 10)
		time.Sleep(time.Minute)
		want("half out", 3*time.Minute)
		read(100 << 10)
		want("a post", 2*time.Minute)
		read(100 << 10)
		want("what was begun behind it", time.Minute)
		read(100<<10 - 1000)
		want("idle again", 0)
		time.Sleep(time.Hour)
		if err := a.Post(make([]byte, 100<<10)); err != nil {
			t.Fatal(err)
		}
		want("just posted", 1)
	})
}

// A subscriber that is always a little behind is no older than that: the age of a post is not that of one that went out long
// ago. It may be twice what it is, and is never less.
func TestOldestPending_OfPostsThatNeverRunOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(nil)
		defer b.Close()
		defer a.Close()
		const size, behind = 64 << 10, 3 // the pipe holds one
		p := make([]byte, size)
		for i := range 100 {
			if err := a.Post(p); err != nil {
				t.Fatal(err)
			}
			if i > behind {
				if _, err := io.ReadFull(b, make([]byte, size)); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
			age, want := a.Stats().OldestPending, time.Duration(min(i-1, behind-1))*time.Second
			if i > 1 && (age < want || age > 2*want) {
				t.Errorf("post %d: the oldest one is said to be %v old, and is %v", i, age, want)
			}
			time.Sleep(time.Second)
		}
	})
}

// A group's limits are met exactly; one write alone is let in however large it is.
func TestGroup_LimitsAreExact(t *testing.T) {
	g := &Group{MaxPendingWrites: 3, MaxPendingBytes: 10}
	for _, k := range []struct {
		bytes, writes int64
		want          bool
	}{{11, 1, true}, {10, 3, true}, {11, 2, false}, {10, 4, false}} {
		if got := g.within(k.bytes, k.writes); got != k.want {
			t.Errorf("%d writes of %d bytes: %t", k.writes, k.bytes, got)
		}
	}
	if (&Group{}).limited() || !(&Group{MaxPendingBytes: 1}).limited() || !(&Group{MaxPendingWrites: 1}).limited() {
		t.Error("a group does not know whether it has limits")
	}
}

// A callback that starts takes its write off the count of those that wait for that.
func TestDropOldest_CallbacksThatStartAreNotPiled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(&Config{Overflow: OverflowDropOldest})
		defer b.Close()
		defer a.Close()
		for range 3 {
			if _, err := a.BeginWrite([]byte("x"), 0, 1, func(AsyncResult) {}, nil); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if n := a.write.piled.Load(); n != 0 {
			t.Errorf("%d are piled", n)
		}
		if writes, bytes := a.Pending(); writes != 0 || bytes != 0 {
			t.Errorf("%d writes of %d bytes are pending", writes, bytes)
		}
	})
}

// Behind a callback that blocks, WaitRoom waits until Begin takes writes again: whoever was refused would spin.
func TestDropOldest_WaitRoomWaitsForCallbacksThatPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(&Config{Overflow: OverflowDropOldest})
		defer b.Close()
		defer a.Close()
		release := make(chan struct{})
		begin := func(f AsyncCallback) error {
			_, err := a.BeginWrite([]byte("x"), 0, 1, f, nil)
			return err
		}
		for _, f := range []AsyncCallback{func(AsyncResult) { <-release }, func(AsyncResult) {}} {
			if err := begin(f); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		a.write.piled.Add(maxPiled - 1) // those that many Begins would leave
		if err := begin(nil); err != ErrQueueFull {
			t.Fatalf("Begin: %v", err)
		}
		waits, err := a.BeginWaitRoom(1, nil, nil)
		if err != nil || waits.IsCompleted() {
			t.Fatalf("there is room: %t, %v", waits.IsCompleted(), err)
		}
		close(release)
		synctest.Wait()
		if !waits.IsCompleted() {
			t.Fatal("a callback has started, and nobody was let in")
		}
		if err := a.EndWaitRoom(waits); err != nil {
			t.Error(err)
		}
		if err := begin(nil); err != nil {
			t.Errorf("Begin: %v", err)
		}
		synctest.Wait()
		a.write.piled.Add(1 - maxPiled)
	})
}
