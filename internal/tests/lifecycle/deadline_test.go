package lifecycle_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// after waits for an outcome and checks how long that took.
func after[T any](t *testing.T, what string, d time.Duration, ch <-chan T) T {
	t.Helper()
	begins := time.Now()
	v := <-ch
	if waited := time.Since(begins); waited != d {
		t.Fatalf("%s came after %v, want %v", what, waited, d)
	}
	return v
}

func TestDeadline_OfReadsWakesBlockedAndBegun(t *testing.T) {
	kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
		kit.Must(t, a.SetReadDeadline(time.Now().Add(time.Second)))
		_, begun := kit.BeginRead(t, a, 10)
		_, second := kit.BeginRead(t, a, 10)
		blocked := kit.Async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		o := after(t, "the begun read", time.Second, begun)
		kit.WantFailure(t, "the begun read", o.Err, 0, false, kit.ErrPast, netstream.CodeTimedOut)
		kit.WantFailure(t, "the one behind", (<-second).Err, 0, false, kit.ErrPast)
		kit.WantFailure(t, "the blocked read", <-blocked, 0, false, kit.ErrPast)
		for _, st := range kit.Styles { // it stays past, for what is begun too, even with data there
			kit.Must(t, kit.WriteAll(b, "data"))
			_, err := st.Read(a, make([]byte, 10))
			kit.WantFailure(t, st.Name, err, 0, false, kit.ErrPast)
		}
		kit.Must(t, a.SetReadDeadline(time.Time{}))
		kit.ReadExactly(t, a, []byte("datadatadatadatadatadata"))
		kit.Must(t, kit.WriteAll(a, "writes have their own deadline"))
	})
}

func TestDeadline_MovedAndRemoved(t *testing.T) {
	kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
		begins := time.Now()
		kit.Must(t, a.SetReadDeadline(begins.Add(time.Second)))
		_, read := kit.BeginRead(t, a, 10)
		kit.Must(t, a.SetReadDeadline(begins.Add(3*time.Second))) // later
		time.Sleep(2 * time.Second)
		select {
		case o := <-read:
			t.Fatalf("cut by the old deadline: %v", o.Err)
		default:
		}
		kit.Must(t, a.SetReadDeadline(begins.Add(2500*time.Millisecond))) // sooner
		o := after(t, "the read", 500*time.Millisecond, read)
		kit.WantFailure(t, "the read", o.Err, 0, false, kit.ErrPast)
		kit.Must(t, a.SetDeadline(time.Time{}))
		_, read = kit.BeginRead(t, a, 10)
		kit.Must(t, a.SetReadDeadline(time.Now().Add(time.Second)))
		kit.Must(t, a.SetReadDeadline(time.Time{})) // removed
		time.Sleep(time.Hour)
		kit.Must(t, kit.WriteAll(b, "x"))
		if o := <-read; o.Err != nil || string(o.Data) != "x" {
			t.Fatalf("%q, %v", o.Data, o.Err)
		}
	})
}

func TestDeadline_OfWritesWakesBlockedAndBegun(t *testing.T) {
	kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
		kit.Must(t, a.SetDeadline(time.Now().Add(time.Second)))
		_, begun := kit.Begin(t, a, kit.Patterned(1, 100_000))
		synctest.Wait()
		blocked := kit.Async(func() error { return kit.WriteAll(a, "behind") })
		err := after(t, "the begun write", time.Second, begun)
		kit.WantFailure(t, "the begun write", err, 64<<10, true, kit.ErrPast, netstream.CodeTimedOut)
		kit.WantFailure(t, "the blocked write", <-blocked, 0, false, kit.ErrPast)
		kit.WantIdle(t, a)
		kit.Must(t, a.SetReadDeadline(time.Time{}))
		kit.Must(t, kit.WriteAll(b, "the other direction works"))
		kit.ReadExactly(t, a, []byte("the other direction works"))
	})
}

