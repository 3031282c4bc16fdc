package contract_test

import (
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Rows 16, 18 to 20, 23 to 27: what a stream says of itself.
func TestContractProperties(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		check := func(when string, open bool) {
			t.Helper()
			if s.CanRead() != open || s.CanWrite() != open || s.CanSeek() || !s.CanTimeout() {
				t.Errorf("R18 R19 R20 %s: CanRead %v, CanWrite %v, CanSeek %v, CanTimeout %v", when,
					s.CanRead(), s.CanWrite(), s.CanSeek(), s.CanTimeout())
			}
			if err := s.Flush(); err != nil {
				t.Errorf("R23 %s: Flush: %v", when, err)
			}
		}
		available := func(when string, want bool) {
			t.Helper()
			if ok, err := s.DataAvailable(); ok != want || err != nil {
				t.Errorf("R24 %s: %v, %v", when, ok, err)
			}
		}
		socket := s.Socket()
		check("open", true)
		available("nothing sent", false)
		kit.WriteText(t, peer, "in")
		kit.Eventually(t, "DataAvailable", func() bool { ok, err := s.DataAvailable(); return ok && err == nil })
		kit.ReadText(t, s, "i")
		available("one byte left", true)
		kit.ReadText(t, s, "n")
		available("all read", false)
		peer.Close()
		if _, err := s.Read(make([]byte, 1)); err != io.EOF {
			t.Error(err)
		}
		available("after FIN", false)
		check("after FIN", true)
		socket.Close()
		check("socket closed", true)
		_, err := s.DataAvailable()
		kit.Aborted("Socket")(t, err) // R27
		s.Close()
		check("closed", false)
		_, err = s.DataAvailable()
		kit.Aborted("NetworkStream")(t, err) // R26
		if s.Socket() != socket {
			t.Error("R16: another Socket after Close")
		}
	})
	t.Run("R25 write-only", func(t *testing.T) {
		kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
			s, peer := c.Pair(t, &netstream.Config{Access: netstream.AccessWrite}, nil)
			if ok, err := s.DataAvailable(); ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
			rowOK(t, s.Flush())
			kit.WriteText(t, peer, "x")
			kit.Eventually(t, "DataAvailable", func() bool { ok, err := s.DataAvailable(); return ok && err == nil })
		})
	})
}

// Row 24: what has no descriptor does not tell how much is there, so a byte is known when a zero-byte read has met it.
func TestContractDataAvailableWithoutDescriptor(t *testing.T) {
	conn, peer := kit.ConnCase{Network: "tcp"}.NetPair(t)
	defer peer.Close()
	s := kit.MustNew(t, struct{ net.Conn }{conn}, nil)
	defer s.Close()
	available := func(when string, want bool) {
		t.Helper()
		if ok, err := s.DataAvailable(); ok != want || err != nil {
			t.Errorf("%s: %v, %v, want %v", when, ok, err, want)
		}
	}
	kit.WriteText(t, peer, "xy")
	look, _ := kit.StartRead(t, s, 0)
	rowOK(t, rowEndOf(s, "BeginRead", look))
	available("after a look", true)
	kit.ReadText(t, s, "x")
	available("nobody has looked at the second byte", false)
	kit.ReadText(t, s, "y")
}

// rowTimeouts are the two timeouts.
var rowTimeouts = []struct {
	name string
	get  func(s *netstream.NetworkStream) time.Duration
	set  func(s *netstream.NetworkStream, d time.Duration) error
}{
	{"ReadTimeout", (*netstream.NetworkStream).ReadTimeout, (*netstream.NetworkStream).SetReadTimeout},
	{"WriteTimeout", (*netstream.NetworkStream).WriteTimeout, (*netstream.NetworkStream).SetWriteTimeout},
}

