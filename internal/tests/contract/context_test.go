package contract_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// rowCanceled wants the failure of a call that its context has ended.
func rowCanceled(t testing.TB, err error) {
	t.Helper()
	kit.Code(netstream.CodeOperationAborted)(t, err)
	var disposed *netstream.ObjectDisposedError
	if !errors.Is(err, context.Canceled) || errors.As(err, &disposed) {
		t.Errorf("%v is not context.Canceled", err)
	}
}

// Rows 157, 175: a context that is cancelled already: nothing moves; errors of state come first.
func TestContractCancelledBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R157 open", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			kit.WriteText(t, peer, "in")
			_, err := s.WriteContext(ctx, []byte("never"))
			rowCanceled(t, err)
			_, err = s.ReadContext(ctx, make([]byte, 2))
			rowCanceled(t, err)
			kit.WriteText(t, s, "out")
			kit.ReadText(t, peer, "out")
			kit.ReadText(t, s, "in")
		})
		for _, k := range rowCalls {
			for _, state := range rowStates {
				if state.want == nil {
					continue
				}
				t.Run("R157 "+k.name+"/"+state.name, func(t *testing.T) {
					s, _ := c.Pair(t, accessOf(state.forbidden, k.forbids), nil)
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
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		n, err := s.WriteContext(t.Context(), []byte("out"))
		if n != 3 || err != nil {
			t.Errorf("R158: %d, %v", n, err)
		}
		kit.ReadText(t, peer, "out")
		rowOK(t, s.CloseWrite())
		_, err = s.WriteContext(t.Context(), []byte("x"))
		kit.Code(netstream.CodeShutdown)(t, err)
	})
}

// Row 160: a read that is cancelled takes no byte, and nothing is the worse for it.
func TestContractReadCancelled(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		for _, name := range []string{"R160 ReadContext", "R164 Cancel"} {
			t.Run(name, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan error, 1)
				waits := kit.BegunReads(s, int(s.Stats().ReadOps)+1)
				if name == "R164 Cancel" {
					ar, _ := kit.StartRead(t, s, 16)
					kit.Eventually(t, "the read waits", waits)
					if !s.Cancel(ar) {
						t.Error("Cancel of a pending read: false")
					}
					_, err := s.EndRead(ar)
					done <- err
				} else {
					go func() { _, err := s.ReadContext(ctx, make([]byte, 16)); done <- err }()
					kit.Eventually(t, "the read waits", waits)
				}
				cancel()
				rowCanceled(t, kit.Within(t, "the read", done))
				if !s.Socket().Connected() {
					t.Error("R186: not connected")
				}
				kit.WriteText(t, peer, "every byte")
				kit.ReadText(t, s, "every byte")
			})
		}
	})
}

// Rows 161, 163: a write that is cut by its context: the count is told and nothing may follow half a message.
func TestContractWriteCancelled(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		rowOK(t, s.Socket().SetWriteBuffer(64<<10))
		ctx, cancel := context.WithCancel(t.Context())
		type outcome struct {
			n   int
			err error
		}
		done := make(chan outcome, 1)
		go func() { n, err := s.WriteContext(ctx, kit.Large); done <- outcome{n, err} }()
		kit.Eventually(t, "the write waits", kit.BegunWrites(s, 1))
		kit.HasInput(t, peer) // a part is out
		behind := kit.StartWrite(t, s, "behind")
		cancel()
		o := kit.Within(t, "WriteContext", done)
		rowCanceled(t, o.err)
		if e := kit.IOErrorIn(t, o.err); e != nil && (!e.Torn || e.N != int64(o.n) || o.n <= 0 || o.n >= len(kit.Large)) {
			t.Errorf("R161: n %d, N %d, Torn %v", o.n, e.N, e.Torn)
		}
		err := s.EndWrite(behind)
		if e := kit.IOErrorIn(t, err); e != nil && (!e.Torn || e.N != 0) {
			t.Errorf("R163: %v: N %d, Torn %v", err, e.N, e.Torn)
		}
		_, err = s.BeginWrite([]byte("x"), 0, 1, kit.NeverCalled(t), nil)
		if e := kit.IOErrorIn(t, err); e != nil && !e.Torn {
			t.Errorf("R163: Begin: %v", err)
		}
		if !s.Socket().Connected() {
			t.Error("R186: not connected")
		}
		got := make([]byte, o.n)
		if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, kit.Large[:o.n]) {
			t.Errorf("the peer does not get the %d bytes (%v)", o.n, err)
		}
	})
}

// Rows 162, 164: a write cancelled in the queue: none of it goes out, the others go on in order.
func TestContractQueuedWriteCancelled(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		stuck := kit.StartStuckWrite(t, s, nil)
		first := kit.StartWrite(t, s, "first")
		begun := kit.StartWrite(t, s, "never")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		writes, _ := s.Pending()
		go func() { _, err := s.WriteContext(ctx, []byte("never")); done <- err }()
		kit.Eventually(t, "it waits", func() bool { n, _ := s.Pending(); return n > writes })
		last := kit.StartWrite(t, s, "last")
		cancel()
		rowCanceled(t, kit.Within(t, "WriteContext", done))
		kit.MustCancel(t, s, begun) // R164
		err := s.EndWrite(begun)
		rowCanceled(t, err)
		if s.Cancel(begun) || s.Cancel(netstream.AsyncResult{}) {
			t.Error("R164: Cancel of what is over")
		}
		discard(peer, len(kit.Large))
		kit.ReadText(t, peer, "firstlast")
		for _, ar := range []netstream.AsyncResult{stuck, first, last} {
			rowOK(t, s.EndWrite(ar))
		}
	})
}

// Row 165: closed while waiting, with a context that is not cancelled.
func TestContractContextClosed(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, _ := c.Pair(t, nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		done := make(chan error, 1)
		go func() { _, err := s.ReadContext(ctx, make([]byte, 1)); done <- err }()
		kit.Eventually(t, "the read waits", kit.BegunReads(s, 1))
		s.Socket().Close()
		kit.Aborted("Socket")(t, kit.Within(t, "ReadContext", done))
	})
}
