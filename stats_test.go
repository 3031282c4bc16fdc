package netstream

import (
	"reflect"
	"runtime"
	"testing"
	"time"
)

// A group's sums are those of each count, the greater of two ages, and the first failure.
func TestStats_AddEverything(t *testing.T) {
	first, second := &IOError{}, &IOError{}
	fill := func(by int64, failure error) (st Stats) {
		v := reflect.ValueOf(&st).Elem()
		for i := range v.NumField() {
			switch f := v.Field(i); {
			case f.CanUint():
				f.SetUint(uint64(by) * uint64(i+1))
			case f.CanInt():
				f.SetInt(by * int64(i+1))
			}
		}
		st.WriteErr, st.OldestPending = failure, time.Duration(by)
		return st
	}
	for _, c := range []struct {
		a, b   Stats
		oldest time.Duration
		err    error
	}{
		{fill(1, first), fill(100, second), 100, first},
		{fill(100, nil), fill(1, second), 100, second},
	} {
		sum, want := c.a, fill(101, c.err)
		want.OldestPending = c.oldest
		if sum.add(c.b); sum != want {
			t.Errorf("%+v, want %+v", sum, want)
		}
	}
}

// Whoever sees a write complete finds its bytes in the sums: they are counted first.
func TestStats_CountBeforeTheWriteCompletes(t *testing.T) {
	s, peer := Pipe(nil)
	defer peer.Close()
	defer s.Close()
	var last AsyncResult
	for range 2 {
		if !s.write.charge(1) {
			t.Fatal("no room")
		}
		op := newOperation(&s.owner, kindWrite, nil, nil)
		op.size, op.room = 1, roomHeld
		last = op.result()
		s.write.push(op)
	}
	s.write.claim()
	s.write.phase = owned
	over := make(chan struct{})
	s.mu.Lock()
	go func() {
		defer close(over)
		s.goOn(moved(2, nil), false)
	}()
	for limit := time.Now().Add(time.Minute); !last.IsCompleted() && time.Now().Before(limit); {
		runtime.Gosched()
	}
	if st := s.counters.stats(); !last.IsCompleted() || st.BytesWritten != 2 {
		t.Errorf("completed: %t, with %d bytes written, want 2", last.IsCompleted(), st.BytesWritten)
	}
	s.mu.Unlock()
	<-over
}

// The kernel has the last write, and its owner has not accounted for it yet: nothing is pending, so nothing is old.
func TestStats_NothingPendingHasNoAge(t *testing.T) {
	c, err := new(Config).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s := bareStream(c, nil, nil)
	if !s.write.charge(1) {
		t.Fatal("no room")
	}
	op := newOperation(&s.owner, kindWrite, nil, nil)
	op.size, op.begun, op.room = 1, 1, roomHeld
	s.write.push(op)
	if st := s.Stats(); st.PendingWrites != 1 || st.OldestPending <= 0 {
		t.Errorf("%+v", st)
	}
	s.write.uncount(1)
	if st := s.Stats(); st.PendingWrites != 0 || st.OldestPending != 0 {
		t.Errorf("%+v", st)
	}
}
