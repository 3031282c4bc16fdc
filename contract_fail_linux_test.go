package netstream_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// Section 8 as Linux answers it: which failure a write ends with, by what has happened to the connection.

// rowSeesReset waits until the kernel on our side knows that the connection is over, without asking for its error.
func rowSeesReset(t testing.TB, s *netstream.NetworkStream) {
	t.Helper()
	raw, err := s.Socket().SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the reset has come", func() bool {
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
		ar, err := s.BeginWrite(rowBytes, 0, size, nil, nil)
		if err != nil {
			return err
		}
		return s.EndWrite(ar)
	}},
	{"blocking", func(s *netstream.NetworkStream, size int) error { _, err := s.Write(rowBytes[:size]); return err }},
}

// Rows 78, 79, 83, 89 and 187: how the first write ends, and all that follow.
func TestContractWriteAfterPeerIsGone(t *testing.T) {
	const reset, shutdown = netstream.CodeConnectionReset, netstream.CodeShutdown
	cases := []struct {
		name, network string
		gone          func(t *testing.T, s *netstream.NetworkStream, peer net.Conn)
		first         netstream.SocketErrorCode
	}{
		{"R78 reset", "tcp", func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) { rowReset(t, peer); rowSeesReset(t, s) }, reset},
		{"R79 reset, reported by a read", "tcp", func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
			rowReset(t, peer)
			_, err := s.Read(make([]byte, 1))
			rowCode(reset)(t, err)
		}, shutdown},
		{"R83 closed with our data unread", "tcp", func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
			rowWrite(t, s, "unread")
			eventually(t, "the peer has it", func() bool { n, err := s.Socket().SendQueue(); return n == 0 && err == nil })
			peer.Close()
			rowSeesReset(t, s)
		}, reset},
		{"R89 closed cleanly", "unix", func(_ *testing.T, _ *netstream.NetworkStream, peer net.Conn) { peer.Close() }, shutdown},
		{"R89 closed with our data unread", "unix", func(t *testing.T, s *netstream.NetworkStream, peer net.Conn) {
			rowWrite(t, s, "unread")
			peer.Close()
		}, shutdown},
	}
	eachConn(t, func(t *testing.T, c connCase) {
		for _, k := range cases {
			for _, w := range rowWriters {
				if k.network != c.network {
					continue
				}
				t.Run(k.name+"/"+w.name, func(t *testing.T) {
					s, peer := c.withPeer(t, nil)
					if !s.Socket().Connected() {
						t.Error("R187: not connected")
					}
					k.gone(t, s, peer)
					rowCode(k.first)(t, w.write(s, 4))
					for range 3 {
						rowCode(shutdown)(t, w.write(s, 4))
					}
					if c.tcp() { // R83: .NET reads an end here
						_, err := s.Read(make([]byte, 1))
						rowCode(reset)(t, err)
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
	eachTCP(t, func(t *testing.T, c connCase) {
		s, peer := c.withPeer(t, nil)
		rowReset(t, peer)
		rowSeesReset(t, s)
		rowCode(netstream.CodeConnectionReset)(t, s.EndWrite(rowBegin(t, s, "")))
		rowCode(netstream.CodeShutdown)(t, s.EndWrite(rowBegin(t, s, "")))
	})
}

// Rows 82, 84, 89: after the peer's FIN.
func TestContractWriteAfterFin(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		for _, w := range rowWriters {
			t.Run("R82 closed cleanly/"+w.name, func(t *testing.T) {
				s, peer := c.withPeer(t, nil)
				rowWrite(t, s, "read")
				rowExpect(t, peer, "read")
				peer.Close()
				if n, err := s.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("%d, %v, want the end", n, err)
				}
				if !s.Socket().Connected() {
					t.Error("R186: not connected after FIN")
				}
				rowOK(t, w.write(s, 4)) // the kernel takes it and gets a reset for it
				rowSeesReset(t, s)
				rowCode(netstream.CodeShutdown)(t, w.write(s, 4))
				rowCode(netstream.CodeShutdown)(t, w.write(s, 4))
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
	eachTCP(t, func(t *testing.T, c connCase) {
		s, peer := c.withPeer(t, nil)
		stuck := rowStuck(t, s, nil)
		queued := rowBegin(t, s, "queued")
		rowReset(t, peer)
		err := s.EndWrite(stuck)
		rowCode(netstream.CodeConnectionReset)(t, err)
		if e := rowIO(t, err); e != nil && (e.N <= 0 || e.N >= int64(len(rowBytes)) || !e.Torn) {
			t.Errorf("R91: N %d, Torn %v", e.N, e.Torn)
		}
		_, refused := s.BeginWrite([]byte("x"), 0, 1, noCallback(t), nil)
		for what, err := range map[string]error{"R80 queued": s.EndWrite(queued), "R80 begun later": refused} {
			rowCode(netstream.CodeConnectionReset)(t, err) // .NET: Shutdown, which does not say why
			if e := rowIO(t, err); e != nil && (e.N != 0 || !e.Torn) {
				t.Errorf("%s: N %d, Torn %v", what, e.N, e.Torn)
			}
		}
	})
}

// Row 81: a reset while a read and a write are pending: whichever sees it first, no read takes it for a clean end.
func TestContractResetWhileBothPending(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		for range 40 {
			s, peer := c.withPeer(t, nil)
			stuck := rowStuck(t, s, nil)
			read, _ := rowBeginRead(t, s, 1)
			rowReset(t, peer)
			_, err := s.EndRead(read)
			rowCode(netstream.CodeConnectionReset)(t, err)
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
	eachTCP(t, func(t *testing.T, c connCase) {
		eachStyle(t, func(t *testing.T, st style) {
			s, peer := c.withPeer(t, nil)
			rowWrite(t, peer, "last words")
			rowReset(t, peer)
			rowSeesReset(t, s)
			got := make([]byte, 0, 16)
			var err error
			for err == nil {
				p := make([]byte, 4)
				var n int
				n, err = st.read(s, p)
				got = append(got, p[:n]...)
			}
			if string(got) != "last words" {
				t.Errorf("read %q", got)
			}
			rowCode(netstream.CodeConnectionReset)(t, err)
			for range 3 {
				_, err := st.read(s, make([]byte, 1))
				rowCode(netstream.CodeConnectionReset)(t, err)
			}
			if ok, err := s.DataAvailable(); ok || err != nil {
				t.Errorf("R24: DataAvailable %v, %v after a reset", ok, err)
			}
		})
	})
}

// Row 149: a blocked Write of which a part was out ends with the true error.
func TestContractBlockedWriteReset(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		for _, name := range []string{"R149 reset by the peer", "R149 shut down here"} {
			t.Run(name, func(t *testing.T) {
				s, peer := c.withPeer(t, nil)
				rowOK(t, s.Socket().SetWriteBuffer(64<<10))
				type outcome struct {
					n   int
					err error
				}
				done := make(chan outcome, 1)
				go func() { n, err := s.Write(rowBytes); done <- outcome{n, err} }()
				eventually(t, "the Write waits", s.WriteWaits)
				rowExpect(t, peer, "\x00") // a part is out
				want := netstream.CodeConnectionReset
				if name == "R149 shut down here" {
					want = netstream.CodeShutdown
					rowCode(netstream.CodeShutdown)(t, s.Socket().Shutdown(netstream.ShutdownSend)) // it cuts: row 86
				} else {
					rowReset(t, peer)
				}
				o := within(t, "Write", done)
				rowCode(want)(t, o.err)
				if o.n <= 0 || o.n >= len(rowBytes) || errors.Is(o.err, netstream.CodeTimedOut) {
					t.Errorf("%d, %v", o.n, o.err)
				}
			})
		}
	})
}

// Row 124: after our own Shutdown(Receive), Linux still delivers what the peer sends.
func TestContractReadAfterShutdownReceive(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		s, peer := c.withPeer(t, nil)
		rowOK(t, s.Socket().Shutdown(netstream.ShutdownReceive))
		if n, err := s.Read(make([]byte, 4)); n != 0 || err != io.EOF {
			t.Errorf("%d, %v, want the end", n, err)
		}
		rowWrite(t, peer, "late")
		eventually(t, "the bytes are here", func() bool { ok, _ := s.DataAvailable(); return ok })
		rowExpect(t, s, "late")
	})
}

// Row 11: after a reset, the kernel knows no peer any more, so no stream can be built.
func TestContractNewAfterReset(t *testing.T) {
	c := connCase{network: "tcp"}
	conn, peer := c.netPair(t)
	defer conn.Close()
	rowReset(t, peer)
	conn.Read(make([]byte, 1))
	rowNotConn(t, conn, netstream.CodeNotConnected)
}
