package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Everything about time is tested in bubbles, whose clock jumps to the next timer once everybody in them waits. So an
// hour costs nothing, and "exactly" means exactly.

// bubbleIn is bubble for one style.
func bubbleIn(t *testing.T, st kit.Style, f func(t *testing.T, a, b *netstream.NetworkStream)) {
	t.Helper()
	if st.Name == "begin-poll" {
		t.Skip("an hour of polls every 50 µs takes its time, in a bubble too")
	}
	kit.InBubble(t, nil, f)
}

func TestTimeReadDeadline(t *testing.T) {
	kit.EachStyle(t, func(t *testing.T, st kit.Style) {
		bubbleIn(t, st, func(t *testing.T, a, b *netstream.NetworkStream) {
			start, p := time.Now(), make([]byte, 10)
			a.SetReadDeadline(start.Add(time.Hour))
			if n, err := st.Read(a, p); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read: %d, %v", n, err)
			}
			kit.Took(t, "the read", start, time.Hour)
			if n, err := st.Read(a, p); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("read past the deadline: %d, %v", n, err)
			}
			kit.Took(t, "the read past the deadline", start, time.Hour)

			a.SetReadDeadline(time.Time{})
			time.AfterFunc(time.Hour, func() { b.Write([]byte("late")) })
			if n, err := st.Read(a, p); string(p[:n]) != "late" || err != nil {
				t.Errorf("read without a deadline: %q, %v", p[:n], err)
			}
			kit.Took(t, "both reads", start, 2*time.Hour)
		})
	})
}

func TestTimeWriteDeadline(t *testing.T) {
	kit.EachStyle(t, func(t *testing.T, st kit.Style) {
		bubbleIn(t, st, func(t *testing.T, a, b *netstream.NetworkStream) {
			kit.FillPipe(t, a)
			start := time.Now()
			a.SetWriteDeadline(start.Add(time.Hour))
			err := st.Write(a, []byte("never"))
			var failure *netstream.IOError
			if !errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &failure) || failure.N != 0 || failure.Torn {
				t.Errorf("write: %v (%+v)", err, failure)
			}
			kit.Took(t, "the write", start, time.Hour)

			a.SetWriteDeadline(time.Time{}) // nothing of it was out: the stream is intact
			time.AfterFunc(time.Hour, func() { io.ReadFull(b, make([]byte, 1<<10)) })
			if err := st.Write(a, []byte("now")); err != nil {
				t.Error("write without a deadline:", err)
			}
			kit.Took(t, "both writes", start, 2*time.Hour)
			p := make([]byte, 10)
			if n, err := b.Read(p); string(p[:n]) != "now" || err != nil {
				t.Errorf("the peer read %q, %v", p[:n], err)
			}
		})
	})
}

// Moving a deadline moves what waits already.
func TestTimeDeadlineMoved(t *testing.T) {
	kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
		start, p := time.Now(), make([]byte, 1)
		a.SetReadDeadline(start.Add(time.Minute))
		ar, err := a.BeginRead(p, 0, 1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(59 * time.Second)
		a.SetReadDeadline(start.Add(time.Hour))
		time.Sleep(50 * time.Minute)
		if ar.IsCompleted() {
			t.Error("the old deadline still holds")
		}
		a.SetReadDeadline(start.Add(55 * time.Minute))
		if _, err := a.EndRead(ar); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("EndRead:", err)
		}
		kit.Took(t, "the read", start, 55*time.Minute)
	})
}

// ReadTimeout and WriteTimeout limit blocking calls, each on its own, and never begun operations.
func TestTimeTimeouts(t *testing.T) {
	kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
		kit.FillPipe(t, a)
		start := time.Now()
		if err := errors.Join(a.SetReadTimeout(time.Hour), a.SetWriteTimeout(2*time.Hour)); err != nil {
			t.Fatal(err)
		}
		reading, err := a.BeginRead(make([]byte, 1), 0, 1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("Read:", err)
		}
		kit.Took(t, "Read behind a begun read", start, time.Hour)
		if n, err := a.Write([]byte("x")); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Write: %d, %v", n, err)
		}
		kit.Took(t, "Read and Write", start, 3*time.Hour)
		writing, err := a.BeginWrite([]byte("y"), 0, 1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Write([]byte("z")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error("Write behind a begun write:", err)
		}
		kit.Took(t, "all of it", start, 5*time.Hour)
		time.Sleep(100 * time.Hour)
		if reading.IsCompleted() || writing.IsCompleted() {
			t.Error("a timeout ended a begun operation")
		}
		if err := a.SetReadTimeout(netstream.Infinite); err != nil || a.ReadTimeout() != netstream.Infinite {
			t.Errorf("SetReadTimeout(Infinite): %v, then %v", err, a.ReadTimeout())
		}
	})
}