func TestDeadline_InThePastWakesEverythingAtOnce(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		_, _, cut := kit.Plug(t, a)
		_, begun := kit.BeginRead(t, a, 10)
		blocked := kit.Async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		kit.Eventually(t, "both reads wait", kit.BegunReads(a, 2))
		kit.Must(t, a.SetDeadline(time.Unix(1, 0)))
		kit.WantFailure(t, "the begun read", kit.Within(t, "the begun read", begun).Err, 0, false, kit.ErrPast)
		kit.WantFailure(t, "the blocked read", kit.Within(t, "the blocked read", blocked), 0, false, kit.ErrPast)
		kit.WantFailure(t, "the write", kit.Within(t, "the write", cut), int64(a.Stats().BytesWritten), true, kit.ErrPast)
		kit.Must(t, a.SetDeadline(time.Time{}))
		kit.Must(t, kit.WriteAll(b, "reads lose nothing by it"))
		kit.ReadExactly(t, a, []byte("reads lose nothing by it"))
	})
}

// ReadTimeout and WriteTimeout are those of blocking calls: Begin never sees them, as in .NET.
func TestTimeout_HoldsForBlockingCallsOnly(t *testing.T) {
	kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
		kit.Must(t, a.SetReadTimeout(time.Second))
		kit.Must(t, a.SetWriteTimeout(2*time.Second))
		blocked := kit.Async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		kit.WantFailure(t, "Read", after(t, "Read", time.Second, blocked), 0, false, kit.ErrPast)
		withContext := kit.Async(func() error { _, err := a.ReadContext(kit.CtxNever, make([]byte, 10)); return err })
		kit.WantFailure(t, "ReadContext", after(t, "ReadContext", time.Second, withContext), 0, false, kit.ErrPast)
		_, read := kit.BeginRead(t, a, 10)
		_, write := kit.Begin(t, a, kit.Patterned(1, 100_000))
		blocked = kit.Async(func() error { return kit.WriteAll(a, "behind") })
		kit.WantFailure(t, "Write", after(t, "Write", 2*time.Second, blocked), 0, false, kit.ErrPast)
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case o := <-read:
			t.Fatalf("a begun read ended: %v", o.Err)
		case err := <-write:
			t.Fatalf("a begun write ended: %v", err)
		default:
		}
		kit.Must(t, kit.WriteAll(b, "x"))
		if o := <-read; o.Err != nil {
			t.Fatal(o.Err)
		}
		kit.ReadExactly(t, b, kit.Patterned(1, 100_000))
		kit.Must(t, <-write)
	})
}

func TestReadContext_LosesNoByteAndTakesNoneAfterwards(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		for range 20 {
			ctx, cancel := context.WithCancel(kit.CtxNever)
			waits := kit.BegunReads(a, int(a.Stats().ReadOps)+1)
			done := kit.Async(func() error { _, err := a.ReadContext(ctx, make([]byte, 10)); return err })
			kit.Eventually(t, "the read waits", waits)
			cancel()
			kit.WantFailure(t, "ReadContext", kit.Within(t, "ReadContext", done), 0, false, context.Canceled)
			kit.Must(t, kit.WriteAll(b, "next"))
			kit.ReadExactly(t, a, []byte("next"))
		}
		_, err := a.ReadContext(kit.CanceledContext(), make([]byte, 10))
		kit.WantFailure(t, "with a ctx that is done", err, 0, false, context.Canceled)
		_, err = a.WriteContext(kit.CanceledContext(), make([]byte, 10))
		kit.WantFailure(t, "with a ctx that is done", err, 0, false, context.Canceled)
		kit.Must(t, kit.WriteAll(a, "intact"))
		kit.ReadExactly(t, b, []byte("intact"))
	})
}

func TestWriteContext_QueuedBehindOthersIsTakenBackWhole(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		want, _, done := kit.Plug(t, a)
		ctx, cancel := context.WithCancelCause(kit.CtxNever)
		defer cancel(nil)
		queued := kit.Async(func() error { _, err := a.WriteContext(ctx, []byte("never")); return err })
		kit.Eventually(t, "it is queued", kit.BegunWrites(a, 2))
		cancel(nil)
		kit.WantFailure(t, "the queued one", kit.Within(t, "the queued one", queued), 0, false, context.Canceled)
		kit.ReadExactly(t, b, want)
		kit.Must(t, kit.Within(t, "the one ahead", done))
		kit.Must(t, kit.WriteAll(a, "intact"))
		kit.ReadExactly(t, b, []byte("intact"))
	})
}
