package netstream_test

import (
	"io"
	"net"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A reset that the kernel has told to a splice or a sendfile that had sent some bytes already, and that it did not pass
// on: the copy fails with it, and no read says a clean end, whether it waits meanwhile or comes later.
func TestCopy_AResetThatSpliceKeptToItself(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for _, reader := range []string{"later", "waits", "begun"} {
			t.Run(reader, func(t *testing.T) {
				s, peer := c.WithPeer(t, nil)
				var read <-chan error
				switch reader {
				case "waits":
					read = kit.Async(func() error { _, err := s.Read(make([]byte, 1)); return err })
					kit.Eventually(t, "the read waits", kit.BegunReads(s, 1))
				case "begun":
					ar, _ := kit.StartRead(t, s, 1)
					read = kit.Async(func() error { _, err := s.EndRead(ar); return err })
				}
				n, err := s.SliceOverReset(func() { kit.ResetPeer(t, peer) })
				if reader == "later" && n != 100 {
					t.Errorf("%d bytes are told, 100 went out", n)
				}
				kit.WantIs(t, "the copy", err, netstream.CodeConnectionReset)
				if read == nil {
					read = kit.Async(func() error { _, err := s.Read(make([]byte, 1)); return err })
				}
				kit.WantIs(t, "the read", kit.Within(t, "the read", read), netstream.CodeConnectionReset)
			})
		}
	})
}

// A peer that has ended its direction before has told a clean end, whatever becomes of the other direction.
func TestCopy_AnEndBeforeABrokenPipeIsClean(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		kit.WriteText(t, peer, "last words")
		kit.CloseWrite(t, peer)
		kit.ReadText(t, s, "last words")
		if _, err := s.SliceOverReset(func() { peer.(*net.TCPConn).Close() }); err != nil {
			kit.WantIs(t, "the copy", err, netstream.CodeShutdown)
		}
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("Read: %v, want the end", err)
		}
	})
}
