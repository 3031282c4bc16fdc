package netstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// The blocking Write that may go on behind one that was cut ends that state with its first byte, and not before: if it is
// cut as well without one, what is begun then would follow half a message.
func TestPromise11_AWriteThatSendsNothingDoesNotEndATear(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(nil)
		defer func() { a.Close(); b.Close() }()
		if err := a.SetWriteTimeout(time.Second); err != nil {
			t.Fatal(err)
		}
		message := bytes.Repeat([]byte("m"), 100_000) // the pipe holds 65,536
		n, err := a.Write(message)
		wantCut := func(n int, err error, want int) {
			t.Helper()
			if n != want || !errors.Is(err, CodeTimedOut) {
				t.Fatalf("%d, %v; want %d, timed out", n, err, want)
			}
		}
		wantCut(n, err, 64<<10)
		k, err := a.Write(message[n:])
		wantCut(k, err, 0)
		for range 2 {
			var failure *IOError
			if _, err := a.BeginWrite([]byte("begun"), 0, 5, nil, nil); !errors.As(err, &failure) || !failure.Torn {
				t.Fatalf("a write was begun behind half a message: %v", err)
			}
			if err := a.Post([]byte("posted")); !errors.As(err, &failure) || !failure.Torn {
				t.Fatalf("posted behind half a message: %v", err)
			}
			synctest.Wait()
		}
		got := make(chan []byte, 1)
		go func() { p, _ := io.ReadAll(b); got <- p }()
		if _, err := a.Write(message[n:]); err != nil {
			t.Fatal(err)
		}
		if err := a.Post([]byte("posted")); err != nil {
			t.Fatalf("the tear has not ended: %v", err)
		}
		if err := a.Drain(context.Background()); err != nil {
			t.Fatal(err)
		}
		a.Close()
		if p := <-got; !bytes.Equal(p, append(message, "posted"...)) {
			t.Fatalf("%d bytes have come, want %d", len(p), len(message)+6)
		}
	})
}

// A post that is lost behind a Write that its limit has cut bars every later write, and the half message stays one: Close
// resets.
func TestPromise16_APostLostBehindHalfAMessageLeavesItHalf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(nil)
		defer func() { a.Close(); b.Close() }()
		ctx, cut := context.WithTimeout(t.Context(), time.Hour)
		defer cut()
		if err := a.SetWriteTimeout(time.Second); err != nil {
			t.Fatal(err)
		}
		written := make(chan error, 1)
		go func() {
			_, err := a.Write(make([]byte, 100_000)) // the pipe holds 65,536
			written <- err
		}()
		synctest.Wait()
		if err := a.Post([]byte("posted")); err != nil {
			t.Fatal(err)
		}
		if err := <-written; !errors.Is(err, CodeTimedOut) {
			t.Fatalf("Write: %v, want timed out", err)
		}
		if err := a.Drain(ctx); err == nil {
			t.Fatal("the post was sent behind half a message")
		}
		a.Close()
		if _, err := io.ReadAll(b); !errors.Is(err, CodeConnectionReset) {
			t.Fatalf("the peer reads %v behind half a message, want a reset", err)
		}
	})
}

// A Drain waits for the writes before it. One that gave up waiting for room is over, and no later write takes its place.
func TestDrain_DoesNotWaitForALaterWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(&Config{MaxPendingWrites: 1})
		defer func() { a.Close(); b.Close() }()
		if _, err := a.BeginWrite(make([]byte, 100_000), 0, 100_000, nil, nil); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, giveUp := context.WithCancel(t.Context())
		waits := make(chan error, 2)
		go func() { _, err := a.WriteContext(ctx, []byte("no room")); waits <- err }()
		synctest.Wait()
		drained := make(chan error, 1)
		go func() { drained <- a.Drain(t.Context()) }()
		synctest.Wait()
		giveUp()
		if err := <-waits; !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		go func() { _, err := a.WriteContext(t.Context(), make([]byte, 200_000)); waits <- err }()
		synctest.Wait()
		if _, err := io.CopyN(io.Discard, b, 100_000); err != nil { // the later write is stuck half out
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case err := <-drained:
			if err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatal("Drain waits for a write that was called after it")
		}
		go io.Copy(io.Discard, b)
		if err := <-waits; err != nil {
			t.Fatal(err)
		}
	})
}

// What a tear becomes when something else is lost: the first cause stays, a hard one stays hard, and half a message stays half.
func TestTear_OfSeveralLosses(t *testing.T) {
	type loss struct{ torn, resumable bool }
	first, second := errors.New("first"), errors.New("second")
	for _, c := range []struct {
		a, b, want loss
		cause      error
	}{
		{loss{true, true}, loss{true, true}, loss{true, true}, second},
		{loss{true, true}, loss{true, false}, loss{true, false}, second},
		{loss{true, true}, loss{false, false}, loss{true, false}, second},
		{loss{true, false}, loss{true, true}, loss{true, false}, first},
		{loss{true, false}, loss{false, false}, loss{true, false}, first},
		{loss{false, false}, loss{true, true}, loss{true, false}, second},
		{loss{false, false}, loss{true, false}, loss{true, false}, second},
		{loss{false, false}, loss{false, false}, loss{false, false}, first},
	} {
		var w writeQueue
		w.next = 7
		w.torn(&IOError{Torn: c.a.torn, Err: first}, c.a.resumable)
		w.torn(&IOError{Torn: c.b.torn, Err: second}, c.b.resumable)
		if got := (loss{w.tear.failure.Torn, w.tear.resumable}); got != c.want || w.tear.failure.Err != c.cause || w.tear.behind != 7 {
			t.Errorf("%v and then %v: %v because of the %v loss, from %d on", c.a, c.b, got, w.tear.failure.Err, w.tear.behind)
		}
	}
}

// A write that its own limit is about to end tells of that limit, although everything is cut before the engine has come back.
func TestWriteQueue_AnOwnLimitIsToldBeforeOneOfAll(t *testing.T) {
	r := newQueueRig(t, &vectors{run: -1}, roomy, nil)
	r.write(true, 3)
	r.cut(r.messages[0])
	var fx writeEffects
	r.w.cutEverything(&SocketError{Code: CodeShutdown}, &fx)
	r.carryOut(&fx)
	r.comeBack(0, nil)
	if err := r.messages[0].op.failure(); !errors.Is(err, errRig) {
		t.Errorf("%v, want %v", err, errRig)
	}
	r.windUp()
}
