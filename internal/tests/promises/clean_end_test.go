package promises_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A plain close with one byte of input unread makes the kernel send a reset, which destroys what it had accepted.
func TestPromise16_CloseWithUnreadInputLosesNothing(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("needs a plain peer") // the other tests hold it for pipes
		}
		a, peer := c.WithPeer(t, nil)
		if _, err := peer.Write([]byte("never read")); err != nil {
			t.Fatal(err)
		}
		kit.HasInput(t, a)
		// As much as the kernel takes while the peer sleeps: many whole messages, the last ones aborted by Close.
		const size = 10_000
		var results []netstream.AsyncResult
		message := kit.Patterned(1, size)
		for range 600 {
			ar, err := a.BeginWrite(message, 0, size, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			results = append(results, ar)
			if !ar.IsCompleted() && len(results) > 300 {
				break
			}
		}
		a.Drain(kit.CanceledContext()) // it need not be over, only on its way
		a.Close()
		accepted, torn := 0, false
		for _, ar := range results {
			err := a.EndWrite(ar)
			if err == nil {
				accepted++
				continue
			}
			torn = torn || kit.IOFailure(t, err).Torn
		}
		o := kit.Within(t, "the peer reads, late, to the end", kit.GoRead(peer))
		if torn {
			return // half a message was out: a reset is right, and may destroy what was not read
		}
		wantEndBehindUnread(t, c, o.Err)
		kit.SameBytes(t, o.Data, bytes.Repeat(message, accepted))
	})
}

// The same with everything accepted: not one byte may be missing.
func TestPromise16_WhatWasAcceptedArrivesAfterClose(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			a, b := c.Pair(t, nil, nil)
			if err := b.Socket().SetReadBuffer(64 << 10); err != nil {
				t.Fatal(err)
			}
			if _, err := b.Write([]byte("never read")); err != nil {
				t.Fatal(err)
			}
			kit.HasInput(t, a)
			p := kit.Patterned(1, 60_000)
			if err := st.Write(a, p); err != nil {
				t.Fatal(err)
			}
			a.Close()
			if _, err := b.Write([]byte("too late")); c.Network == "tcp" && err != nil {
				t.Logf("input after Close: %v", err) // it may come while the connection lingers, and is discarded
			}
			o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
			wantEndBehindUnread(t, c, o.Err)
			kit.SameBytes(t, o.Data, p)
		})
	})
}

// wantEndBehindUnread checks how a stream ends that was closed with input unread. A Unix socket loses nothing either,
// but its kernel tells the peer, behind the last byte, that something of its own was not read.
func wantEndBehindUnread(t *testing.T, c kit.ConnCase, err error) {
	t.Helper()
	if err != nil && !(c.Network == "unix" && errors.Is(err, syscall.ECONNRESET)) {
		t.Fatalf("the end behind unread input: %v", err)
	}
}

func TestPromise16_QueuedWritesThatCloseAbortsLeaveWholeMessages(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const rounds, size, count = 30, 3000, 60
		ends := map[bool]int{}
		for round := range rounds {
			a, b := c.Pair(t, &netstream.Config{Send: netstream.SendDeferred}, nil)
			var results []netstream.AsyncResult
			for i := range count {
				ar, err := a.BeginWrite(kit.Record(round, i, size), 0, size, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				results = append(results, ar)
				if i == 2*round {
					kit.Eventually(t, "some of it is out", func() bool { return a.Stats().BytesWritten > 0 })
				}
			}
			a.Close()
			whole, torn := 0, false
			for _, ar := range results {
				err := a.EndWrite(ar)
				switch {
				case err == nil:
					whole++
				case kit.IOFailure(t, err).Torn:
					torn = true
				default:
					kit.WantAborted(t, "a queued write", err, "NetworkStream")
				}
			}
			o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
			ends[torn]++
			if torn {
				kit.WantEndAfterCut(t, c, kit.OrEOF(o.Err))
				continue
			}
			var want []byte
			for i := range whole {
				want = append(want, kit.Record(round, i, size)...)
			}
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			kit.SameBytes(t, o.Data, want)
		}
		t.Logf("%d rounds ended between messages, %d in the middle of one", ends[false], ends[true])
	})
}

// The pipe stops exactly between two messages: what is queued was never started, so the end is a clean one.
func TestPromise16_CloseBetweenTwoMessagesIsOrderly(t *testing.T) {
	a, b := netstream.Pipe(nil)
	defer b.Close()
	const size = 16 << 10 // four of them fill the pipe
	var outcomes []<-chan error
	for i := range 7 {
		_, ch := kit.Begin(t, a, kit.Patterned(i, size))
		outcomes = append(outcomes, ch)
	}
	kit.Settled(t, a)
	a.Close()
	var want []byte
	for i, ch := range outcomes {
		err := kit.Within(t, "outcome", ch)
		if i < 4 {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, kit.Patterned(i, size)...)
			continue
		}
		kit.WantFailure(t, "a queued write", err, 0, false)
		kit.WantAborted(t, "a queued write", err, "NetworkStream")
	}
	o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
	if o.Err != nil {
		t.Fatal(o.Err)
	}
	kit.SameBytes(t, o.Data, want)
}

