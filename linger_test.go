package netstream_test

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A reset has ended the connection: what it had sent will never be acknowledged, and Close keeps nothing for it. Servers
// over TLS see this whenever the client closes first: their last alert meets a peer that has gone.
func TestLinger_NotAfterAReset(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		kit.Eventually(t, "nothing lingers from before", func() bool { return netstream.Lingering() == 0 })
		s, peer := c.WithPeer(t, nil)
		kit.Must(t, peer.Close())
		kit.Eventually(t, "the reset has arrived", func() bool { _, err := s.Write([]byte("goodbye")); return err != nil })
		kit.Must(t, s.Close())
		if n := netstream.Lingering(); n != 0 {
			t.Errorf("%d connections linger", n)
		}
		s, peer = c.WithPeer(t, nil)
		kit.Must(t, peer.Close())
		_, err := s.Write([]byte("goodbye"))
		kit.Must(t, err)
		kit.Must(t, s.Close()) // the reset may come now
		took := kit.Awake(func() { kit.Eventually(t, "it does not linger", func() bool { return netstream.Lingering() == 0 }) })
		if took > 1500*time.Millisecond {
			t.Errorf("lingered for %v", took)
		}
	})
}

// A bubble ends although a connection of it has unread input and unacknowledged output when it is closed.
func TestBubble_ALingeringConnectionDoesNotHoldItUp(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(t, err)
	defer ln.Close()
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			if _, err := c.Write([]byte("unread")); err != nil {
				return
			}
		}
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 10 {
			synctest.Test(t, func(t *testing.T) {
				s, err := netstream.Dial(t.Context(), "tcp", ln.Addr().String(), nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := s.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
				if _, err := s.Write([]byte("goodbye")); err != nil {
					t.Error(err)
				}
				s.Close()
			})
		}
	}()
	kit.Within(t, "the bubbles end", ended)
}
