package contract_test

import (
	"io"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Rows 84 to 88: what the ends of a connection do to each other's writes without anything breaking, and what our
// own Shutdown and Socket().Close do.
func TestContractShutdown(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R84 the peer has ended its sending", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			rowOK(t, peer.Socket().Shutdown(netstream.ShutdownSend))
			for range 3 {
				if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%d, %v, want the end", n, err)
				}
				rowOK(t, s.EndWrite(kit.StartWrite(t, s, "still")))
				kit.ReadText(t, peer, "still")
			}
			if !s.Socket().Connected() {
				t.Error("R186: not connected after the peer's FIN")
			}
		})
		for name, how := range map[string]netstream.ShutdownHow{"R85 send": netstream.ShutdownSend, "R85 both": netstream.ShutdownBoth} {
			t.Run(name, func(t *testing.T) {
				s, peer := c.Pair(t, nil, nil)
				kit.WriteText(t, s, "before")
				rowOK(t, s.Socket().Shutdown(how))
				kit.Code(netstream.CodeShutdown)(t, s.EndWrite(kit.StartWrite(t, s, "after")))
				kit.Code(netstream.CodeShutdown)(t, s.EndWrite(kit.StartWrite(t, s, "")))
				kit.ReadText(t, peer, "before")
				if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("the peer reads %d, %v", n, err)
				}
				if s.Socket().Connected() || !s.CanRead() || !s.CanWrite() {
					t.Error("R187: connected, or closed")
				}
			})
		}
		t.Run("R86 while a write is pending", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			stuck := kit.StartStuckWrite(t, s, nil)
			queued := kit.StartWrite(t, s, "queued")
			err := s.Socket().Shutdown(netstream.ShutdownSend)
			kit.Code(netstream.CodeShutdown)(t, err)
			if e := kit.IOErrorIn(t, err); e != nil && !e.Torn {
				t.Errorf("Shutdown does not say that a message was cut: %v", err)
			}
			err = s.EndWrite(stuck)
			kit.Code(netstream.CodeShutdown)(t, err)
			e := kit.IOErrorIn(t, err)
			if e == nil || e.N <= 0 || e.N >= int64(len(kit.Large)) || !e.Torn {
				t.Fatalf("%+v", e)
			}
			err = s.EndWrite(queued)
			kit.Code(netstream.CodeShutdown)(t, err)
			if e := kit.IOErrorIn(t, err); e != nil && e.N != 0 {
				t.Errorf("queued: N %d", e.N)
			}
			seen := kit.Within(t, "the peer's end", kit.GoRead(peer))
			if c.Network == "unix" { // no reset there
				if int64(len(seen.Data)) != e.N || seen.Err != nil {
					t.Errorf("the peer has read %d bytes of %d and %v", len(seen.Data), e.N, seen.Err)
				}
				return
			}
			kit.Code(netstream.CodeConnectionReset)(t, seen.Err)
			if int64(len(seen.Data)) > e.N {
				t.Errorf("the peer has read %d bytes of %d", len(seen.Data), e.N)
			}
		})
		t.Run("R87 receive, then write", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			rowOK(t, s.Socket().Shutdown(netstream.ShutdownReceive))
			rowOK(t, s.EndWrite(kit.StartWrite(t, s, "out")))
			kit.ReadText(t, peer, "out")
			if s.Socket().Connected() {
				t.Error("R187: connected after Shutdown")
			}
		})
		t.Run("R88 the socket is closed under pending writes", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			stuck := kit.StartStuckWrite(t, s, nil)
			queued := kit.StartWrite(t, s, "queued")
			rowOK(t, s.Socket().Close())
			for _, ar := range []netstream.AsyncResult{stuck, queued} {
				kit.Aborted("Socket")(t, s.EndWrite(ar))
			}
			_, err := io.Copy(io.Discard, peer)
			if c.Network != "unix" {
				kit.Code(netstream.CodeConnectionReset)(t, err)
			}
			if s.Socket().Connected() || !s.CanWrite() || s.Err() != nil {
				t.Error("connected, or the stream is closed")
			}
		})
		t.Run("no such half", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			kit.OutOfRange("how", netstream.ShutdownHow(3))(t, s.Socket().Shutdown(3))
			kit.OutOfRange("how", netstream.ShutdownHow(-1))(t, s.Socket().Shutdown(-1))
		})
	})
}
