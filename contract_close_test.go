package netstream_test

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// rowCutSeen wants the peer of a cut write to know: a reset, where there is one.
func rowCutSeen(t *testing.T, c connCase, peer io.Reader) {
	t.Helper()
	_, err := io.Copy(io.Discard, peer)
	if c.network == "unix" {
		rowOK(t, err) // a Unix socket has no reset: documented
		return
	}
	rowCode(netstream.CodeConnectionReset)(t, err)
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
	eachConn(t, func(t *testing.T, c connCase) {
		t.Run("R127 in any mix", func(t *testing.T) {
			s, _ := c.pair(t, nil, nil)
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
			within(t, "Done", s.Done())
		})
		t.Run("R130 nothing pending", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			rowOK(t, s.EndWrite(rowBegin(t, s, "all of it")))
			rowCloseBy(t, s)
			rowCleanEnd(t, peer, "all of it")
		})
		t.Run("R140 after the socket was closed", func(t *testing.T) {
			s, _ := c.pair(t, nil, nil)
			rowOK(t, s.Socket().Close())
			rowCloseBy(t, s)
			rowOK(t, s.Socket().Close())
		})
		t.Run("R142 the socket, nothing pending", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			rowWrite(t, s, "all of it")
			rowOK(t, s.Socket().Close())
			rowCleanEnd(t, peer, "all of it")
		})
		t.Run("R142 the socket, a read pending", func(t *testing.T) { // .NET: a reset
			s, peer := c.pair(t, nil, nil)
			ar, _ := rowBeginRead(t, s, 1)
			rowWrite(t, s, "all of it")
			rowOK(t, s.Socket().Close())
			_, err := s.EndRead(ar)
			rowAborted("Socket")(t, err)
			rowCleanEnd(t, peer, "all of it")
		})
	})
}

// Rows 131 to 134, 165, 194: closing with something under way: always the same error, and a cut message never
// looks whole.
func TestContractCloseAborts(t *testing.T) {
	aborted := rowAborted("NetworkStream")
	eachConn(t, func(t *testing.T, c connCase) {
		t.Run("R131 a write", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			outcome := make(chan error, 2)
			rowStuck(t, s, func(ar netstream.AsyncResult) { outcome <- s.EndWrite(ar) })
			queued := rowBegin(t, s, "queued")
			rowCloseBy(t, s)
			err := within(t, "callback", outcome)
			aborted(t, err)
			if e := rowIO(t, err); e != nil && (e.N <= 0 || e.N >= int64(len(rowBytes)) || !e.Torn) {
				t.Errorf("N %d, Torn %v", e.N, e.Torn)
			}
			err = s.EndWrite(queued)
			aborted(t, err)
			if e := rowIO(t, err); e != nil && e.N != 0 {
				t.Errorf("queued: N %d", e.N)
			}
			rowCutSeen(t, c, peer)
		})
		t.Run("R131 a write whose first attempt is just over", func(t *testing.T) {
			for range 20 {
				s, peer := c.pair(t, nil, nil)
				ar := rowStuck(t, s, nil)
				closed := make(chan error, 1)
				go func() { closed <- s.Close() }()
				rowOK(t, within(t, "Close", closed))
				aborted(t, s.EndWrite(ar))
				peer.Close()
			}
		})
		t.Run("R132 R194 a read", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			outcome := make(chan error, 1)
			_, err := s.BeginRead(make([]byte, 1), 0, 1, func(ar netstream.AsyncResult) {
				n, err := s.EndRead(ar)
				if n != 0 {
					t.Errorf("%d bytes", n)
				}
				outcome <- err
			}, nil)
			rowOK(t, err)
			rowCloseBy(t, s)
			aborted(t, within(t, "callback", outcome))
			rowCleanEnd(t, peer, "")
		})
		t.Run("R133 a blocked Read", func(t *testing.T) {
			s, _ := c.pair(t, nil, nil)
			outcome := make(chan error, 1)
			go func() { _, err := s.Read(make([]byte, 1)); outcome <- err }()
			eventually(t, "the Read waits", s.ReadWaits)
			rowCloseBy(t, s)
			aborted(t, within(t, "Read", outcome))
		})
		t.Run("R134 a blocked Write", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			rowOK(t, s.Socket().SetWriteBuffer(64<<10))
			outcome := make(chan error, 1)
			go func() { _, err := s.Write(rowBytes); outcome <- err }()
			eventually(t, "the Write waits", s.WriteWaits)
			hasInput(t, peer) // what is cut is half out
			rowCloseBy(t, s)
			aborted(t, within(t, "Write", outcome))
			rowCutSeen(t, c, peer)
		})
		t.Run("the cause", func(t *testing.T) {
			s, _ := c.pair(t, nil, nil)
			ar, _ := rowBeginRead(t, s, 1)
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
	eachConn(t, func(t *testing.T, c connCase) {
		t.Run("R137 zero, something pending", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			stuck := rowStuck(t, s, nil)
			err := s.CloseTimeout(0)
			if e := rowIO(t, err); e != nil && (e.Unsent <= 0 || e.Unsent >= int64(len(rowBytes))) {
				t.Errorf("%v: Unsent %d", err, e.Unsent)
			}
			rowAborted("NetworkStream")(t, s.EndWrite(stuck))
			rowCutSeen(t, c, peer)
		})
		t.Run("R137 zero, nothing pending", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			rowWrite(t, s, "all of it")
			rowOK(t, s.CloseTimeout(0))
			rowCleanEnd(t, peer, "all of it")
		})
		for name, d := range map[string]time.Duration{"R138 enough": patience, "R135 without limit": -1, "R136 any negative": -5 * time.Hour} {
			t.Run(name, func(t *testing.T) {
				s, peer := c.pair(t, nil, nil)
				stuck := rowStuck(t, s, nil)
				closed := make(chan error, 1)
				go func() { closed <- s.CloseTimeout(d) }()
				select {
				case err := <-closed:
					t.Fatalf("closed with %v although nobody has read", err)
				case <-time.After(10 * time.Millisecond):
				}
				n, err := io.Copy(io.Discard, peer)
				if n != int64(len(rowBytes)) || err != nil {
					t.Errorf("the peer has read %d, %v", n, err)
				}
				rowOK(t, within(t, "CloseTimeout", closed))
				rowOK(t, s.EndWrite(stuck))
			})
		}
		t.Run("R138 too late", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			stuck := rowStuck(t, s, nil)
			start := time.Now()
			err := s.CloseTimeout(30 * time.Millisecond)
			if d := time.Since(start); d < 30*time.Millisecond || d > patience {
				t.Errorf("after %v", d)
			}
			failed := s.EndWrite(stuck)
			e, f := rowIO(t, err), rowIO(t, failed)
			if e != nil && f != nil && e.Unsent != int64(len(rowBytes))-f.N {
				t.Errorf("Unsent %d, but %d were sent", e.Unsent, f.N)
			}
			rowCutSeen(t, c, peer)
		})
		t.Run("R138 no more writes", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			rowStuck(t, s, nil)
			closed := make(chan error, 1)
			go func() { closed <- s.CloseTimeout(-1) }()
			eventually(t, "the stream takes no more writes", func() bool {
				ar, err := s.BeginWrite([]byte{}, 0, 0, nil, nil)
				if err != nil {
					rowInvalid(t, err)
					return true
				}
				go s.EndWrite(ar)
				return false
			})
			go io.Copy(io.Discard, peer)
			rowOK(t, within(t, "CloseTimeout", closed))
		})
	})
}

