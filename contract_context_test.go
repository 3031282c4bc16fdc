package netstream_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// rowCanceled wants the failure of a call that its context has ended.
func rowCanceled(t testing.TB, err error) {
	t.Helper()
	rowCode(netstream.CodeOperationAborted)(t, err)
	var disposed *netstream.ObjectDisposedError
	if !errors.Is(err, context.Canceled) || errors.As(err, &disposed) {
		t.Errorf("%v is not context.Canceled", err)
	}
}

// Rows 157, 175: a context that is cancelled already: nothing moves; errors of state come first.
func TestContractCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	eachConn(t, func(t *testing.T, c connCase) {
		t.Run("R157 open", func(t *testing.T) {
			s, peer := c.pair(t, nil, nil)
			rowWrite(t, peer, "in")
			_, err := s.WriteContext(ctx, []byte("never"))
			rowCanceled(t, err)
			_, err = s.ReadContext(ctx, make([]byte, 2))
			rowCanceled(t, err)
			rowWrite(t, s, "out")
			rowExpect(t, peer, "out")
			rowExpect(t, s, "in")
		})
		for _, k := range rowCalls {
			for _, state := range rowStates {
				if state.want == nil {
					continue
				}
				t.Run("R157 "+k.name+"/"+state.name, func(t *testing.T) {
					s, _ := c.pair(t, accessOf(state.forbidden, k.forbids), nil)
					state.enter(s)
					_, err := k.call(s, ctx, make([]byte, 4))
					rowState(t, err, s)
				})
			}
		}
	})
}

// Rows 158, 159: what is done or known at once.
func TestContractContextAtOnce(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		s, peer := c.pair(t, nil, nil)
		n, err := s.WriteContext(t.Context(), []byte("out"))
		if n != 3 || err != nil {
			t.Errorf("R158: %d, %v", n, err)
		}
		rowExpect(t, peer, "out")
		rowOK(t, s.CloseWrite())
		_, err = s.WriteContext(t.Context(), []byte("x"))
		rowCode(netstream.CodeShutdown)(t, err)
	})
}

// Row 160: a read that is cancelled takes no byte, and nothing is the worse for it.
func TestContractReadCancelled(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		s, peer := c.pair(t, nil, nil)
		for _, name := range []string{"R160 ReadContext", "R164 Cancel"} {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				if name == "R164 Cancel" {
					ar, _ := rowBeginRead(t, s, 16)
					eventually(t, "the read waits", s.ReadWaits)
					if !s.Cancel(ar) {
						t.Error("Cancel of a pending read: false")
					}
					_, err := s.EndRead(ar)
					done <- err
				} else {
					go func() { _, err := s.ReadContext(ctx, make([]byte, 16)); done <- err }()
					eventually(t, "the read waits", s.ReadWaits)
				}
				cancel()
				rowCanceled(t, within(t, "the read", done))
				if !s.Socket().Connected() {
					t.Error("R186: not connected")
				}
				rowWrite(t, peer, "every byte")
				rowExpect(t, s, "every byte")
			})
		}
	})
}

// Rows 161, 163: a write that is cut by its context: the count is told and nothing may follow half a message.
func TestContractWriteCancelled(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		s, peer := c.pair(t, nil, nil)
		rowOK(t, s.Socket().SetWriteBuffer(64<<10))
		ctx, cancel := context.WithCancel(t.Context())
		type outcome struct {
			n   int
			err error
		}
		done := make(chan outcome, 1)
		go func() { n, err := s.WriteContext(ctx, rowBytes); done <- outcome{n, err} }()
		eventually(t, "the write waits", s.WriteWaits)
		hasInput(t, peer) // a part is out
		behind := rowBegin(t, s, "behind")
		cancel()
		o := within(t, "WriteContext", done)
		rowCanceled(t, o.err)
		if e := rowIO(t, o.err); e != nil && (!e.Torn || e.N != int64(o.n) || o.n <= 0 || o.n >= len(rowBytes)) {
			t.Errorf("R161: n %d, N %d, Torn %v", o.n, e.N, e.Torn)
		}
		err := s.EndWrite(behind)
		if e := rowIO(t, err); e != nil && (!e.Torn || e.N != 0) {
			t.Errorf("R163: %v: N %d, Torn %v", err, e.N, e.Torn)
		}
		_, err = s.BeginWrite([]byte("x"), 0, 1, noCallback(t), nil)
		if e := rowIO(t, err); e != nil && !e.Torn {
			t.Errorf("R163: Begin: %v", err)
		}
		if !s.Socket().Connected() {
			t.Error("R186: not connected")
		}
		got := make([]byte, o.n)
		if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, rowBytes[:o.n]) {
			t.Errorf("the peer does not get the %d bytes (%v)", o.n, err)
		}
	})
}

// Rows 162, 164: a write cancelled in the queue: none of it goes out, the others go on in order.
func TestContractQueuedWriteCancelled(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		s, peer := c.pair(t, nil, nil)
		stuck := rowStuck(t, s, nil)
		first := rowBegin(t, s, "first")
		begun := rowBegin(t, s, "never")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		writes, _ := s.Pending()
		go func() { _, err := s.WriteContext(ctx, []byte("never")); done <- err }()
		eventually(t, "it waits", func() bool { n, _ := s.Pending(); return n > writes })
		last := rowBegin(t, s, "last")
		cancel()
		rowCanceled(t, within(t, "WriteContext", done))
		if !s.Cancel(begun) {
			t.Error("R164: Cancel of a queued write: false")
		}
		err := s.EndWrite(begun)
		rowCanceled(t, err)
		if s.Cancel(begun) || s.Cancel(netstream.AsyncResult{}) {
			t.Error("R164: Cancel of what is over")
		}
		discard(peer, len(rowBytes))
		rowExpect(t, peer, "firstlast")
		for _, ar := range []netstream.AsyncResult{stuck, first, last} {
			rowOK(t, s.EndWrite(ar))
		}
	})
}

// Row 165: closed while waiting, with a context that is not cancelled.
func TestContractContextClosed(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		s, _ := c.pair(t, nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { _, err := s.ReadContext(ctx, make([]byte, 1)); done <- err }()
		eventually(t, "the read waits", s.ReadWaits)
		s.Socket().Close()
		rowAborted("Socket")(t, within(t, "ReadContext", done))
	})
}
