package fanout_test

import (
	"context"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestPost_CloseTimeoutCountsWhatIsLost(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		kit.Must(t, a.Post(kit.Patterned(1, kit.PlugSize)))
		kit.Settled(t, a)
		kit.Must(t, a.Post(make([]byte, 777)))
		err := a.CloseTimeout(0)
		var failure *netstream.IOError
		want := kit.PlugSize + 777 - int64(a.Stats().BytesWritten)
		if !errors.As(err, &failure) || failure.Unsent != want {
			t.Errorf("%v, want %d unsent", err, want)
		}
		if st := a.Stats(); st.LostPosts != 2 || int64(st.LostBytes) != want {
			t.Errorf("%+v, want %d bytes lost", st, want)
		}
	})
}

// When a post is lost, nothing follows it: every later write fails with the cause, and all who ask are told. Reading goes
// on.
func TestPost_ALostOneEndsTheWriting(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		release := hold(t, c, a)
		lost := 0
		for range 40 { // so many are in several chunks
			kit.Must(t, a.Post([]byte("lost")))
			lost += 4
		}
		kit.CutNow(t, a)
		kit.Must(t, a.SetWriteDeadline(time.Time{}))
		release()
		wantAllWritesFail(t, a, false, os.ErrDeadlineExceeded)
		st := a.Stats()
		if st.LostPosts != 40 || st.LostBytes != uint64(lost) || st.BytesWritten != held(c) || !errors.Is(st.WriteErr, os.ErrDeadlineExceeded) {
			t.Errorf("%+v", st)
		}
		kit.WantIdle(t, a)
		kit.Must(t, kit.WriteAll(b, "still"))
		kit.ReadExactly(t, a, []byte("still"))
		a.Close()
		if o := kit.Within(t, "the peer", kit.GoRead(b)); uint64(len(o.Data)) != held(c) {
			t.Errorf("%d bytes followed what was lost", uint64(len(o.Data))-held(c))
		}
	})
}

// hold has everything that is written on a wait, with nothing of it out, until release is called or the stream is
// closed: a raw call has the writing direction. The buffer of a pipe is filled instead, so its peer reads that first.
func hold(t *testing.T, c kit.ConnCase, a *netstream.NetworkStream) (release func()) {
	t.Helper()
	if c.TLS() {
		t.Skip("no raw call has the writing direction of a stream with TLS")
	}
	if c.Network == "pipe" {
		kit.Must(t, a.Post(make([]byte, pipeBuffer)))
		kit.Must(t, a.Drain(context.Background()))
		return func() {}
	}
	raw, err := a.SyscallConn()
	kit.Must(t, err)
	entered, leave := make(chan struct{}), make(chan struct{})
	left := kit.Async(func() error {
		return raw.Write(func(uintptr) bool { close(entered); <-leave; return true })
	})
	kit.Within(t, "the raw call", entered)
	return func() { close(leave); <-left }
}

const pipeBuffer = 64 << 10

// held is how many bytes hold has put in front.
func held(c kit.ConnCase) uint64 {
	if c.Network == "pipe" {
		return pipeBuffer
	}
	return 0
}

// wantAllWritesFail checks that every kind of write on a fails with that cause and sends nothing.
func wantAllWritesFail(t *testing.T, a *netstream.NetworkStream, torn bool, cause error) {
	t.Helper()
	before := a.Stats().BytesWritten
	for _, kind := range writeKinds {
		err := kind.write(a, []byte("after"))
		var failure *netstream.IOError
		if !errors.As(err, &failure) || failure.Torn != torn || !errors.Is(err, cause) {
			t.Errorf("%s: %v, want a failure by %v, torn %t", kind.name, err, cause, torn)
		}
	}
	if err := a.Drain(context.Background()); !errors.Is(err, cause) {
		t.Errorf("Drain: %v", err)
	}
	if err := a.WriteErr(); !errors.Is(err, cause) {
		t.Errorf("WriteErr: %v", err)
	}
	if err := a.CloseWrite(); !errors.Is(err, cause) {
		t.Errorf("CloseWrite: %v", err)
	}
	if after := a.Stats().BytesWritten; after != before {
		t.Errorf("%d bytes followed what was lost", after-before)
	}
}

// A post that was cut in the middle is torn: the peer does not take its half for whole.
func TestPost_CutInTheMiddleIsTorn(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		p := kit.Patterned(1, kit.PlugSize)
		kit.Must(t, a.Post(p))
		kit.HasInput(t, b)
		kit.Settled(t, a)
		kit.Must(t, a.Post([]byte("behind")))
		_, begun := kit.Begin(t, a, []byte("begun behind"))
		kit.CutNow(t, a)
		if err := kit.Within(t, "the write behind", begun); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		kit.Must(t, a.SetWriteDeadline(time.Time{}))
		kit.Eventually(t, "it has come back", func() bool { return a.Stats().LostPosts == 2 })
		n := a.Stats().BytesWritten
		if lost := a.Stats().LostBytes; lost != kit.PlugSize+6-n {
			t.Errorf("%d bytes lost, %d written", lost, n)
		}
		wantAllWritesFail(t, a, true, os.ErrDeadlineExceeded)
		kit.ReadExactly(t, b, p[:n])
		a.Close()
		_, err := b.Read(make([]byte, 1))
		kit.WantEndAfterCut(t, c, err)
	})
}