func TestPromise16_AWriteThatCloseCutsResets(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			a, b := c.Pair(t, nil, nil)
			kit.SmallBuffers(t, a, b)
			done := kit.Async(func() error { return st.Write(a, kit.Patterned(1, kit.PlugSize)) })
			kit.HasInput(t, b)
			a.Close()
			err := kit.Within(t, "the cut write", done)
			if failure := kit.IOFailure(t, err); !failure.Torn || failure.N <= 0 || failure.N >= kit.PlugSize {
				t.Fatalf("N=%d Torn=%t: %v", failure.N, failure.Torn, err)
			}
			kit.WantAborted(t, "the cut write", err, "NetworkStream")
			o := kit.Within(t, "the peer sees the cut", kit.GoRead(b))
			kit.WantEndAfterCut(t, c, kit.OrEOF(o.Err))
		})
	})
}

// The kernel reports a reset once per socket, to whichever call comes first. When that is the write, a read gets a
// zero from it: that must not look like the peer's orderly end.
func TestPromise16_AResetThatAWriteNoticedFirstIsNoCleanEnd(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		rounds := 400
		if testing.Short() {
			rounds = 50
		}
		byWrite := 0
		for range rounds {
			a, peer := c.WithPeer(t, nil)
			_, reading := kit.BeginRead(t, a, 100)
			start := make(chan struct{})
			var writing error
			var wg sync.WaitGroup
			wg.Go(func() {
				<-start
				for writing == nil { // until it notices
					writing = kit.BeginThen(a, []byte("x"), func(netstream.AsyncResult) {})
				}
			})
			close(start)
			kit.ResetPeer(t, peer)
			err := kit.Within(t, "the read", reading).Err
			if errors.Is(err, io.EOF) || err == nil {
				t.Fatalf("a read behind a reset: %v", err)
			}
			kit.WantFailure(t, "the read behind a reset", err, 0, false, netstream.CodeConnectionReset)
			wg.Wait()
			kit.WantIs(t, "the write", writing)
			if errors.Is(writing, netstream.CodeConnectionReset) {
				byWrite++
			}
			for range 3 { // and it stays so
				if n, err := a.Read(make([]byte, 10)); n != 0 || err == io.EOF || err == nil {
					t.Fatalf("a later read behind a reset: %d, %v", n, err)
				}
			}
			a.Close()
			kit.WantIs(t, "Err()", a.Err(), netstream.CodeConnectionReset)
		}
		t.Logf("the write saw the reset in %d of %d rounds", byWrite, rounds)
	})
}

// Nobody reads when the write meets the reset; the read comes later.
func TestPromise16_AReadThatBeginsAfterAWriteSawTheReset(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			a, peer := c.WithPeer(t, nil)
			kit.ResetPeer(t, peer)
			var err error
			kit.Eventually(t, "a write meets the reset", func() bool { err = st.Write(a, []byte("x")); return err != nil })
			kit.WantIs(t, "the write", err, netstream.CodeConnectionReset)
			for range 3 {
				n, err := st.Read(a, make([]byte, 10))
				if n != 0 || err == io.EOF {
					t.Fatalf("a read behind a reset: %d, %v", n, err)
				}
				kit.WantFailure(t, "a read behind a reset", err, 0, false, netstream.CodeConnectionReset)
			}
		})
	})
}

// A peer that has ended in order and is written to answers with a reset. What it sent before stays whole.
func TestPromise16_AFinAndThenAWriteKeepACleanEnd(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			a, peer := c.WithPeer(t, nil)
			if _, err := peer.Write([]byte("last words")); err != nil {
				t.Fatal(err)
			}
			kit.HasInput(t, a)
			peer.Close()
			var err error
			kit.Eventually(t, "a write fails", func() bool { err = st.Write(a, []byte("x")); return err != nil })
			kit.WantIs(t, "the write", err)
			got := make([]byte, 0, 20)
			for {
				p := make([]byte, 4)
				n, err := st.Read(a, p)
				got = append(got, p[:n]...)
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatalf("after %q: %v", got, err)
				}
			}
			if string(got) != "last words" {
				t.Fatalf("got %q", got)
			}
			if n, err := st.Read(a, make([]byte, 4)); n != 0 || err != io.EOF {
				t.Fatalf("once more: %d, %v", n, err)
			}
		})
	})
}

// Data and the end can come in one event, and no further event follows.
func TestPromise16_DataAndEndInOneEvent(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("needs a plain peer")
		}
		for round := range 200 {
			a, peer := c.WithPeer(t, nil)
			_, first := kit.BeginRead(t, a, 10)
			kit.Eventually(t, "the read waits", kit.BegunReads(a, 1))
			p := kit.Patterned(round, 1+round)
			vectors := net.Buffers{p}
			if _, err := vectors.WriteTo(peer); err != nil {
				t.Fatal(err)
			}
			peer.Close()
			o := kit.Within(t, "the first read", first)
			got := o.Data
			for o.Err == nil {
				_, next := kit.BeginRead(t, a, 10)
				o = kit.Within(t, "a read", next)
				got = append(got, o.Data...)
			}
			if o.Err != io.EOF {
				t.Fatal(o.Err)
			}
			kit.SameBytes(t, got, p)
			a.Close()
		}
	})
}