// Rows 28 to 33: values.
func TestContractTimeoutValues(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, k := range rowTimeouts {
			t.Run(k.name, func(t *testing.T) {
				s, _ := c.Pair(t, nil, nil)
				if d := k.get(s); d != -1 {
					t.Errorf("R28: %v", d)
				}
				bad := func() {
					t.Helper()
					for _, d := range []time.Duration{0, -2, -time.Millisecond, -time.Second, math.MinInt64} {
						kit.OutOfRange("value", d)(t, k.set(s, d))
					}
				}
				for _, d := range []time.Duration{1, time.Millisecond, 1001 * time.Millisecond, math.MaxInt64, netstream.Infinite, time.Second} {
					rowOK(t, k.set(s, d))
					bad() // R29, and what was set stays
					if got := k.get(s); got != d {
						t.Errorf("R30: %v, want %v", got, d)
					}
				}
				s.Socket().Close()
				bad()
				kit.Aborted("Socket")(t, k.set(s, time.Second))
				s.Close()
				bad()
				kit.Aborted("NetworkStream")(t, k.set(s, time.Minute))
				if got := k.get(s); got != time.Second {
					t.Errorf("R33: %v after Close", got)
				}
			})
		}
	})
}

// rowTimedOut wants a timeout as net's users know it.
func rowTimedOut(t *testing.T, err error) {
	t.Helper()
	kit.Code(netstream.CodeTimedOut)(t, err)
	var e net.Error
	if !errors.As(err, &e) || !e.Timeout() || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v is no timeout", err)
	}
}

// Rows 34 and 38: ReadTimeout.
func TestContractReadTimeout(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R34 expires", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			rowOK(t, s.SetReadTimeout(30*time.Millisecond))
			for range 2 {
				start := time.Now()
				n, err := s.Read(make([]byte, 4))
				rowTimedOut(t, err)
				if d := time.Since(start); n != 0 || d < 30*time.Millisecond || d > kit.Patience {
					t.Errorf("%d bytes after %v", n, d)
				}
			}
			if !s.Socket().Connected() {
				t.Error("R186: not connected after a timeout")
			}
			kit.WriteText(t, peer, "late")
			kit.ReadText(t, s, "late")
		})
		t.Run("R38 set while a Read waits", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			done := make(chan error, 1)
			go func() { _, err := s.Read(make([]byte, 1)); done <- err }()
			kit.Eventually(t, "the Read waits", kit.BegunReads(s, 1))
			rowOK(t, s.SetReadTimeout(time.Millisecond))
			select {
			case err := <-done:
				t.Errorf("the Read that waited has ended: %v", err)
			case <-time.After(30 * time.Millisecond):
				kit.WriteText(t, peer, "x")
				rowOK(t, kit.Within(t, "Read", done))
			}
		})
	})
}

// Row 38, on the clock of a bubble: a call goes by the timeout that was set when it began, whether it waits in the
// connection or in the queue; the next one goes by the new.
func TestContractTimeoutSetWhileACallWaits(t *testing.T) {
	calls := []struct {
		name        string
		call        func(s *netstream.NetworkStream) error
		set         func(s *netstream.NetworkStream, d time.Duration) error
		ahead, free func(t *testing.T, s, peer *netstream.NetworkStream)
	}{
		{"Read", func(s *netstream.NetworkStream) error { _, err := s.Read(make([]byte, 1)); return err },
			(*netstream.NetworkStream).SetReadTimeout,
			func(t *testing.T, s, _ *netstream.NetworkStream) { kit.StartRead(t, s, 1) },
			func(t *testing.T, _, peer *netstream.NetworkStream) { kit.WriteText(t, peer, "xy") }},
		{"Write", func(s *netstream.NetworkStream) error { _, err := s.Write([]byte("x")); return err },
			(*netstream.NetworkStream).SetWriteTimeout,
			func(t *testing.T, s, _ *netstream.NetworkStream) { kit.StartWrite(t, s, "y") },
			func(_ *testing.T, _, peer *netstream.NetworkStream) { discard(peer, 1<<10+2) }},
	}
	for _, k := range calls {
		for _, queued := range []bool{false, true} {
			for _, before := range []time.Duration{netstream.Infinite, 2 * time.Hour} {
				t.Run(fmt.Sprintf("R38 %s, queued %t, from %v", k.name, queued, before), func(t *testing.T) {
					kit.InBubble(t, nil, func(t *testing.T, s, peer *netstream.NetworkStream) {
						kit.FillPipe(t, s)
						if queued {
							k.ahead(t, s, peer)
						}
						rowOK(t, k.set(s, before))
						start, done := time.Now(), kit.Async(func() error { return k.call(s) })
						synctest.Wait()
						rowOK(t, k.set(s, time.Millisecond))
						if before == netstream.Infinite {
							time.Sleep(time.Hour)
							synctest.Wait()
							select {
							case err := <-done:
								t.Fatalf("the %s that waited has ended: %v", k.name, err)
							default:
							}
							go k.free(t, s, peer)
							rowOK(t, <-done)
							return
						}
						rowTimedOut(t, <-done)
						kit.Took(t, k.name, start, before)
						rowTimedOut(t, k.call(s))
						kit.Took(t, "both", start, before+time.Millisecond)
					})
				})
			}
		}
	}
}

