package netstream

import (
	"errors"
	"math"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"
)

// A write of any size fits into a group in which nothing is pending, and none above the limits otherwise.
func TestGroupLimits_OneOfAnySize(t *testing.T) {
	g := &Group{MaxPendingBytes: 10, MaxPendingWrites: 2}
	for i, c := range []struct {
		size int64
		fits bool
	}{{100, true}, {0, false}, {-100, true}, {10, true}, {1, false}, {0, true}, {0, false}} {
		if c.size < 0 {
			g.discharge(1, -c.size)
		} else if g.charge(c.size) != c.fits {
			t.Errorf("%d: %d bytes fit: %t", i, c.size, !c.fits)
		}
	}
}

// Whoever waits for a group's room is known until it does not want it any more.
func TestGroupLimits_WhoWaits(t *testing.T) {
	g := &Group{MaxPendingWrites: 1}
	a, b := bareStream(&Config{}, nil, nil), bareStream(&Config{}, nil, nil)
	g.want(a)
	g.want(b)
	g.unwant(a)
	if _, known := g.limits.waiting[a]; known || len(g.limits.waiting) != 1 || !g.limits.wanted.Load() {
		t.Error("of two that have waited one still does:", g.limits.waiting)
	}
	g.unwant(b)
	if len(g.limits.waiting) > 0 || g.limits.wanted.Load() {
		t.Error("nobody waits:", g.limits.waiting)
	}
}

// Each time that room is freed somebody looks who can be let in, also while an earlier look is not over: it may have passed
// the one that can.
func TestGroupLimits_EachRoomIsOffered(t *testing.T) {
	g := &Group{MaxPendingWrites: 1}
	s := bareStream(&Config{}, nil, nil)
	g.want(s)
	s.mu.Lock() // the look does not get past this one
	g.discharge(0, 0)
	for end := time.Now().Add(time.Minute); g.limits.serving.Load(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatal("nobody else may look")
		}
	}
	s.mu.Unlock()
}

// The room of a group goes from one stream to another, again and again.
func TestGroupLimits_RoomGoesRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Group{MaxPendingWrites: 1}
		a, fromA := Pipe(&Config{Group: g})
		b, fromB := Pipe(&Config{Group: g})
		for _, s := range []*NetworkStream{a, fromA, b, fromB} {
			defer s.Close()
		}
		full := make([]byte, 64<<10) // what the Pipe holds
		from, to := a, b
		reader := map[*NetworkStream]*NetworkStream{a: fromA, b: fromB}
		for round := range 5 {
			if round < 2 {
				if _, err := from.Write(full); err != nil {
					t.Fatal(err)
				}
			}
			ar, err := from.BeginWrite([]byte{1}, 0, 1, nil, nil)
			if err != nil {
				t.Fatal(round, err)
			}
			waits, err := to.BeginWaitRoom(1, nil, nil)
			if err != nil {
				t.Fatal(round, err)
			}
			if waits.IsCompleted() {
				t.Fatal(round, "there was room")
			}
			if _, err := reader[from].Read(make([]byte, 1)); err != nil {
				t.Fatal(round, err)
			}
			if err := from.EndWrite(ar); err != nil {
				t.Fatal(round, err)
			}
			synctest.Wait()
			if !waits.IsCompleted() {
				t.Fatal(round, "nobody was let in")
			}
			if err := to.EndWaitRoom(waits); err != nil {
				t.Fatal(round, err)
			}
			from, to = to, from
		}
	})
}

// A wait for more room than there can be ends when nothing is pending in the group, however much it asks for.
func TestGroupLimits_AHugeWaitRoomWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Group{MaxPendingBytes: 100 << 10}
		a, fromA := Pipe(&Config{Group: g})
		other, _ := Pipe(&Config{Group: g})
		for _, s := range g.snapshot() {
			defer s.Close()
		}
		if _, err := a.BeginWrite(make([]byte, 65<<10), 0, 65<<10, nil, nil); err != nil { // more than the Pipe holds
			t.Fatal(err)
		}
		synctest.Wait()
		waits, err := other.BeginWaitRoom(math.MaxInt64, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if waits.IsCompleted() {
			t.Error("there is room although something is pending")
		}
		if _, err := fromA.Read(make([]byte, 64<<10)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !waits.IsCompleted() {
			t.Error("nothing is pending, and it waits")
		}
	})
}

// A listener leaves its group when it is closed.
func TestListener_LeavesItsGroup(t *testing.T) {
	g := new(Group)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skip(err)
	}
	l, err := NewListener(ln, &Config{Group: g})
	if err != nil {
		t.Fatal(err)
	}
	if len(g.listeners) != 1 {
		t.Error("it is not in its group")
	}
	if err := l.Close(); err != nil || len(g.listeners) != 0 {
		t.Error("it has not left its group:", err)
	}
}

// Whoever waits for a place in a group is told when a stream that was being made gives its up, and does not wait in one that
// was stopped.
func TestGroup_PlacesThatAreGivenUp(t *testing.T) {
	g := &Group{MaxStreams: 1}
	if err := g.reserve(); err != nil {
		t.Fatal(err)
	}
	left := g.full()
	if left == nil || isClosed(left) || g.reserve() == nil {
		t.Fatal("it is not full")
	}
	g.giveUp()
	if !isClosed(left) || g.full() != nil {
		t.Error("nobody is told of the place")
	}
	if err := g.reserve(); err != nil {
		t.Fatal(err)
	}
	g.stopped = true
	if g.full() != nil || g.reserve() == nil {
		t.Error("a group that was stopped gives places")
	}
}

// What Shutdown reports is the sum of all losses, of which each counts, with or without an error.
func TestGroup_ShutdownResult(t *testing.T) {
	failure := errors.New("failed")
	for i, c := range []struct {
		results []drained
		lost    int64
		want    error
	}{
		{nil, 0, nil},
		{[]drained{{}, {}}, 0, nil},
		{[]drained{{}, {3, failure}, {4, errAborted}}, 7, failure},
		{[]drained{{5, nil}}, 5, nil},
		{[]drained{{0, &IOError{Err: failure}}}, 0, failure},
	} {
		err := shutdownResult(t.Context(), c.results)
		var got *IOError
		if lossless := i < 2; lossless != (err == nil) || !lossless && (!errors.As(err, &got) || got.Unsent != c.lost) {
			t.Errorf("%d: %v", i, err)
		}
		if !errors.Is(err, c.want) && c.want != nil {
			t.Errorf("%d: %v, want %v", i, err, c.want)
		}
	}
}
