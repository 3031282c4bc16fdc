package netstream_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// After a reset nobody ends the writes that fail: WriteErr and Stats tell, while Err is still nil.
func TestWriteErr_ShowsWhatNobodyEnds(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		s, peer := c.withPeer(t, nil)
		must(t, s.WriteErr())
		resetPeer(t, peer)
		eventually(t, "a write has failed", func() bool {
			if _, err := s.BeginWrite([]byte("x"), 0, 1, nil, nil); err != nil {
				t.Fatal(err)
			}
			return s.WriteErr() != nil
		})
		err := s.WriteErr()
		ioFailure(t, err)
		if !errors.Is(err, netstream.CodeConnectionReset) && !errors.Is(err, netstream.CodeShutdown) {
			t.Errorf("WriteErr: %v", err)
		}
		st := s.Stats()
		if st.FailedWrites == 0 || st.WriteErr == nil || st.WriteErr.Error() != err.Error() {
			t.Errorf("Stats: %d failed, %v; want %v", st.FailedWrites, st.WriteErr, err)
		}
		must(t, s.Err())
		before := st.FailedWrites
		_, outcome := begin(t, s, []byte("y"))
		if within(t, "a write on the broken connection", outcome) == nil {
			t.Error("a write on the broken connection succeeded")
		}
		if st := s.Stats(); st.FailedWrites != before+1 || s.WriteErr().Error() != err.Error() {
			t.Errorf("%d failed, %v; want %d and still the first failure", st.FailedWrites, s.WriteErr(), before+1)
		}
		must(t, s.Close())
		if s.WriteErr() == nil || s.WriteErr().Error() != err.Error() {
			t.Errorf("WriteErr after Close: %v, want %v", s.WriteErr(), err)
		}
	})
}

// What the caller took back, or the policy dropped, is no failure of the connection.
func TestWriteErr_DoesNotCountWhatWasTakenBack(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, &netstream.Config{Overflow: netstream.OverflowDropOldest, MaxPendingWrites: 3, MaxPendingBytes: -1}, nil)
		small(t, a, b)
		plug(t, a)
		ar, cancelled := begin(t, a, []byte("cancelled"))
		if !a.Cancel(ar) {
			t.Fatal("Cancel: too late")
		}
		wantIs(t, "a cancelled write", within(t, "the cancelled write", cancelled))
		_, dropped := begin(t, a, []byte("dropped"))
		for range 2 {
			begin(t, a, []byte("newer"))
		}
		wantIs(t, "a dropped write", within(t, "the dropped write", dropped), netstream.ErrDropped)
		if st := a.Stats(); st.FailedWrites != 0 || st.WriteErr != nil || a.WriteErr() != nil {
			t.Errorf("%d failed, %v, %v; want none", st.FailedWrites, st.WriteErr, a.WriteErr())
		}
		must(t, a.Close())
		wantIs(t, "WriteErr after Close", a.WriteErr(), net.ErrClosed)
	})
}

// A group shows the failures of all its streams, also of those that have left.
func TestWriteErr_OfAGroup(t *testing.T) {
	var g netstream.Group
	a, b := netstream.Pipe(&netstream.Config{Group: &g})
	must(t, a.SetWriteDeadline(time.Unix(1, 0)))
	if _, err := a.BeginWrite([]byte("late"), 0, 4, nil, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if st := g.Stats(); st.FailedWrites != 1 || !errors.Is(st.WriteErr, errPast) {
			t.Errorf("%d failed, %v; want 1, %v", st.FailedWrites, st.WriteErr, errPast)
		}
		a.Close()
		b.Close()
		within(t, "Done", a.Done())
		within(t, "Done", b.Done())
	}
}
