package engine_test

import (
	"errors"
	"os"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// How a call of a connection that is only a net.Conn is interrupted, and what comes late. Everything is in bubbles: what
// must not happen has had all the time to happen.

// foreignPatience is the engine's.
const foreignPatience = time.Second

// waitingRead starts a read that waits.
func (u *under) waitingRead() (id uint32) {
	u.t.Helper()
	id = u.next(engine.Read)
	if !u.startRead(id, make([]byte, 1)) {
		u.t.Fatal("the read did not start")
	}
	synctest.Wait()
	return id
}

// wantInterrupted cancels the call of that id, which has to come back with nothing.
func (u *under) wantInterrupted(d engine.Direction, id uint32, final bool) {
	u.t.Helper()
	u.Cancel(d, id, final)
	if a := u.await(d); a != (answer{0, engine.ErrInterrupted}) {
		u.t.Errorf("a cancelled call: %v", a)
	}
}

// wantSilence sees that nothing of direction d is told for a while.
func (u *under) wantSilence(d engine.Direction, what string) {
	u.t.Helper()
	time.Sleep(time.Hour)
	if u.told[d].Load() != u.started[d]-1 {
		u.t.Fatalf("%s: the call has come back", what)
	}
}

// wantTook checks on the bubble's clock.
func wantTook(t *testing.T, what string, since time.Time, want time.Duration) {
	t.Helper()
	if took := time.Since(since); took != want {
		t.Errorf("%s took %v, want %v", what, took, want)
	}
}

// An error beside data is the next read's, and once. That of a deadline is nobody's: one that lasts comes again.
func TestForeign_AnErrorBesideDataIsToldOnce(t *testing.T) {
	once := errors.New("once")
	answers := []answer{{1, once}, {1, os.ErrDeadlineExceeded}, {1, nil}}
	u := (&rude{read: func([]byte) (int, error) {
		a := answers[0]
		answers = answers[1:]
		return a.n, a.err
	}}).open(t)
	for i, want := range []answer{{1, nil}, {0, once}, {1, nil}, {1, nil}} {
		if n, err := u.ReadThrough(u.next(engine.Read), make([]byte, 1)); n != want.n || err != want.err {
			t.Errorf("read %d: %d and %v, want %v", i+1, n, err, want)
		}
	}
}

// A Read that answers its deadline with nothing, where it should fail, was interrupted like any other.
func TestForeign_ADeadlineMayBeAnsweredWithNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &rude{}
		c.read = func(p []byte) (int, error) {
			n, err := c.Conn.Read(p)
			if errors.Is(err, os.ErrDeadlineExceeded) {
				err = nil
			}
			return n, err
		}
		u := c.open(t)
		u.wantInterrupted(engine.Read, u.waitingRead(), false)
		u.echoes(t)
	})
}

// The deadline of an interrupt stands until its call is over, also for one that looks at it late.
func TestForeign_AnInterruptLastsAsLongAsItsCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &rude{}
		c.read = func(p []byte) (int, error) {
			time.Sleep(10 * time.Second)
			return c.Conn.Read(p)
		}
		u := c.open(t)
		u.wantInterrupted(engine.Read, u.waitingRead(), false)
	})
}

// The next call waits until the deadline of an interrupt is gone, however long that takes within reason.
func TestForeign_TheNextCallMeetsNoOldDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &rude{}
		c.setDeadline = func(_ engine.Direction, at time.Time) error {
			if at.IsZero() {
				time.Sleep(foreignPatience / 2)
			}
			return c.Conn.SetDeadline(at)
		}
		u := c.open(t)
		u.wantInterrupted(engine.Read, u.waitingRead(), false)
		u.waitingRead()
		u.wantSilence(engine.Read, "the next read")
		go u.peer.Write([]byte{1})
		if a := u.await(engine.Read); a != (answer{1, nil}) {
			t.Errorf("the next read: %v", a)
		}
	})
}

// A SetDeadline that does not return could cut any later call, so the next one ends the connection.
func TestForeign_ASetDeadlineThatIsStuckEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		u := (&rude{setDeadline: func(engine.Direction, time.Time) error { <-release; return nil }}).open(t)
		u.Cancel(engine.Read, u.waitingRead(), false)
		go u.peer.Write([]byte{1})
		if a := u.await(engine.Read); a != (answer{1, nil}) {
			t.Errorf("the read: %v", a)
		}
		began := time.Now()
		u.waitingRead()
		u.expectBroken(u.await(engine.Read).err)
		wantTook(t, "the next read", began, foreignPatience)
	})
}

// So does one that ends its goroutine, at once.
func TestForeign_ASetDeadlineThatVanishesEndsTheConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := (&rude{setDeadline: func(engine.Direction, time.Time) error { runtime.Goexit(); return nil }}).open(t)
		u.Cancel(engine.Read, u.waitingRead(), false)
		u.expectBroken(u.await(engine.Read).err)
	})
}

// A call that vanishes when it is interrupted leaves nothing behind: no goroutine waits for its end, nor does Close.
func TestForeign_AnInterruptedCallMayVanish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &rude{}
		c.read = func(p []byte) (int, error) {
			_, _ = c.Conn.Read(p)
			runtime.Goexit()
			return 0, nil
		}
		u := c.open(t)
		u.Cancel(engine.Read, u.waitingRead(), false)
		u.expectBroken(u.await(engine.Read).err)
		began := time.Now()
		u.finish(engine.Orderly)
		wantTook(t, "Close", began, 0)
	})
}

// The first rule that a connection breaks is the reason, whatever it does when it is ended, and it is ended by a reset: nobody
// knows how much of a message is out.
func TestForeign_TheFirstReasonStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &rude{write: func([]byte) (int, error) { return 99, nil }}
		c.read = func(p []byte) (int, error) {
			_, _ = c.Conn.Read(p)
			return 99, nil
		}
		reset := make(chan any, 1)
		u := c.openAs(t, c, engine.Options{ResetOnClose: func(conn any) { reset <- conn }})
		u.waitingRead()
		u.startWrite(u.next(engine.Write), [][]byte{{1}})
		first := u.await(engine.Write).err
		u.expectBroken(first)
		if second := u.await(engine.Read).err; !errors.Is(second, errors.Unwrap(first)) {
			t.Errorf("%v, and then %v", first, second)
		}
		within(t, "the reset", reset)
	})
}