// A blocking Write that is cut leaves the stream to the next one, but not when posts behind it are lost.
func TestPost_LostBehindABlockingWrite(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		blocked := kit.Async(func() error { _, err := a.Write(kit.Patterned(1, kit.PlugSize)); return err })
		kit.HasInput(t, b)
		kit.Settled(t, a)
		kit.Must(t, a.Post([]byte("lost")))
		kit.CutNow(t, a)
		if err := kit.Within(t, "Write", blocked); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		kit.Must(t, a.SetWriteDeadline(time.Time{}))
		wantAllWritesFail(t, a, true, os.ErrDeadlineExceeded)
	})
}

// A peer that resets loses posts; the next write says so, and so does everybody who asks.
func TestPost_LostToAReset(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		a, peer := c.WithPeer(t, nil)
		kit.Must(t, a.Socket().SetWriteBuffer(32<<10))
		kit.Must(t, a.Post(kit.Patterned(1, kit.PlugSize)))
		kit.Must(t, a.Post([]byte("behind")))
		kit.Settled(t, a)
		kit.ResetPeer(t, peer)
		kit.Eventually(t, "both are lost", func() bool { return a.Stats().LostPosts == 2 })
		if !errors.Is(a.WriteErr(), netstream.CodeConnectionReset) {
			t.Error(a.WriteErr())
		}
		if err := a.Post([]byte("x")); !errors.Is(err, netstream.CodeConnectionReset) {
			t.Error(err)
		}
		if a.Err() != nil {
			t.Errorf("the stream is open, and Err is %v", a.Err())
		}
		a.Close()
		if !errors.Is(a.Err(), netstream.CodeConnectionReset) {
			t.Error(a.Err())
		}
	})
}

// What Close takes away is counted; it was the caller's will, so Err says what it always says.
func TestPost_LostToClose(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		release := hold(t, c, a)
		before := a.Stats()
		kit.Must(t, a.Post([]byte("one")))
		kit.Must(t, a.Post([]byte("three")))
		closed := kit.Async(a.Close)
		kit.Eventually(t, "it is closed", func() bool { return !a.CanWrite() })
		release()
		kit.Must(t, kit.Within(t, "Close", closed))
		kit.Within(t, "Done", a.Done())
		st := a.Stats()
		if st.Posts != before.Posts+2 || st.LostPosts != 2 || st.LostBytes != 8 || !errors.Is(st.WriteErr, net.ErrClosed) {
			t.Errorf("%+v", st)
		}
		if a.Err() != net.ErrClosed {
			t.Error(a.Err())
		}
		if o := kit.Within(t, "the peer", kit.GoRead(b)); uint64(len(o.Data)) != held(c) || o.Err != nil {
			t.Errorf("%d bytes, %v", len(o.Data), o.Err)
		}
	})
}

// A stream that is torn, or closed, while posts come from everywhere: each is refused, sent, dropped or lost, and the
// counts say so.
func TestPost_EachIsAccountedForWhateverEndsTheStream(t *testing.T) {
	ends := []func(a, b *netstream.NetworkStream){
		func(a, _ *netstream.NetworkStream) { a.Close() },
		func(a, _ *netstream.NetworkStream) { _ = a.Socket().Close() },
		func(a, _ *netstream.NetworkStream) { _ = a.CloseTimeout(0) },
		func(a, _ *netstream.NetworkStream) { _ = a.SetWriteDeadline(time.Unix(1, 0)) },
		func(a, _ *netstream.NetworkStream) { _ = a.Socket().Shutdown(netstream.ShutdownSend) },
		func(a, _ *netstream.NetworkStream) { _ = a.CloseWrite() },
		func(_, b *netstream.NetworkStream) { b.Close() },
	}
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		for i := range 4 * len(ends) {
			overflow := netstream.Overflow(i / len(ends) % 2)
			a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 100, Overflow: overflow}, nil)
			reads := kit.GoRead(b)
			const posters, each = 4, 300
			var all sync.WaitGroup
			var posted sync.Map
			for w := range posters {
				all.Go(func() {
					n := 0
					for range each {
						if a.Post(make([]byte, 100)) == nil {
							n++
						}
					}
					posted.Store(w, n)
				})
			}
			all.Go(func() { ends[i%len(ends)](a, b) })
			all.Wait()
			ctx, cancel := context.WithTimeout(context.Background(), kit.Patience)
			_ = a.Drain(ctx)
			cancel()
			total := 0
			for w := range posters {
				n, _ := posted.Load(w)
				total += n.(int)
			}
			kit.WantIdle(t, a)
			st := a.Stats()
			sent := int(st.Posts - st.LostPosts - st.Dropped)
			if int(st.Posts) != total || uint64(total*100) != st.BytesWritten+st.LostBytes+st.Dropped*100 || sent < 0 {
				t.Errorf("end %d: %d were posted, %+v", i%len(ends), total, st)
			}
			a.Close()
			b.Close()
			kit.Within(t, "the peer", reads)
		}
	})
}
