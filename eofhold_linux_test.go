package netstream_test

import (
	"errors"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// A write in a call may have taken the reset from the kernel, which then shows a read an end. The read waits for what
// the write has to tell, however long that takes, but not at the expense of a processor or of its caller, and what
// ends a read ends it.
func TestCopy_AnEndIsHeldBackWithoutSpinning(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		s, peer := c.withPeer(t, nil)
		reads := s.CountReads()
		end := s.StallSlice()
		resetPeer(t, peer)
		takeError(t, s)
		begun := time.Now()
		_, first := beginRead(t, s, 10)
		second := async(func() error { _, err := s.Read(make([]byte, 1)); return err })
		eventually(t, "the end was looked at again and again", func() bool { return reads.Load() >= 20 })
		if most := int64(time.Since(begun)/netstream.HoldPause) + 2; reads.Load() > most {
			t.Errorf("%d attempts to read in %v, want %d at most", reads.Load(), time.Since(begun), most)
		}
		select {
		case got := <-first:
			t.Fatalf("the end is told before the write is back: %v", got.err)
		default:
		}
		if err := s.SetReadDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{"BeginRead": within(t, "EndRead", first).err, "Read": within(t, "Read", second)} {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("%s: %v, want the deadline", what, err)
			}
		}
		if err := s.SetReadDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		third := async(func() error { _, err := s.Read(make([]byte, 1)); return err })
		wantIs(t, "the slice", end(syscall.ECONNRESET), netstream.CodeConnectionReset)
		wantIs(t, "Read", within(t, "Read", third), netstream.CodeConnectionReset)
	})
}

// takeError takes the error that the peer's reset has left at the socket, as a call that was told of it would have.
func takeError(t *testing.T, s *netstream.NetworkStream) {
	t.Helper()
	raw, err := s.Socket().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reset has arrived", func() bool {
		var pending int
		err := raw.Control(func(fd uintptr) {
			pending, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_ERROR)
		})
		return err == nil && syscall.Errno(pending) == syscall.ECONNRESET
	})
}
