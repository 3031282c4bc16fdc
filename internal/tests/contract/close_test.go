package contract_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// rowCutSeen wants the peer of a cut write to know: a reset, where there is one.
func rowCutSeen(t *testing.T, c kit.ConnCase, peer io.Reader) {
	t.Helper()
	_, err := io.Copy(io.Discard, peer)
	if c.Network == "unix" {
		rowOK(t, err) // a Unix socket has no reset: documented
		return
	}
	kit.Code(netstream.CodeConnectionReset)(t, err)
}

// rowCleanEnd wants the peer to read text and then the end.
func rowCleanEnd(t *testing.T, peer io.Reader, text string) {
	t.Helper()
	got, err := io.ReadAll(peer)
	if err != nil || string(got) != text {
		t.Errorf("the peer has read %q, %v, want %q and the end", got, err, text)
	}
}

// Rows 127, 128, 130, 140, 142: closing when nothing is pending.
func TestContractClose(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R127 in any mix", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			for range 2 {
				rowOK(t, s.Close())
				rowOK(t, s.CloseTimeout(0))
				rowOK(t, s.CloseTimeout(time.Second))
				rowOK(t, s.CloseWithError(io.ErrNoProgress))
				rowOK(t, s.Socket().Close())
			}
			if s.CanRead() || s.CanWrite() || s.CanSeek() || !s.CanTimeout() {
				t.Error("R128: CanRead, CanWrite, CanSeek or CanTimeout")
			}
			if !errors.Is(s.Err(), net.ErrClosed) {
				t.Errorf("Err: %v", s.Err())
			}
			kit.Within(t, "Done", s.Done())
		})
		t.Run("R130 nothing pending", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			rowOK(t, s.EndWrite(kit.StartWrite(t, s, "all of it")))
			kit.CloseSoon(t, s)
			rowCleanEnd(t, peer, "all of it")
		})
		t.Run("R140 after the socket was closed", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			rowOK(t, s.Socket().Close())
			kit.CloseSoon(t, s)
			rowOK(t, s.Socket().Close())
		})
		t.Run("R142 the socket, nothing pending", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			kit.WriteText(t, s, "all of it")
			rowOK(t, s.Socket().Close())
			rowCleanEnd(t, peer, "all of it")
		})
		t.Run("R142 the socket, a read pending", func(t *testing.T) { // .NET: a reset
			s, peer := c.Pair(t, nil, nil)
			ar, _ := kit.StartRead(t, s, 1)
			kit.WriteText(t, s, "all of it")
			rowOK(t, s.Socket().Close())
			_, err := s.EndRead(ar)
			kit.Aborted("Socket")(t, err)
			rowCleanEnd(t, peer, "all of it")
		})
	})
}

