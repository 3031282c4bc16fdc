package netstream_test

import (
	"io"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Rows 98 to 104: what End says, and when.
func TestContractEndOutcome(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R98 waits without limit", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			write := kit.StartStuckWrite(t, s, nil)
			ended := make(chan error, 1)
			go func() { ended <- s.EndWrite(write) }()
			select {
			case err := <-ended:
				t.Fatalf("EndWrite returned %v although nobody reads", err)
			case <-time.After(20 * time.Millisecond):
			}
			if _, err := io.CopyN(io.Discard, peer, int64(len(kit.Large))); err != nil {
				t.Fatal(err)
			}
			kit.Must(t, kit.Within(t, "EndWrite", ended))
		})
		t.Run("R100 completed, then the socket is closed", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			write := kit.StartWrite(t, s, "done")
			write.AsyncWaitHandle().WaitOne()
			s.Socket().Close()
			kit.Must(t, s.EndWrite(write))
		})
		t.Run("R101 completed, then the stream is closed", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			write := kit.StartWrite(t, s, "done")
			kit.WriteText(t, peer, "in")
			read, _ := kit.StartRead(t, s, 2)
			write.AsyncWaitHandle().WaitOne()
			read.AsyncWaitHandle().WaitOne()
			s.Close()
			kit.Must(t, s.EndWrite(write))
			if n, err := s.EndRead(read); n != 2 || err != nil {
				t.Errorf("EndRead: %d, %v", n, err)
			}
		})
		t.Run("R102 blocked in End, then the stream is closed", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			write := kit.StartStuckWrite(t, s, nil)
			read, _ := kit.StartRead(t, s, 1)
			ended := make(chan error, 2)
			go func() { ended <- s.EndWrite(write) }()
			go func() { _, err := s.EndRead(read); ended <- err }()
			kit.Eventually(t, "both wait in End", func() bool { return write.Awaited() && read.Awaited() })
			kit.CloseSoon(t, s)
			for range 2 {
				kit.Aborted("NetworkStream")(t, kit.Within(t, "End", ended))
			}
		})
	})
}

// Row 103: closing a stream that leaves its connection open aborts what is pending all the same.
func TestContractEndAfterLeaveOpen(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("a pipe has no connection to leave open")
		}
		conn, peer := c.NetPair(t)
		defer conn.Close()
		defer peer.Close()
		s := kit.MustNew(t, conn, c.Config(&netstream.Config{LeaveOpen: true}))
		read, _ := kit.StartRead(t, s, 1)
		ended := make(chan error, 1)
		go func() { _, err := s.EndRead(read); ended <- err }()
		kit.Eventually(t, "somebody waits in End", read.Awaited)
		kit.CloseSoon(t, s)
		kit.Aborted("NetworkStream")(t, kit.Within(t, "EndRead", ended))
	})
}
