package netstream_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// inBubble runs f over a pipe on the clock of a testing/synctest bubble.
func inBubble(t *testing.T, f func(t *testing.T, a, b *netstream.NetworkStream)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(nil)
		defer func() { a.Close(); b.Close() }()
		f(t, a, b)
	})
}

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

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestDeadline_OfReadsWakesBlockedAndBegun(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *netstream.NetworkStream) {
		must(t, a.SetReadDeadline(time.Now().Add(time.Second)))
		_, begun := beginRead(t, a, 10)
		_, second := beginRead(t, a, 10)
		blocked := async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		o := after(t, "the begun read", time.Second, begun)
		wantFailure(t, "the begun read", o.err, 0, false, errPast, netstream.CodeTimedOut)
		wantFailure(t, "the one behind", (<-second).err, 0, false, errPast)
		wantFailure(t, "the blocked read", <-blocked, 0, false, errPast)
		for _, st := range styles { // it stays past, for what is begun too, even with data there
			must(t, writeAll(b, "data"))
			_, err := st.read(a, make([]byte, 10))
			wantFailure(t, st.name, err, 0, false, errPast)
		}
		must(t, a.SetReadDeadline(time.Time{}))
		readExactly(t, a, []byte("datadatadatadatadatadata"))
		must(t, writeAll(a, "writes have their own deadline"))
	})
}

func writeAll(s *netstream.NetworkStream, text string) error {
	_, err := s.Write([]byte(text))
	return err
}

func TestDeadline_MovedAndRemoved(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *netstream.NetworkStream) {
		begins := time.Now()
		must(t, a.SetReadDeadline(begins.Add(time.Second)))
		_, read := beginRead(t, a, 10)
		must(t, a.SetReadDeadline(begins.Add(3*time.Second))) // later
		time.Sleep(2 * time.Second)
		select {
		case o := <-read:
			t.Fatalf("cut by the old deadline: %v", o.err)
		default:
		}
		must(t, a.SetReadDeadline(begins.Add(2500*time.Millisecond))) // sooner
		o := after(t, "the read", 500*time.Millisecond, read)
		wantFailure(t, "the read", o.err, 0, false, errPast)
		must(t, a.SetDeadline(time.Time{}))
		_, read = beginRead(t, a, 10)
		must(t, a.SetReadDeadline(time.Now().Add(time.Second)))
		must(t, a.SetReadDeadline(time.Time{})) // removed
		time.Sleep(time.Hour)
		must(t, writeAll(b, "x"))
		if o := <-read; o.err != nil || string(o.data) != "x" {
			t.Fatalf("%q, %v", o.data, o.err)
		}
	})
}

func TestDeadline_OfWritesWakesBlockedAndBegun(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *netstream.NetworkStream) {
		must(t, a.SetDeadline(time.Now().Add(time.Second)))
		_, begun := begin(t, a, patterned(1, 100_000))
		synctest.Wait()
		blocked := async(func() error { return writeAll(a, "behind") })
		err := after(t, "the begun write", time.Second, begun)
		wantFailure(t, "the begun write", err, 64<<10, true, errPast, netstream.CodeTimedOut)
		wantFailure(t, "the blocked write", <-blocked, 0, false, errPast)
		wantIdle(t, a)
		must(t, a.SetReadDeadline(time.Time{}))
		must(t, writeAll(b, "the other direction works"))
		readExactly(t, a, []byte("the other direction works"))
	})
}

func TestDeadline_InThePastWakesEverythingAtOnce(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		_, _, cut := plug(t, a)
		_, begun := beginRead(t, a, 10)
		blocked := async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		eventually(t, "the read waits", a.ReadWaits)
		must(t, a.SetDeadline(time.Unix(1, 0)))
		wantFailure(t, "the begun read", within(t, "the begun read", begun).err, 0, false, errPast)
		wantFailure(t, "the blocked read", within(t, "the blocked read", blocked), 0, false, errPast)
		wantFailure(t, "the write", within(t, "the write", cut), int64(a.Stats().BytesWritten), true, errPast)
		must(t, a.SetDeadline(time.Time{}))
		must(t, writeAll(b, "reads lose nothing by it"))
		readExactly(t, a, []byte("reads lose nothing by it"))
	})
}

// ReadTimeout and WriteTimeout are those of blocking calls: Begin never sees them, as in .NET.
func TestTimeout_HoldsForBlockingCallsOnly(t *testing.T) {
	inBubble(t, func(t *testing.T, a, b *netstream.NetworkStream) {
		must(t, a.SetReadTimeout(time.Second))
		must(t, a.SetWriteTimeout(2*time.Second))
		blocked := async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		wantFailure(t, "Read", after(t, "Read", time.Second, blocked), 0, false, errPast)
		withContext := async(func() error { _, err := a.ReadContext(ctxNever, make([]byte, 10)); return err })
		wantFailure(t, "ReadContext", after(t, "ReadContext", time.Second, withContext), 0, false, errPast)
		_, read := beginRead(t, a, 10)
		_, write := begin(t, a, patterned(1, 100_000))
		blocked = async(func() error { return writeAll(a, "behind") })
		wantFailure(t, "Write", after(t, "Write", 2*time.Second, blocked), 0, false, errPast)
		time.Sleep(time.Hour)
		synctest.Wait()
		select {
		case o := <-read:
			t.Fatalf("a begun read ended: %v", o.err)
		case err := <-write:
			t.Fatalf("a begun write ended: %v", err)
		default:
		}
		must(t, writeAll(b, "x"))
		if o := <-read; o.err != nil {
			t.Fatal(o.err)
		}
		readExactly(t, b, patterned(1, 100_000))
		must(t, <-write)
	})
}

func TestReadContext_LosesNoByteAndTakesNoneAfterwards(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		for range 20 {
			ctx, cancel := context.WithCancel(ctxNever)
			done := async(func() error { _, err := a.ReadContext(ctx, make([]byte, 10)); return err })
			eventually(t, "the read waits", a.ReadWaits)
			cancel()
			wantFailure(t, "ReadContext", within(t, "ReadContext", done), 0, false, context.Canceled)
			must(t, writeAll(b, "next"))
			readExactly(t, a, []byte("next"))
		}
		_, err := a.ReadContext(canceledContext(), make([]byte, 10))
		wantFailure(t, "with a ctx that is done", err, 0, false, context.Canceled)
		_, err = a.WriteContext(canceledContext(), make([]byte, 10))
		wantFailure(t, "with a ctx that is done", err, 0, false, context.Canceled)
		must(t, writeAll(a, "intact"))
		readExactly(t, b, []byte("intact"))
	})
}

func TestWriteContext_QueuedBehindOthersIsTakenBackWhole(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		want, _, done := plug(t, a)
		ctx, cancel := context.WithCancelCause(ctxNever)
		defer cancel(nil)
		queued := async(func() error { _, err := a.WriteContext(ctx, []byte("never")); return err })
		eventually(t, "it is queued", func() bool { return a.QueuedWrites() == 1 })
		cancel(nil)
		wantFailure(t, "the queued one", within(t, "the queued one", queued), 0, false, context.Canceled)
		readExactly(t, b, want)
		must(t, within(t, "the one ahead", done))
		must(t, writeAll(a, "intact"))
		readExactly(t, b, []byte("intact"))
	})
}
