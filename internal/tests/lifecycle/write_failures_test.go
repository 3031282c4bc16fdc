package lifecycle_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// After a reset nobody ends the writes that fail: WriteErr and Stats tell, while Err is still nil.
func TestWriteErr_ShowsWhatNobodyEnds(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		kit.Must(t, s.WriteErr())
		kit.ResetPeer(t, peer)
		kit.Eventually(t, "a write has failed", func() bool {
			if _, err := s.BeginWrite([]byte("x"), 0, 1, nil, nil); err != nil {
				t.Fatal(err)
			}
			return s.WriteErr() != nil
		})
		err := s.WriteErr()
		kit.IOFailure(t, err)
		if !errors.Is(err, netstream.CodeConnectionReset) && !errors.Is(err, netstream.CodeShutdown) {
			t.Errorf("WriteErr: %v", err)
		}
		st := s.Stats()
		if st.FailedWrites == 0 || st.WriteErr == nil || st.WriteErr.Error() != err.Error() {
			t.Errorf("Stats: %d failed, %v; want %v", st.FailedWrites, st.WriteErr, err)
		}
		kit.Must(t, s.Err())
		before := st.FailedWrites
		_, outcome := kit.Begin(t, s, []byte("y"))
		if kit.Within(t, "a write on the broken connection", outcome) == nil {
			t.Error("a write on the broken connection succeeded")
		}
		if st := s.Stats(); st.FailedWrites != before+1 || s.WriteErr().Error() != err.Error() {
			t.Errorf("%d failed, %v; want %d and still the first failure", st.FailedWrites, s.WriteErr(), before+1)
		}
		kit.Must(t, s.Close())
		if s.WriteErr() == nil || s.WriteErr().Error() != err.Error() {
			t.Errorf("WriteErr after Close: %v, want %v", s.WriteErr(), err)
		}
	})
}

// What the caller took back, or the policy dropped, is no failure of the connection.
func TestWriteErr_DoesNotCountWhatWasTakenBack(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{Overflow: netstream.OverflowDropOldest, MaxPendingWrites: 3, MaxPendingBytes: -1}, nil)
		kit.SmallBuffers(t, a, b)
		kit.Plug(t, a)
		ar, cancelled := kit.Begin(t, a, []byte("cancelled"))
		if !a.Cancel(ar) {
			t.Fatal("Cancel: too late")
		}
		kit.WantIs(t, "a cancelled write", kit.Within(t, "the cancelled write", cancelled))
		_, dropped := kit.Begin(t, a, []byte("dropped"))
		for range 2 {
			kit.Begin(t, a, []byte("newer"))
		}
		kit.WantIs(t, "a dropped write", kit.Within(t, "the dropped write", dropped), netstream.ErrDropped)
		if st := a.Stats(); st.FailedWrites != 0 || st.WriteErr != nil || a.WriteErr() != nil {
			t.Errorf("%d failed, %v, %v; want none", st.FailedWrites, st.WriteErr, a.WriteErr())
		}
		kit.Must(t, a.Close())
		kit.WantIs(t, "WriteErr after Close", a.WriteErr(), net.ErrClosed)
	})
}

// A group shows the failures of all its streams, also of those that have left.
func TestWriteErr_OfAGroup(t *testing.T) {
	var g netstream.Group
	a, b := netstream.Pipe(&netstream.Config{Group: &g})
	kit.Must(t, a.SetWriteDeadline(time.Unix(1, 0)))
	if _, err := a.BeginWrite([]byte("late"), 0, 4, nil, nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if st := g.Stats(); st.FailedWrites != 1 || !errors.Is(st.WriteErr, kit.ErrPast) {
			t.Errorf("%d failed, %v; want 1, %v", st.FailedWrites, st.WriteErr, kit.ErrPast)
		}
		a.Close()
		b.Close()
		kit.Within(t, "Done", a.Done())
		kit.Within(t, "Done", b.Done())
	}
}