// Rows 131 to 134, 165, 194: closing with something under way: always the same error, and a cut message never
// looks whole.
func TestContractCloseAborts(t *testing.T) {
	aborted := kit.Aborted("NetworkStream")
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R131 a write", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			outcome := make(chan error, 2)
			kit.StartStuckWrite(t, s, func(ar netstream.AsyncResult) { outcome <- s.EndWrite(ar) })
			queued := kit.StartWrite(t, s, "queued")
			kit.CloseSoon(t, s)
			err := kit.Within(t, "callback", outcome)
			aborted(t, err)
			if e := kit.IOErrorIn(t, err); e != nil && (e.N <= 0 || e.N >= int64(len(kit.Large)) || !e.Torn) {
				t.Errorf("N %d, Torn %v", e.N, e.Torn)
			}
			err = s.EndWrite(queued)
			aborted(t, err)
			if e := kit.IOErrorIn(t, err); e != nil && e.N != 0 {
				t.Errorf("queued: N %d", e.N)
			}
			rowCutSeen(t, c, peer)
		})
		t.Run("R131 a write whose first attempt is just over", func(t *testing.T) {
			for range 20 {
				s, peer := c.Pair(t, nil, nil)
				ar := kit.StartStuckWrite(t, s, nil)
				closed := make(chan error, 1)
				go func() { closed <- s.Close() }()
				rowOK(t, kit.Within(t, "Close", closed))
				aborted(t, s.EndWrite(ar))
				peer.Close()
			}
		})
		t.Run("R132 R194 a read", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			outcome := make(chan error, 1)
			_, err := s.BeginRead(make([]byte, 1), 0, 1, func(ar netstream.AsyncResult) {
				n, err := s.EndRead(ar)
				if n != 0 {
					t.Errorf("%d bytes", n)
				}
				outcome <- err
			}, nil)
			rowOK(t, err)
			kit.CloseSoon(t, s)
			aborted(t, kit.Within(t, "callback", outcome))
			rowCleanEnd(t, peer, "")
		})
		t.Run("R133 a blocked Read", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			outcome := make(chan error, 1)
			go func() { _, err := s.Read(make([]byte, 1)); outcome <- err }()
			kit.Eventually(t, "the Read waits", kit.BegunReads(s, 1))
			kit.CloseSoon(t, s)
			aborted(t, kit.Within(t, "Read", outcome))
		})
		t.Run("R134 a blocked Write", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			rowOK(t, s.Socket().SetWriteBuffer(64<<10))
			outcome := make(chan error, 1)
			go func() { _, err := s.Write(kit.Large); outcome <- err }()
			kit.Eventually(t, "the Write waits", kit.BegunWrites(s, 1))
			kit.HasInput(t, peer) // what is cut is half out
			kit.CloseSoon(t, s)
			aborted(t, kit.Within(t, "Write", outcome))
			rowCutSeen(t, c, peer)
		})
		t.Run("the cause", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			ar, _ := kit.StartRead(t, s, 1)
			rowOK(t, s.CloseWithError(io.ErrNoProgress))
			_, err := s.EndRead(ar)
			aborted(t, err)
			if !errors.Is(err, io.ErrNoProgress) || !errors.Is(s.Err(), io.ErrNoProgress) {
				t.Errorf("the cause is lost: %v, %v", err, s.Err())
			}
		})
	})
}

// Rows 135 to 138: .NET's Close(int), but as its page describes it.
func TestContractCloseTimeout(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R137 zero, something pending", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			stuck := kit.StartStuckWrite(t, s, nil)
			err := s.CloseTimeout(0)
			if e := kit.IOErrorIn(t, err); e != nil && (e.Unsent <= 0 || e.Unsent >= int64(len(kit.Large))) {
				t.Errorf("%v: Unsent %d", err, e.Unsent)
			}
			kit.Aborted("NetworkStream")(t, s.EndWrite(stuck))
			rowCutSeen(t, c, peer)
		})
		t.Run("R137 zero, nothing pending", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			kit.WriteText(t, s, "all of it")
			rowOK(t, s.CloseTimeout(0))
			rowCleanEnd(t, peer, "all of it")
		})
		for name, d := range map[string]time.Duration{"R138 enough": kit.Patience, "R135 without limit": -1, "R136 any negative": -5 * time.Hour} {
			t.Run(name, func(t *testing.T) {
				s, peer := c.Pair(t, nil, nil)
				stuck := kit.StartStuckWrite(t, s, nil)
				closed := make(chan error, 1)
				go func() { closed <- s.CloseTimeout(d) }()
				select {
				case err := <-closed:
					t.Fatalf("closed with %v although nobody has read", err)
				case <-time.After(10 * time.Millisecond):
				}
				n, err := io.Copy(io.Discard, peer)
				if n != int64(len(kit.Large)) || err != nil {
					t.Errorf("the peer has read %d, %v", n, err)
				}
				rowOK(t, kit.Within(t, "CloseTimeout", closed))
				rowOK(t, s.EndWrite(stuck))
			})
		}
		t.Run("R138 too late", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			stuck := kit.StartStuckWrite(t, s, nil)
			start := time.Now()
			err := s.CloseTimeout(30 * time.Millisecond)
			if d := time.Since(start); d < 30*time.Millisecond || d > kit.Patience {
				t.Errorf("after %v", d)
			}
			failed := s.EndWrite(stuck)
			e, f := kit.IOErrorIn(t, err), kit.IOErrorIn(t, failed)
			if e != nil && f != nil && e.Unsent != int64(len(kit.Large))-f.N {
				t.Errorf("Unsent %d, but %d were sent", e.Unsent, f.N)
			}
			rowCutSeen(t, c, peer)
		})
		t.Run("R138 no more writes", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			kit.StartStuckWrite(t, s, nil)
			closed := make(chan error, 1)
			go func() { closed <- s.CloseTimeout(-1) }()
			kit.Eventually(t, "the stream takes no more writes", func() bool {
				ar, err := s.BeginWrite([]byte{}, 0, 0, nil, nil)
				if err != nil {
					kit.InvalidOperation(t, err)
					return true
				}
				go s.EndWrite(ar)
				return false
			})
			go io.Copy(io.Discard, peer)
			rowOK(t, kit.Within(t, "CloseTimeout", closed))
		})
	})
}

