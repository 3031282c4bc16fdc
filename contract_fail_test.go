package netstream_test

import (
	"io"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// Rows 84 to 88: what the ends of a connection do to each other's writes without anything breaking, and what our
// own Shutdown and Socket().Close do.
func TestContractShutdown(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		t.Run("R84 the peer has ended its sending", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			rowOK(t, peer.Socket().Shutdown(netstream.ShutdownSend))
			for range 3 {
				if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%d, %v, want the end", n, err)
				}
				rowOK(t, s.EndWrite(rowBegin(t, s, "still")))
				rowExpect(t, peer, "still")
			}
			if !s.Socket().Connected() {
				t.Error("R186: not connected after the peer's FIN")
			}
		})
		for name, how := range map[string]netstream.ShutdownHow{"R85 send": netstream.ShutdownSend, "R85 both": netstream.ShutdownBoth} {
			t.Run(name, func(t *testing.T) {
				s, peer := c.pair(t, nil, nil)
				rowWrite(t, s, "before")
				rowOK(t, s.Socket().Shutdown(how))
				rowCode(netstream.CodeShutdown)(t, s.EndWrite(rowBegin(t, s, "after")))
				rowCode(netstream.CodeShutdown)(t, s.EndWrite(rowBegin(t, s, "")))
				rowExpect(t, peer, "before")
				if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("the peer reads %d, %v", n, err)
				}
				if s.Socket().Connected() || !s.CanRead() || !s.CanWrite() {
					t.Error("R187: connected, or closed")
				}
			})
		}
		t.Run("R86 while a write is pending", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			stuck := rowStuck(t, s, nil)
			queued := rowBegin(t, s, "queued")
			err := s.Socket().Shutdown(netstream.ShutdownSend)
			rowCode(netstream.CodeShutdown)(t, err)
			if e := rowIO(t, err); e != nil && !e.Torn {
				t.Errorf("Shutdown does not say that a message was cut: %v", err)
			}
			err = s.EndWrite(stuck)
			rowCode(netstream.CodeShutdown)(t, err)
			e := rowIO(t, err)
			if e == nil || e.N <= 0 || e.N >= int64(len(rowBytes)) || !e.Torn {
				t.Fatalf("%+v", e)
			}
			err = s.EndWrite(queued)
			rowCode(netstream.CodeShutdown)(t, err)
			if e := rowIO(t, err); e != nil && e.N != 0 {
				t.Errorf("queued: N %d", e.N)
			}
			seen := within(t, "the peer's end", goRead(peer))
			if c.network == "unix" { // no reset there
				if int64(len(seen.data)) != e.N || seen.err != nil {
					t.Errorf("the peer has read %d bytes of %d and %v", len(seen.data), e.N, seen.err)
				}
				return
			}
			rowCode(netstream.CodeConnectionReset)(t, seen.err)
			if int64(len(seen.data)) > e.N {
				t.Errorf("the peer has read %d bytes of %d", len(seen.data), e.N)
			}
		})
		t.Run("R87 receive, then write", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			rowOK(t, s.Socket().Shutdown(netstream.ShutdownReceive))
			rowOK(t, s.EndWrite(rowBegin(t, s, "out")))
			rowExpect(t, peer, "out")
			if s.Socket().Connected() {
				t.Error("R187: connected after Shutdown")
			}
		})
		t.Run("R88 the socket is closed under pending writes", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			stuck := rowStuck(t, s, nil)
			queued := rowBegin(t, s, "queued")
			rowOK(t, s.Socket().Close())
			for _, ar := range []netstream.AsyncResult{stuck, queued} {
				rowAborted("Socket")(t, s.EndWrite(ar))
			}
			_, err := io.Copy(io.Discard, peer)
			if c.network != "unix" {
				rowCode(netstream.CodeConnectionReset)(t, err)
			}
			if s.Socket().Connected() || !s.CanWrite() || s.Err() != nil {
				t.Error("connected, or the stream is closed")
			}
		})
		t.Run("no such half", func(t *testing.T) {
			s, _ := c.pair(t, nil, nil)
			rowRange("how", netstream.ShutdownHow(3))(t, s.Socket().Shutdown(3))
			rowRange("how", netstream.ShutdownHow(-1))(t, s.Socket().Shutdown(-1))
		})
	})
}
