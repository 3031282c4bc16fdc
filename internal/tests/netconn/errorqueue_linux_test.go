package netconn_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// stamp has the kernel report when what s sends has gone out. Each report stays in the socket's error queue, and EPOLLERR
// comes with every event of the socket, until somebody takes it from there (Documentation/networking/timestamping.rst).
func stamp(t *testing.T, s *netstream.NetworkStream) syscall.RawConn {
	t.Helper()
	raw, err := s.Socket().SyscallConn()
	kit.Must(t, err)
	kit.Must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPING,
			unix.SOF_TIMESTAMPING_TX_ACK|unix.SOF_TIMESTAMPING_TX_SCHED|unix.SOF_TIMESTAMPING_SOFTWARE|unix.SOF_TIMESTAMPING_OPT_TSONLY)
	}))
	kit.Must(t, err)
	return raw
}

// hasErrorQueue reports whether something waits in the socket's error queue.
func hasErrorQueue(raw syscall.RawConn) (filled bool) {
	_ = raw.Control(func(fd uintptr) {
		fds := []unix.PollFd{{Fd: int32(fd)}}
		n, err := unix.Poll(fds, 0)
		filled = err == nil && n == 1 && fds[0].Revents&unix.POLLERR != 0
	})
	return filled
}

// A report in the error queue says nothing about reading and writing: both wait as ever, and a failure of the connection
// is seen as ever.
func TestErrorQueue_ReportsAreNoReadiness(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		raw := stamp(t, s)
		_, err := s.Write([]byte("reported"))
		kit.Must(t, err)
		kit.Eventually(t, "a report is in the error queue", func() bool { return hasErrorQueue(raw) })
		kit.ReadExactly(t, peer, []byte("reported"))
		for i := range 3 { // at the first of them an automatic stream moves to the loop
			read := make(chan kit.ReadOutcome, 1)
			begun := make(chan struct{})
			go func() {
				_, ch := kit.BeginRead(t, s, 4)
				close(begun)
				read <- <-ch
			}()
			kit.Within(t, "BeginRead returns", begun)
			kit.Eventually(t, "the read waits", kit.BegunReads(s, i+1))
			kit.Must(t, kit.SendPing(peer))
			if o := kit.Within(t, "the read", read); o.Err != nil || string(o.Data) != "ping" {
				t.Fatalf("read %q, %v", o.Data, o.Err)
			}
		}
		_, last := kit.BeginRead(t, s, 4)
		var write <-chan error
		if engine, _ := s.Socket().Engine(); engine == netstream.EngineEpoll {
			_, write = kit.Begin(t, s, kit.Patterned(1, 16<<20)) // net's poller gives a descriptor up whose only event is EPOLLERR
			kit.Settled(t, s)
		}
		if !hasErrorQueue(raw) {
			t.Fatal("the error queue is empty: nothing was tested")
		}
		kit.ResetPeer(t, peer)
		kit.WantIs(t, "the read", kit.Within(t, "the read after a reset", last).Err, netstream.CodeConnectionReset)
		if write == nil {
			return
		}
		if err := kit.Within(t, "the write after a reset", write); err == nil {
			t.Error("the write succeeded although nobody read")
		}
	})
}