// Rows 137, 138: what was not sent is lost although every message that was is whole: the peer has to know.
func TestContractCloseTimeoutBetweenMessages(t *testing.T) {
	for _, d := range []time.Duration{0, time.Second} {
		t.Run("R137 R138 "+d.String(), func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s, peer *netstream.NetworkStream) {
				block(t, s) // exactly full
				never := rowBegin(t, s, "never")
				err := s.CloseTimeout(d)
				if e := rowIO(t, err); e != nil && (e.Unsent != 5 || e.Torn) {
					t.Errorf("Unsent %d, Torn %v", e.Unsent, e.Torn)
				}
				err = s.EndWrite(never)
				rowAborted("NetworkStream")(t, err)
				if e := rowIO(t, err); e != nil && (e.N != 0 || e.Torn) {
					t.Errorf("N %d, Torn %v", e.N, e.Torn)
				}
				_, err = io.Copy(io.Discard, peer)
				rowCode(netstream.CodeConnectionReset)(t, err)
			})
		})
	}
}

// Row 129: a stream that leaves its connection open gives it back, and aborts what was pending on it.
func TestContractCloseLeaveOpen(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		if c.network == "pipe" {
			t.Skip("a pipe has no connection to leave open")
		}
		conn, peer := c.netPair(t)
		defer conn.Close()
		defer peer.Close()
		s := mustNew(t, conn, c.config(&netstream.Config{LeaveOpen: true}))
		ran := make(chan error, 1)
		_, err := s.BeginRead(make([]byte, 4), 0, 4, func(ar netstream.AsyncResult) { _, err := s.EndRead(ar); ran <- err }, nil)
		rowOK(t, err)
		rowCloseBy(t, s)
		rowAborted("NetworkStream")(t, within(t, "callback", ran))
		rowWrite(t, peer, "mine") // none of it goes to the operation that was aborted
		rowExpect(t, conn, "mine")
		rowWrite(t, conn, "out")
		rowExpect(t, peer, "out")
	})
}

// Row 141: SetLinger(0) makes Close a reset, for whoever asks for one (.NET: its Shutdown comes first and the peer
// sees an end); without it Close loses nothing.
func TestContractCloseLinger(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		for _, again := range []bool{false, true} {
			s, peer := c.withPeer(t, nil)
			rowOK(t, s.Socket().SetLinger(0))
			if again {
				rowOK(t, s.Socket().SetLinger(-1))
			}
			rowWrite(t, s, "all of it")
			rowExpect(t, peer, "all of it")
			rowCloseBy(t, s)
			if _, err := peer.Read(make([]byte, 1)); err != io.EOF && again || !again && !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("R141: off again: %v: %v", again, err)
			}
		}
	})
}
