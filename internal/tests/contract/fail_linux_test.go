package contract_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Section 8 as Linux answers it: which failure a write ends with, by what has happened to the connection.

// rowSeesReset waits until the kernel on our side knows that the connection is over, without asking for its error.
func rowSeesReset(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	raw, err := s.Socket().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, "the reset has come", func() bool {
		var err error
		if e := raw.Control(func(fd uintptr) { _, err = syscall.Getpeername(int(fd)) }); e != nil {
			t.Fatal(e)
		}
		return errors.Is(err, syscall.ENOTCONN)
	})
}

var rowWriters = []struct {
	name  string
	write func(s *netstream.NetworkStream, size int) error
}{
	{"begun", func(s *netstream.NetworkStream, size int) error {
		ar, err := s.BeginWrite(kit.Large, 0, size, nil, nil)
		if err != nil {
			return err
		}
		return s.EndWrite(ar)
	}},
	{"blocking", func(s *netstream.NetworkStream, size int) error { _, err := s.Write(kit.Large[:size]); return err }},
}

// Rows 78, 79, 83, 89 and 187: how the first write ends, and all that follow.
func TestContractWriteAfterPeerIsGone(t *testing.T) {
	const reset, shutdown = netstream.CodeConnectionReset, netstream.CodeShutdown
	cases := []struct {
		name, network string
		gone          func(t *testing.T, s *netstream.NetworkStream, peer net.Conn)
		first         netstream.SocketErrorCode
	}{
		{"R78 reset", "tcp", func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
			kit.ResetPeer(t, peer)
			rowSeesReset(t, s)
		}, reset},
		{"R79 reset, reported by a read", "tcp", func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
			kit.ResetPeer(t, peer)
			_, err := s.Read(make([]byte, 1))
			kit.Code(reset)(t, err)
		}, shutdown},
		{"R83 closed with our data unread", "tcp", func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
			kit.WriteText(t, s, "unread")
			kit.Eventually(t, "the peer has it", func() bool { n, err := s.Socket().SendQueue(); return n == 0 && err == nil })
			peer.Close()
			rowSeesReset(t, s)
		}, reset},
		{"R89 closed cleanly", "unix", func(_ *testing.T, _ *netstream.NetworkStream, peer net.Conn) { peer.Close() }, shutdown},
		{"R89 closed with our data unread", "unix", func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
			kit.WriteText(t, s, "unread")
			peer.Close()
		}, shutdown},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, k := range cases {
			for _, w := range rowWriters {
				if k.network != c.Network {
					continue
				}
				t.Run(k.name+"/"+w.name, func(t *testing.T) {
					s, peer := c.WithPeer(t, nil)
					if !s.Socket().Connected() {
						t.Error("R187: not connected")
					}
					k.gone(t, s, peer)
					kit.Code(k.first)(t, w.write(s, 4))
					for range 3 {
						kit.Code(shutdown)(t, w.write(s, 4))
					}
					if c.TCP() { // R83: .NET reads an end here
						_, err := s.Read(make([]byte, 1))
						kit.Code(reset)(t, err)
					}
					if s.Socket().Connected() {
						t.Error("R187: still connected")
					}
					if !s.CanRead() || !s.CanWrite() {
						t.Error("R18: a failure has closed the stream")
					}
				})
			}
		}
	})
}

// Row 75: a zero-byte write reports a reset, once.
func TestContractZeroByteWriteAfterReset(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		kit.ResetPeer(t, peer)
		rowSeesReset(t, s)
		kit.Code(netstream.CodeConnectionReset)(t, s.EndWrite(kit.StartWrite(t, s, "")))
		kit.Code(netstream.CodeShutdown)(t, s.EndWrite(kit.StartWrite(t, s, "")))
	})
}

// Rows 82, 84, 89: after the peer's FIN.
func TestContractWriteAfterFin(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for _, w := range rowWriters {
			t.Run("R82 closed cleanly/"+w.name, func(t *testing.T) {
				s, peer := c.WithPeer(t, nil)
				kit.WriteText(t, s, "read")
				kit.ReadText(t, peer, "read")
				peer.Close()
				if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%d, %v, want the end", n, err)
				}
				if !s.Socket().Connected() {
					t.Error("R186: not connected after FIN")
				}
				rowOK(t, w.write(s, 4)) // the kernel takes it and gets a reset for it
				rowSeesReset(t, s)
				kit.Code(netstream.CodeShutdown)(t, w.write(s, 4))
				kit.Code(netstream.CodeShutdown)(t, w.write(s, 4))
				if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%d, %v behind a broken pipe, want the end as before", n, err)
				}
			})
		}
	})
}

