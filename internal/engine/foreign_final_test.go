package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// How a connection that is only a net.Conn is given up, and what keeps it: a call, its own Close, a handshake.

// shaky is a rude connection with a handshake, and with halves.
type shaky struct {
	rude
	shake      func(ctx context.Context) error // nil: it succeeds at once
	closeWrite func() error
}

func (c *shaky) CloseWrite() error { return c.closeWrite() }
func (c *shaky) HandshakeContext(ctx context.Context) error {
	if c.shake != nil {
		return c.shake(ctx)
	}
	return nil
}

func (c *shaky) open(t *testing.T, o engine.Options) *under { return c.openAs(t, c, o) }

// startEnd starts a CloseWrite.
func (u *under) startEnd() (id uint32) {
	u.t.Helper()
	id = u.next(engine.Write)
	if !u.start(engine.Write, func() bool { return u.StartCloseWrite(id) }) {
		u.t.Fatal("the end did not start")
	}
	synctest.Wait()
	return id
}

// What a final cancel cuts says how the connection is closed under it: a Write, whose bytes must not look whole, by a
// reset, and a Read or a CloseWrite in order. Who has come back is not abandoned later.
func TestForeign_AFinalCancelResetsWhatItCuts(t *testing.T) {
	for name, start := range map[string]func(u *under) (engine.Direction, uint32){
		"a read": func(u *under) (engine.Direction, uint32) { return engine.Read, u.waitingRead() },
		"a write": func(u *under) (engine.Direction, uint32) {
			id := u.next(engine.Write)
			u.startWrite(id, [][]byte{{1}})
			synctest.Wait()
			return engine.Write, id
		},
		"the end": func(u *under) (engine.Direction, uint32) { return engine.Write, u.startEnd() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var resets atomic.Int32
				c := &shaky{rude: rude{deaf: true}}
				c.closeWrite = func() error { _, err := c.Conn.Write([]byte("the end")); return err }
				u := c.open(t, engine.Options{ResetOnClose: func(any) { resets.Add(1) }})
				d, id := start(u)
				began := time.Now()
				u.Cancel(d, id, true)
				if a := u.await(d); a.n != 0 || a.err == nil {
					t.Errorf("the call: %v", a)
				}
				wantTook(t, "the call", began, foreignPatience)
				if reset := resets.Load() > 0; reset != (name == "a write") {
					t.Errorf("closed by a reset: %t", reset)
				}
				time.Sleep(time.Hour)
				if len(u.given) > 0 {
					t.Error("abandoned, and it has come back")
				}
				u.finish(engine.Orderly)
			})
		})
	}
}

// Each direction's call is closed under, whatever the other one's does.
func TestForeign_AFinalCancelIsForItsDirection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &rude{}
		c.setDeadline = func(d engine.Direction, at time.Time) error {
			if d == engine.Write {
				return nil
			}
			return c.Conn.SetReadDeadline(at)
		}
		u := c.open(t)
		read, write := u.waitingRead(), u.next(engine.Write)
		u.startWrite(write, [][]byte{{1}})
		synctest.Wait()
		u.wantInterrupted(engine.Read, read, true)
		u.Cancel(engine.Write, write, true)
		if a := u.await(engine.Write); a.err == nil {
			t.Errorf("the write: %v", a)
		}
	})
}

// A connection that is given back stays open, and no deadline of an interrupt is left or comes later: not after a final cancel
// of a call that has come back, nor of one that never began.
func TestForeign_AConnectionThatIsGivenBackIsLeftAlone(t *testing.T) {
	for name, cancel := range map[string]func(u *under){
		"of calls that have come back": func(u *under) {
			read, write := u.waitingRead(), u.next(engine.Write)
			u.startWrite(write, [][]byte{{1}})
			synctest.Wait()
			u.wantInterrupted(engine.Read, read, true)
			u.wantInterrupted(engine.Write, write, true)
		},
		"of a call that never began": func(u *under) { u.Cancel(engine.Read, u.next(engine.Read), true) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := &rude{}
				var left [2]time.Time
				c.setDeadline = func(d engine.Direction, at time.Time) error {
					if at.IsZero() {
						time.Sleep(foreignPatience / 3)
					}
					left[d] = at
					if d == engine.Read {
						return c.Conn.SetReadDeadline(at)
					}
					return c.Conn.SetWriteDeadline(at)
				}
				u := c.openAs(t, c, engine.Options{LeaveOpen: true})
				cancel(u)
				u.finish(engine.Keep)
				if left != [2]time.Time{} {
					t.Errorf("given back with the deadlines %v", left)
				}
				time.Sleep(time.Hour)
				go u.peer.Write([]byte{1})
				if n, err := u.conn.Read(make([]byte, 1)); n != 1 || err != nil {
					t.Errorf("the owner reads %d, %v", n, err)
				}
			})
		})
	}
}

// The connection is given up when its Close has returned, but not later than it is reasonable to wait.
func TestForeign_HowLongACloseMayTake(t *testing.T) {
	for takes, want := range map[time.Duration]time.Duration{0: 0, foreignPatience / 3: foreignPatience / 3, time.Hour: foreignPatience} {
		synctest.Test(t, func(t *testing.T) {
			c := &rude{}
			c.close = func() error { time.Sleep(takes); return c.Conn.Close() }
			u := c.open(t)
			began := time.Now()
			u.finish(engine.Orderly)
			wantTook(t, "Close", began, want)
			time.Sleep(time.Hour)
		})
	}
}
