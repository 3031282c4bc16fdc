package engine_test

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// The handshake of a connection that has one, and who waits for it.

// No call comes before the handshake. A cancel ends the wait for it, and not the handshake.
func TestForeignHandshake_ACancelEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shaken atomic.Bool
		begin := make(chan struct{})
		c := &shaky{shake: func(context.Context) error { <-begin; shaken.Store(true); return nil }}
		c.read = func(p []byte) (int, error) {
			if !shaken.Load() {
				t.Error("a Read before the handshake")
			}
			return c.Conn.Read(p)
		}
		u := c.open(t, engine.Options{})
		for range 3 {
			id := u.waitingRead()
			u.wantInterrupted(engine.Read, id, false)
			for range 2 { // late, and harmless
				u.Cancel(engine.Read, id, false)
			}
		}
		u.waitingRead()
		close(begin)
		go u.peer.Write([]byte{1})
		if a := u.await(engine.Read); a != (answer{1, nil}) {
			t.Errorf("the read: %v", a)
		}
	})
}

// The end waits for the handshake like a call, but only Close takes it back.
func TestForeignHandshake_TheEndWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &shaky{shake: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		c.closeWrite = func() error { t.Error("a CloseWrite before the handshake"); return nil }
		u := c.open(t, engine.Options{})
		id := u.startEnd()
		u.Cancel(engine.Write, id, false)
		u.wantSilence(engine.Write, "a cancel")
		u.wantInterrupted(engine.Write, id, true)
	})
}

// Nor does a deadline interrupt it once it is on its way.
func TestForeign_TheEndIsNotInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &shaky{}
		c.closeWrite = func() error { _, err := c.Conn.Write([]byte{1}); return err }
		u := c.open(t, engine.Options{})
		u.Cancel(engine.Write, u.startEnd(), false)
		u.wantSilence(engine.Write, "a cancel")
		if _, err := u.peer.Read(make([]byte, 1)); err != nil {
			t.Error(err)
		}
		if a := u.await(engine.Write); a != (answer{}) {
			t.Errorf("the end: %v", a)
		}
	})
}

// An end that cannot be sent because the handshake has failed says that.
func TestForeignHandshake_TheEndTellsTheFailure(t *testing.T) {
	failed := errors.New("failed")
	c := &shaky{shake: func(context.Context) error { return failed }}
	c.closeWrite = func() error { return errors.New("the handshake is not over") }
	u := c.open(t, engine.Options{})
	if !u.start(engine.Write, func() bool { return u.StartCloseWrite(u.next(engine.Write)) }) {
		t.Fatal("the end did not start")
	}
	if a := u.await(engine.Write); a.err != failed {
		t.Errorf("the end: %v", a)
	}
}

// A handshake that ends its goroutine ends the connection, which is not asked for anything more.
func TestForeignHandshake_OneThatVanishes(t *testing.T) {
	c := &shaky{shake: func(context.Context) error { runtime.Goexit(); return nil }}
	c.read = func([]byte) (int, error) { t.Error("a Read without a handshake"); return 0, nil }
	u := c.open(t, engine.Options{})
	u.startRead(u.next(engine.Read), make([]byte, 1))
	u.expectBroken(u.await(engine.Read).err)
}

// Close ends the handshake, and waits for it as long as for a call. One that never began keeps nobody.
func TestForeignHandshake_CloseStopsIt(t *testing.T) {
	for name, c := range map[string]struct {
		begins bool
		late   time.Duration // how long it goes on after it was stopped
		want   time.Duration
	}{
		"none was begun":   {},
		"it ends soon":     {begins: true, late: foreignPatience / 3, want: foreignPatience / 3},
		"it does not obey": {begins: true, late: time.Minute, want: foreignPatience},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &shaky{shake: func(ctx context.Context) error {
					<-ctx.Done()
					time.Sleep(c.late)
					return ctx.Err()
				}}
				u := conn.open(t, engine.Options{})
				if c.begins {
					u.wantInterrupted(engine.Read, u.waitingRead(), true)
				}
				began := time.Now()
				u.finish(engine.Orderly)
				wantTook(t, "Close", began, c.want)
				time.Sleep(time.Hour)
			})
		})
	}
}
