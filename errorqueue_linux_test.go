package netstream_test

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream"
)

// stamp has the kernel report when what s sends has gone out. Each report stays in the socket's error queue, and EPOLLERR
// comes with every event of the socket, until somebody takes it from there (Documentation/networking/timestamping.rst).
func stamp(t *testing.T, s *netstream.NetworkStream) syscall.RawConn {
	t.Helper()
	raw, err := s.Socket().SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPING,
			unix.SOF_TIMESTAMPING_TX_ACK|unix.SOF_TIMESTAMPING_TX_SCHED|unix.SOF_TIMESTAMPING_SOFTWARE|unix.SOF_TIMESTAMPING_OPT_TSONLY)
	}))
	must(t, err)
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
	eachTCP(t, func(t *testing.T, c connCase) {
		s, peer := c.withPeer(t, nil)
		raw := stamp(t, s)
		_, err := s.Write([]byte("reported"))
		must(t, err)
		eventually(t, "a report is in the error queue", func() bool { return hasErrorQueue(raw) })
		readExactly(t, peer, []byte("reported"))
		for range 3 { // at the first of them an automatic stream moves to the loop
			read := make(chan readOutcome, 1)
			begun := make(chan struct{})
			go func() {
				_, ch := beginRead(t, s, 4)
				close(begun)
				read <- <-ch
			}()
			within(t, "BeginRead returns", begun)
			eventually(t, "the read waits", s.ReadWaits)
			must(t, sendPing(peer))
			if o := within(t, "the read", read); o.err != nil || string(o.data) != "ping" {
				t.Fatalf("read %q, %v", o.data, o.err)
			}
		}
		_, last := beginRead(t, s, 4)
		var write <-chan error
		if engine, _ := s.Socket().Engine(); engine == netstream.EngineEpoll {
			_, write = begin(t, s, patterned(1, 16<<20)) // net's poller gives a descriptor up whose only event is EPOLLERR
			settled(t, s)
		}
		if !hasErrorQueue(raw) {
			t.Fatal("the error queue is empty: nothing was tested")
		}
		resetPeer(t, peer)
		wantIs(t, "the read", within(t, "the read after a reset", last).err, netstream.CodeConnectionReset)
		if write == nil {
			return
		}
		if err := within(t, "the write after a reset", write); err == nil {
			t.Error("the write succeeded although nobody read")
		}
	})
}
