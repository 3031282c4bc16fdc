package netconn_test

import (
	"io"
	"net"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// segmentsSent is the number of TCP segments with data that have left the socket. Without Nagle's algorithm each send of
// a few bytes is one.
func segmentsSent(t *testing.T, conn syscall.Conn) uint32 {
	t.Helper()
	raw, err := conn.SyscallConn()
	kit.Must(t, err)
	var info *unix.TCPInfo
	kit.Must(t, raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) }))
	kit.Must(t, err)
	return info.Data_segs_out
}

func TestWriteBuffersIsOneSend(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		go io.Copy(io.Discard, peer)
		const each = 100
		message := pieces(make([]byte, each*20), 20)
		before := segmentsSent(t, s.Socket())
		if _, err := s.WriteBuffers(message); err != nil {
			t.Fatal(err)
		}
		if n := segmentsSent(t, s.Socket()) - before; n != 1 {
			t.Errorf("%d pieces went out in %d segments", each, n)
		}
		message = pieces(make([]byte, each*400), 400) // too long to be copied together: vectors
		before = segmentsSent(t, s.Socket())
		if _, err := s.WriteBuffers(message); err != nil {
			t.Fatal(err)
		}
		if n := segmentsSent(t, s.Socket()) - before; n > 3 {
			t.Errorf("%d pieces went out in %d segments", each, n)
		}
	})
}

// What the documentation says of net.Buffers: one call for each buffer. If this fails, golang/go#21676 has come, and
// there is something to be done.
func TestNetBuffersKnowNoOtherConnections(t *testing.T) {
	s, peer := kit.ConnCases[0].WithPeer(t, nil)
	go io.Copy(io.Discard, peer)
	before := s.Stats().WriteOps
	buffers := net.Buffers{[]byte("a"), []byte("b"), []byte("c")}
	if _, err := buffers.WriteTo(s); err != nil {
		t.Fatal(err)
	}
	if n := s.Stats().WriteOps - before; n != 3 {
		t.Errorf("%d writes for 3 buffers", n)
	}
}
