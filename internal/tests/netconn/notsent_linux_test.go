package netconn_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// kernelNotSent returns what the kernel holds as TCP_NOTSENT_LOWAT.
func kernelNotSent(t *testing.T, s *netstream.NetworkStream) (bytes int) {
	t.Helper()
	raw, err := s.SyscallConn()
	kit.Must(t, err)
	kit.Must(t, raw.Control(func(fd uintptr) {
		bytes, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT)
	}))
	kit.Must(t, err)
	return bytes
}

func TestNotSentLowWater_IsTheKernels(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, _ := c.Pair(t, nil, nil)
		for _, bytes := range []int{16 << 10, 0, 1} {
			kit.Must(t, s.Socket().SetNotSentLowWater(bytes))
			if got := kernelNotSent(t, s); got != bytes {
				t.Errorf("the kernel has %d, want %d", got, bytes)
			}
		}
	})
}

// What the peer does not read waits in the stream and not in the kernel. It all arrives when the peer reads.
func TestNotSentLowWater_UnsentBytesWaitInTheStream(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		inKernel := func(lowWater int) (queued int) {
			s, peer := c.Pair(t, nil, nil)
			kit.Must(t, s.Socket().SetWriteBuffer(512<<10))
			kit.Must(t, peer.Socket().SetReadBuffer(32<<10))
			kit.Must(t, s.Socket().SetNotSentLowWater(lowWater))
			p, _, outcome := kit.Plug(t, s)
			queued, err := s.Socket().SendQueue()
			kit.Must(t, err)
			kit.ReadExactly(t, peer, p)
			kit.Must(t, kit.Within(t, "the write", outcome))
			return queued
		}
		if without, with := inKernel(0), inKernel(8<<10); with > without/2 {
			t.Errorf("%d bytes wait in the kernel, without the low water %d", with, without)
		}
	})
}