// Rows 137, 138: what was not sent is lost although every message that was is whole: the peer has to know.
func TestContractCloseTimeoutBetweenMessages(t *testing.T) {
	for _, d := range []time.Duration{0, time.Second} {
		t.Run("R137 R138 "+d.String(), func(t *testing.T) {
			kit.InBubble(t, nil, func(t *testing.T, s, peer *netstream.NetworkStream) {
				kit.FillPipe(t, s) // exactly full
				never := kit.StartWrite(t, s, "never")
				err := s.CloseTimeout(d)
				if e := kit.IOErrorIn(t, err); e != nil && (e.Unsent != 5 || e.Torn) {
					t.Errorf("Unsent %d, Torn %v", e.Unsent, e.Torn)
				}
				err = s.EndWrite(never)
				kit.Aborted("NetworkStream")(t, err)
				if e := kit.IOErrorIn(t, err); e != nil && (e.N != 0 || e.Torn) {
					t.Errorf("N %d, Torn %v", e.N, e.Torn)
				}
				_, err = io.Copy(io.Discard, peer)
				kit.Code(netstream.CodeConnectionReset)(t, err)
			})
		})
	}
}

// Row 129: a stream that leaves its connection open gives it back, and aborts what was pending on it.
func TestContractCloseLeaveOpen(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("a pipe has no connection to leave open")
		}
		conn, peer := c.NetPair(t)
		defer conn.Close()
		defer peer.Close()
		s := kit.MustNew(t, conn, c.Config(&netstream.Config{LeaveOpen: true}))
		ran := make(chan error, 1)
		_, err := s.BeginRead(make([]byte, 4), 0, 4, func(ar netstream.AsyncResult) { _, err := s.EndRead(ar); ran <- err }, nil)
		rowOK(t, err)
		kit.CloseSoon(t, s)
		kit.Aborted("NetworkStream")(t, kit.Within(t, "callback", ran))
		kit.WriteText(t, peer, "mine") // none of it goes to the operation that was aborted
		kit.ReadText(t, conn, "mine")
		kit.WriteText(t, conn, "out")
		kit.ReadText(t, peer, "out")
	})
}

// Row 141: SetLinger(0) makes Close a reset, for whoever asks for one (.NET: its Shutdown comes first and the peer
// sees an end); without it Close loses nothing.
func TestContractCloseLinger(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for _, again := range []bool{false, true} {
			s, peer := c.WithPeer(t, nil)
			rowOK(t, s.Socket().SetLinger(0))
			if again {
				rowOK(t, s.Socket().SetLinger(-1))
			}
			kit.WriteText(t, s, "all of it")
			kit.ReadText(t, peer, "all of it")
			kit.CloseSoon(t, s)
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF && again || !again && !errors.Is(err, kit.Reset) {
				t.Errorf("R141: off again: %v: %v", again, err)
			}
		}
	})
}