// Rows 35, 36: WriteTimeout.
func TestContractWriteTimeout(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R35 expires", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			rowOK(t, s.Socket().SetWriteBuffer(64<<10))
			rowOK(t, s.SetWriteTimeout(100*time.Millisecond))
			start := time.Now()
			n, err := s.Write(kit.Large)
			rowTimedOut(t, err)
			if d := time.Since(start); d < 100*time.Millisecond || d > kit.Patience {
				t.Errorf("after %v", d)
			}
			if e := kit.IOErrorIn(t, err); n <= 0 || n >= len(kit.Large) || e != nil && e.N != int64(n) {
				t.Errorf("%d bytes out, N %d", n, e.N)
			}
			if !s.Socket().Connected() {
				t.Error("not connected after a timeout")
			}
			rowOK(t, s.SetWriteTimeout(netstream.Infinite))
			done := make(chan error, 1)
			go func() { _, err := s.Write([]byte("next")); done <- err }()
			discard(peer, n)
			kit.ReadText(t, peer, "next") // directly behind what was out
			rowOK(t, kit.Within(t, "Write", done))
			rowOK(t, s.EndWrite(kit.StartWrite(t, s, "begun")))
		})
		t.Run("R36 behind a begun write", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			stuck := kit.StartStuckWrite(t, s, nil)
			rowOK(t, s.SetWriteTimeout(30*time.Millisecond))
			n, err := s.Write([]byte("never"))
			rowTimedOut(t, err)
			if e := kit.IOErrorIn(t, err); n != 0 || e != nil && (e.N != 0 || e.Torn) {
				t.Errorf("%d bytes, %+v", n, e)
			}
			last := kit.StartWrite(t, s, "last")
			discard(peer, len(kit.Large))
			kit.ReadText(t, peer, "last")
			rowOK(t, s.EndWrite(stuck))
			rowOK(t, s.EndWrite(last))
		})
		t.Run("R36 behind a begun read", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			ar, p := kit.StartRead(t, s, 2)
			rowOK(t, s.SetReadTimeout(20*time.Millisecond))
			_, err := s.Read(make([]byte, 2))
			rowTimedOut(t, err)
			kit.WriteText(t, peer, "in")
			if n, err := s.EndRead(ar); n != 2 || err != nil || string(p) != "in" {
				t.Errorf("%d, %v, %q", n, err, p)
			}
		})
	})
}

// Row 37: neither timeout touches what was begun, nor End.
func TestContractTimeoutsLeaveBeginAlone(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		rowOK(t, s.SetReadTimeout(time.Millisecond))
		rowOK(t, s.SetWriteTimeout(time.Millisecond))
		read, _ := kit.StartRead(t, s, 2)
		write := kit.StartStuckWrite(t, s, nil)
		outcomes := make(chan error, 2)
		go func() { _, err := s.EndRead(read); outcomes <- err }()
		go func() { outcomes <- s.EndWrite(write) }()
		select {
		case err := <-outcomes:
			t.Fatalf("ended with %v", err)
		case <-time.After(40 * time.Millisecond):
		}
		kit.WriteText(t, peer, "in")
		discard(peer, len(kit.Large))
		rowOK(t, kit.Within(t, "End", outcomes))
		rowOK(t, kit.Within(t, "End", outcomes))
	})
}