func TestTimeReadContextAndWriteContext(t *testing.T) {
	kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
		kit.FillPipe(t, a)
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := a.ReadContext(ctx, make([]byte, 1)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error("ReadContext:", err)
		}
		kit.Took(t, "ReadContext", start, time.Hour)
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Hour, cancel)
		if n, err := a.WriteContext(ctx, []byte("x")); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("WriteContext: %d, %v", n, err)
		}
		kit.Took(t, "ReadContext and WriteContext", start, 2*time.Hour)
	})
}

// beginBlocked begins a write of n bytes that waits.
func beginBlocked(t *testing.T, a *netstream.NetworkStream, n int) netstream.AsyncResult {
	t.Helper()
	ar, err := a.BeginWrite(make([]byte, n), 0, n, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ar.IsCompleted() {
		t.Fatal("the write should wait")
	}
	return ar
}

func TestTimeCloseTimeout(t *testing.T) {
	for _, limit := range []time.Duration{0, time.Hour} {
		t.Run(fmt.Sprintf("runs out after %v", limit), func(t *testing.T) {
			kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
				kit.FillPipe(t, a)
				ar := beginBlocked(t, a, 500)
				start := time.Now()
				err := a.CloseTimeout(limit)
				var failure *netstream.IOError
				if !errors.As(err, &failure) || failure.Unsent != 500 {
					t.Errorf("CloseTimeout: %v (%+v), want 500 bytes unsent", err, failure)
				}
				kit.Took(t, "CloseTimeout", start, limit)
				if err := a.EndWrite(ar); !errors.Is(err, netstream.CodeOperationAborted) {
					t.Error("EndWrite:", err)
				}
				if _, err := io.Copy(io.Discard, b); !errors.Is(err, netstream.CodeConnectionReset) {
					t.Errorf("the peer read to %v, want a reset", err)
				}
			})
		})
	}
	for _, limit := range []time.Duration{time.Hour, -1} {
		t.Run(fmt.Sprintf("drains within %v", limit), func(t *testing.T) {
			kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
				kit.FillPipe(t, a)
				ar := beginBlocked(t, a, 500)
				start := time.Now()
				got := make(chan int64, 1)
				time.AfterFunc(59*time.Minute, func() {
					n, err := io.Copy(io.Discard, b)
					if err != nil {
						t.Error("the peer read to", err)
					}
					got <- n
				})
				if err := a.CloseTimeout(limit); err != nil {
					t.Error("CloseTimeout:", err)
				}
				kit.Took(t, "CloseTimeout", start, 59*time.Minute)
				if err := a.EndWrite(ar); err != nil {
					t.Error("EndWrite:", err)
				}
				if n := <-got; n != 1524 {
					t.Errorf("the peer got %d bytes", n)
				}
			})
		})
	}
}

func TestTimeWaitRoom(t *testing.T) {
	cfg := &netstream.Config{MaxPendingBytes: 1000}
	kit.InBubble(t, cfg, func(t *testing.T, a, b *netstream.NetworkStream) {
		kit.FillPipe(t, a)
		beginBlocked(t, a, 900)
		start := time.Now()
		if err := a.WaitRoom(t.Context(), 100); err != nil {
			t.Error("WaitRoom for what fits:", err)
		}
		kit.Took(t, "WaitRoom for what fits", start, 0)
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := a.WaitRoom(ctx, 101); !errors.Is(err, context.DeadlineExceeded) {
			t.Error("WaitRoom:", err)
		}
		kit.Took(t, "WaitRoom", start, time.Hour)
		time.AfterFunc(time.Hour, func() { io.ReadFull(b, make([]byte, 1924)) })
		if err := a.WaitRoom(t.Context(), 101); err != nil {
			t.Error("WaitRoom:", err)
		}
		kit.Took(t, "both", start, 2*time.Hour)
	})
}