// Rows 80 and 104: a reset while writes are pending. The first one says so; those behind it were not begun on the
// wire and follow a torn one.
func TestContractResetWhilePending(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		stuck := kit.StartStuckWrite(t, s, nil)
		queued := kit.StartWrite(t, s, "queued")
		kit.ResetPeer(t, peer)
		err := s.EndWrite(stuck)
		kit.Code(netstream.CodeConnectionReset)(t, err)
		if e := kit.IOErrorIn(t, err); e != nil && (e.N <= 0 || e.N >= int64(len(kit.Large)) || !e.Torn) {
			t.Errorf("R91: N %d, Torn %v", e.N, e.Torn)
		}
		_, refused := s.BeginWrite([]byte("x"), 0, 1, kit.NeverCalled(t), nil)
		for what, err := range map[string]error{"R80 queued": s.EndWrite(queued), "R80 begun later": refused} {
			kit.Code(netstream.CodeConnectionReset)(t, err) // .NET: Shutdown, which does not say why
			if e := kit.IOErrorIn(t, err); e != nil && (e.N != 0 || !e.Torn) {
				t.Errorf("%s: N %d, Torn %v", what, e.N, e.Torn)
			}
		}
	})
}

// Row 81: a reset while a read and a write are pending: whichever sees it first, no read takes it for a clean end.
func TestContractResetWhileBothPending(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for range 40 {
			s, peer := c.WithPeer(t, nil)
			stuck := kit.StartStuckWrite(t, s, nil)
			read, _ := kit.StartRead(t, s, 1)
			kit.ResetPeer(t, peer)
			_, err := s.EndRead(read)
			kit.Code(netstream.CodeConnectionReset)(t, err)
			var e *netstream.SocketError
			err = s.EndWrite(stuck)
			if !errors.As(err, &e) || e.Code != netstream.CodeConnectionReset && e.Code != netstream.CodeShutdown {
				t.Errorf("EndWrite: %v", err)
			}
			for range 2 {
				if _, err := s.Read(make([]byte, 1)); err == nil || err == io.EOF {
					t.Fatalf("a read after the reset: %v", err)
				}
			}
			s.Close()
		}
	})
}

// Row 120: what came before the reset is delivered, then the reset, and never a clean end (.NET: once, then 0).
func TestContractReadAfterReset(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			s, peer := c.WithPeer(t, nil)
			kit.WriteText(t, peer, "last words")
			kit.ResetPeer(t, peer)
			rowSeesReset(t, s)
			got := make([]byte, 0, 16)
			var err error
			for err == nil {
				p := make([]byte, 4)
				var n int
				n, err = st.Read(s, p)
				got = append(got, p[:n]...)
			}
			if string(got) != "last words" {
				t.Errorf("read %q", got)
			}
			kit.Code(netstream.CodeConnectionReset)(t, err)
			for range 3 {
				_, err := st.Read(s, make([]byte, 1))
				kit.Code(netstream.CodeConnectionReset)(t, err)
			}
			if ok, err := s.DataAvailable(); ok || err != nil {
				t.Errorf("R24: DataAvailable %v, %v after a reset", ok, err)
			}
		})
	})
}

// Row 149: a blocked Write of which a part was out ends with the true error.
func TestContractBlockedWriteReset(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for _, name := range []string{"R149 reset by the peer", "R149 shut down here"} {
			t.Run(name, func(t *testing.T) {
				s, peer := c.WithPeer(t, nil)
				rowOK(t, s.Socket().SetWriteBuffer(64<<10))
				type outcome struct {
					n   int
					err error
				}
				done := make(chan outcome, 1)
				go func() { n, err := s.Write(kit.Large); done <- outcome{n, err} }()
				kit.Eventually(t, "the Write waits", kit.BegunWrites(s, 1))
				kit.ReadText(t, peer, "\x00") // a part is out
				want := netstream.CodeConnectionReset
				if name == "R149 shut down here" {
					want = netstream.CodeShutdown
					kit.Code(netstream.CodeShutdown)(t, s.Socket().Shutdown(netstream.ShutdownSend)) // it cuts: row 86
				} else {
					kit.ResetPeer(t, peer)
				}
				o := kit.Within(t, "Write", done)
				kit.Code(want)(t, o.err)
				if o.n <= 0 || o.n >= len(kit.Large) || errors.Is(o.err, netstream.CodeTimedOut) {
					t.Errorf("%d, %v", o.n, o.err)
				}
			})
		}
	})
}

// Row 124: after our own Shutdown(Receive), Linux still delivers what the peer sends.
func TestContractReadAfterShutdownReceive(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		rowOK(t, s.Socket().Shutdown(netstream.ShutdownReceive))
		if n, err := s.Read(make([]byte, 4)); n != 0 || err != io.EOF {
			t.Errorf("%d, %v, want the end", n, err)
		}
		kit.WriteText(t, peer, "late")
		kit.Eventually(t, "the bytes are here", func() bool { ok, _ := s.DataAvailable(); return ok })
		kit.ReadText(t, s, "late")
	})
}

// Row 11: after a reset, the kernel knows no peer any more, so no stream can be built.
func TestContractNewAfterReset(t *testing.T) {
	c := kit.ConnCase{Network: "tcp"}
	conn, peer := c.NetPair(t)
	defer conn.Close()
	kit.ResetPeer(t, peer)
	conn.Read(make([]byte, 1))
	rowNotConn(t, conn, netstream.CodeNotConnected)
}
