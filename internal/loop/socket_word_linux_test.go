package loop

import (
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// told counts the calls of a Waiter.
type told struct {
	read, write int
	onRead      func()
}

func (w *told) ReadReady() {
	w.read++
	if w.onRead != nil {
		w.onRead()
	}
}

func (w *told) WriteReady() { w.write++ }

// Whatever event the kernel has, it fires what it makes ready, alone.
func TestEventsFireWhatTheyMakeReady(t *testing.T) {
	for i, c := range []struct {
		events      uint32
		read, write int
	}{
		{sys.EpollIn, 1, 0},
		{sys.EpollRDHup, 1, 0},
		{sys.EpollOut, 0, 1},
		{sys.EpollHup, 1, 1},
		{sys.EpollErr, 1, 1},
		{sys.EpollPri, 0, 0},
	} {
		s, w := new(Socket), new(told)
		if !s.AwaitRead(0, w) || !s.AwaitWrite(0, w) {
			t.Fatal("not armed")
		}
		s.deliver(c.events)
		if w.read != c.read || w.write != c.write || s.CancelRead() == (c.read > 0) || s.CancelWrite() == (c.write > 0) {
			t.Errorf("%d: told %d of reading and %d of writing, want %d and %d", i, w.read, w.write, c.read, c.write)
		}
	}
}

// What is armed in a call of one event waits for the next.
func TestArmedInACallWaitsForTheNextEvent(t *testing.T) {
	s, first, second := new(Socket), new(told), new(told)
	first.onRead = func() {
		tick, _ := s.Writable()
		s.ClearWrite(tick)
		if !s.AwaitWrite(tick, second) {
			t.Error("not armed")
		}
	}
	if !s.AwaitRead(0, first) || !s.AwaitWrite(0, first) {
		t.Fatal("not armed")
	}
	s.deliver(sys.EpollIn | sys.EpollOut)
	if first.read != 1 || first.write != 1 || second.write != 0 {
		t.Errorf("told %d, %d, and %d too early", first.read, first.write, second.write)
	}
	if !s.CancelWrite() {
		t.Error("what was armed in the call is not armed")
	}
}

// Nothing can be armed on a socket that was removed, and what was is taken back.
func TestRemovedSocketsAreNotArmed(t *testing.T) {
	s, _ := pair(t, testLoop(t, 8))
	for _, await := range []func() bool{
		func() bool { tick, _ := s.Readable(); return s.AwaitRead(tick, new(told)) },
		func() bool { tick, _ := s.Writable(); return s.AwaitWrite(tick, new(told)) },
	} {
		for !await() { // an event has come meanwhile
			continue
		}
	}
	if !s.Remove() || s.Remove() {
		t.Error("removed never, or twice")
	}
	if s.CancelRead() || s.CancelWrite() || s.reader != nil || s.writer != nil {
		t.Error("it is still armed")
	}
	s.deliver(sys.EpollIn | sys.EpollOut) // harvested before
	tick, _ := s.Readable()
	if s.AwaitRead(tick, new(told)) || s.AwaitWrite(tick, new(told)) {
		t.Error("armed after Remove")
	}
}

// Of an arm, its cancel and an event at once: each arm is cancelled or told, once, or refused because of the event.
func TestAnEventMeetsArmAndCancel(t *testing.T) {
	const rounds = 20_000
	for round := range rounds {
		s, w := new(Socket), new(told)
		s.state.Store(bitWritable)
		tick, _ := s.Readable()
		var start, all sync.WaitGroup
		start.Add(1)
		var armed, cancelled bool
		all.Go(func() {
			start.Wait()
			if armed = s.AwaitRead(tick, w); armed && round%2 == 0 {
				cancelled = s.CancelRead()
			}
		})
		all.Go(func() { start.Wait(); s.deliver(sys.EpollIn) })
		start.Done()
		all.Wait()
		want := 1
		if !armed || cancelled {
			want = 0
		}
		if w.read != want || s.CancelRead() {
			t.Fatalf("round %d: armed %t, cancelled %t, told %d times", round, armed, cancelled, w.read)
		}
	}
}