func TestTimeOldestPending(t *testing.T) {
	kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
		if age := a.Stats().OldestPending; age != 0 {
			t.Error("an idle stream has something pending, of age", age)
		}
		kit.FillPipe(t, a)
		first := beginBlocked(t, a, 100)
		time.Sleep(time.Minute)
		second := beginBlocked(t, a, 100)
		time.Sleep(time.Hour)
		if age := a.Stats().OldestPending; age != time.Hour+time.Minute {
			t.Errorf("the oldest is %v old", age)
		}
		io.ReadFull(b, make([]byte, 100)) // room for the first
		if err := a.EndWrite(first); err != nil {
			t.Error("EndWrite:", err)
		}
		synctest.Wait()
		if age := a.Stats().OldestPending; age != time.Hour {
			t.Errorf("then the oldest is %v old", age)
		}
		io.ReadFull(b, make([]byte, 1124))
		if err := a.EndWrite(second); err != nil {
			t.Error("EndWrite:", err)
		}
		synctest.Wait()
		if age := a.Stats().OldestPending; age != 0 {
			t.Error("at the end the oldest is", age, "old")
		}
	})
}

func TestTimeWaitHandles(t *testing.T) {
	kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
		start := time.Now()
		ar, err := a.BeginRead(make([]byte, 1), 0, 1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		h := ar.AsyncWaitHandle()
		if h.WaitOneTimeout(time.Hour) {
			t.Error("WaitOneTimeout: set")
		}
		kit.Took(t, "WaitOneTimeout", start, time.Hour)
		other := netstream.NewManualResetEvent(false)
		if i := netstream.WaitAny(time.Hour, other, h); i != netstream.WaitTimeout {
			t.Error("WaitAny:", i)
		}
		kit.Took(t, "two waits", start, 2*time.Hour)
		time.AfterFunc(30*time.Minute, func() { b.Write([]byte{1}) })
		if i := netstream.WaitAny(time.Hour, other, h); i != 1 {
			t.Error("WaitAny:", i)
		}
		kit.Took(t, "three waits", start, 150*time.Minute)
		if netstream.WaitAll(time.Hour, h, other) {
			t.Error("WaitAll: all set")
		}
		kit.Took(t, "four waits", start, 210*time.Minute)
		if n, err := a.EndRead(ar); n != 1 || err != nil {
			t.Error("EndRead:", n, err)
		}
	})
}

// Over net.Pipe, which has no buffer: nothing of what is begun gets out.
func TestTimeGroupShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group := new(netstream.Group)
		for range 2 {
			conn, peer := net.Pipe()
			defer peer.Close()
			beginBlocked(t, kit.MustNew(t, conn, &netstream.Config{Group: group}), 500)
		}
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := group.Shutdown(ctx)
		var failure *netstream.IOError
		if !errors.Is(err, context.DeadlineExceeded) || !errors.As(err, &failure) || failure.Unsent != 1000 {
			t.Errorf("Shutdown: %v (%+v)", err, failure)
		}
		kit.Took(t, "Shutdown", start, time.Hour)
	})
}

// Operations are pooled; one that served inside a bubble serves outside it and the other way round, and in the next
// bubble. Anything tied to a bubble (a channel, a timer) that stayed in one would be fatal there.
func TestTimeNothingLeaksOutOfBubbles(t *testing.T) {
	exchange := func(t *testing.T) {
		a, b := netstream.Pipe(nil)
		defer func() { b.Close(); <-b.Done() }()
		defer func() { a.Close(); <-a.Done() }()
		a.SetDeadline(time.Now().Add(time.Hour))
		p := make([]byte, 100)
		for i, st := range kit.Styles {
			want := fmt.Appendf(nil, "message %d", i)
			read := make(chan error, 1)
			go func() {
				n, err := st.Read(b, p)
				if !bytes.Equal(p[:n], want) {
					err = errors.Join(err, fmt.Errorf("got %q", p[:n]))
				}
				read <- err
			}()
			if err := st.Write(a, want); err != nil {
				t.Errorf("%s: write: %v", st.Name, err)
			}
			if err := <-read; err != nil {
				t.Errorf("%s: read: %v", st.Name, err)
			}
		}
		if ar, err := a.BeginRead(p, 0, len(p), nil, nil); err != nil || !a.Cancel(ar) {
			t.Error("a begun read could not be cancelled:", err)
		}
	}
	for range 100 {
		synctest.Test(t, exchange)
		exchange(t)
	}
}
