package netstream_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A write in a call may have taken the reset from the kernel, which then shows a read an end. The read waits for what
// the write has to tell, however long that takes, but not at the expense of a processor or of its caller, and what
// ends a read ends it.
func TestCopy_AnEndIsHeldBackWithoutSpinning(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		reads := s.CountReads()
		end := s.StallSlice()
		kit.ResetPeer(t, peer)
		takeError(t, s)
		begun := time.Now()
		_, first := kit.BeginRead(t, s, 10)
		second := kit.Async(func() error { _, err := s.Read(make([]byte, 1)); return err })
		kit.Eventually(t, "the end was looked at again and again", func() bool { return reads.Load() >= 20 })
		if most := int64(time.Since(begun)/netstream.HoldPause) + 2; reads.Load() > most {
			t.Errorf("%d attempts to read in %v, want %d at most", reads.Load(), time.Since(begun), most)
		}
		select {
		case got := <-first:
			t.Fatalf("the end is told before the write is back: %v", got.Err)
		default:
		}
		if err := s.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{"BeginRead": kit.Within(t, "EndRead", first).Err, "Read": kit.Within(t, "Read", second)} {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v, want the deadline", what, err)
			}
		}
		if err := s.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		third := kit.Async(func() error { _, err := s.Read(make([]byte, 1)); return err })
		kit.WantIs(t, "the slice", end(syscall.ECONNRESET), netstream.CodeConnectionReset)
		kit.WantIs(t, "Read", kit.Within(t, "Read", third), netstream.CodeConnectionReset)
	})
}

// takeError takes the error that the peer's reset has left at the socket, as a call that was told of it would have.
func takeError(t *testing.T, s *netstream.NetworkStream) {
	t.Helper()
	raw, err := s.Socket().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the reset has arrived", func() bool {
		var pending int
		err := raw.Control(func(fd uintptr) {
			pending, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		})
		return err == nil && syscall.Errno(pending) == syscall.ECONNRESET
	})
}
