package netstream

import (
	"math/rand/v2"
	"testing"
)

// However streams come and go, each member's place is where the group has it, and a group that has emptied gives the
// places back.
func TestGroup_MembersKeepTheirPlaces(t *testing.T) {
	random := rand.New(rand.NewPCG(10, 2))
	g := new(Group)
	var inside []*NetworkStream // pairs, the ends of a pipe one after the other
	check := func() {
		t.Helper()
		if g.mu.Lock(); len(g.streams) != len(inside) {
			t.Errorf("%d members, want %d", len(g.streams), len(inside))
		}
		for i, m := range g.streams {
			if m.counters.place != i+1 || m.stream.Value().counters != m.counters {
				t.Errorf("member %d believes to be number %d", i+1, m.counters.place)
			}
		}
		g.mu.Unlock()
		left := map[*NetworkStream]bool{}
		for _, s := range inside {
			left[s] = true
		}
		for s := range g.Streams() {
			if !left[s] {
				t.Error("Streams has a stream twice, or one that has left")
			}
			delete(left, s)
		}
		if len(left) != 0 {
			t.Errorf("Streams misses %d", len(left))
		}
	}
	leave := func(i int) {
		pair := [2]*NetworkStream{inside[i], inside[i+1]}
		inside = append(inside[:i], inside[i+2:]...)
		for _, s := range pair {
			s.Close()
			<-s.Done()
		}
	}
	join := func() {
		a, b := Pipe(&Config{Group: g})
		inside = append(inside, a, b)
	}
	for range 150 {
		join()
	}
	check()
	for range 200 {
		if len(inside) > 0 && random.IntN(2) == 0 {
			leave(2 * random.IntN(len(inside)/2))
		} else {
			join()
		}
		check()
	}
	for len(inside) > 0 {
		leave(2 * random.IntN(len(inside)/2))
	}
	check()
	if cap(g.streams) > 2*fewMembers {
		t.Errorf("an empty group keeps %d places", cap(g.streams))
	}
}

// A stream that was refused in the last moment has never been a member.
func TestGroup_OneThatDidNotJoinMayLeave(t *testing.T) {
	g := &Group{stopped: true, reserved: 1}
	a, b := Pipe(nil)
	defer a.Close()
	defer b.Close()
	if err := g.join(a); err != errGroupStopped {
		t.Fatal(err)
	}
	g.remove(a)
	if len(g.streams) != 0 || g.reserved != 0 {
		t.Fatalf("%d streams, %d places", len(g.streams), g.reserved)
	}
}
