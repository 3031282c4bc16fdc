package engine_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// rude is a connection that does what its fields say instead of what a net.Conn does.
type rude struct {
	net.Conn
	read, write func(p []byte) (int, error)
	deaf        bool // deadlines do nothing
	stuck       bool // Close does nothing

	setDeadline func(d engine.Direction, at time.Time) error // nil: as it should be
	close       func() error                                 // the same
}

func (c *rude) Read(p []byte) (int, error) {
	if c.read != nil {
		return c.read(p)
	}
	return c.Conn.Read(p)
}

func (c *rude) Write(p []byte) (int, error) {
	if c.write != nil {
		return c.write(p)
	}
	return c.Conn.Write(p)
}

func (c *rude) SetDeadline(t time.Time) error {
	if c.deaf {
		return nil
	}
	return c.Conn.SetDeadline(t)
}

func (c *rude) SetReadDeadline(t time.Time) error {
	if c.setDeadline != nil {
		return c.setDeadline(engine.Read, t)
	}
	if c.deaf {
		return nil
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *rude) SetWriteDeadline(t time.Time) error {
	if c.setDeadline != nil {
		return c.setDeadline(engine.Write, t)
	}
	if c.deaf {
		return nil
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *rude) Close() error {
	if c.close != nil {
		return c.close()
	}
	if c.stuck {
		return nil
	}
	return c.Conn.Close()
}

// open makes an engine over c, one end of a pipe in memory.
func (c *rude) open(t *testing.T) *under { return c.openAs(t, c, engine.Options{}) }

// openAs makes an engine over conn, which is c or has it below.
func (c *rude) openAs(t *testing.T, conn net.Conn, o engine.Options) *under {
	k := kind{name: "rude", any: true, dial: func(t testing.TB) (net.Conn, net.Conn) {
		var theirs net.Conn
		c.Conn, theirs = net.Pipe()
		t.Cleanup(func() { c.Conn.Close() })
		return conn, theirs
	}}
	return k.open(t, o)
}

// A connection that breaks the rules is ended, and says why to both directions from then on.
func TestForeign_ABrokenRuleIsTheAnswerToEverything(t *testing.T) {
	for name, c := range map[string]*rude{
		"an impossible read": {read: func(p []byte) (int, error) { return len(p) + 1, nil }},
		"endless nothing":    {read: func([]byte) (int, error) { return 0, nil }},
		"a vanished read":    {read: func([]byte) (int, error) { runtime.Goexit(); return 0, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			u := c.open(t)
			if !u.startRead(u.next(engine.Read), make([]byte, 1)) {
				t.Fatal("the read did not start")
			}
			u.expectBroken(u.await(engine.Read).err)
			_, err := u.TryRead(make([]byte, 1))
			u.expectBroken(err)
			if !u.startWrite(u.next(engine.Write), [][]byte{{1}}) {
				t.Fatal("the write did not start")
			}
			u.expectBroken(u.await(engine.Write).err)
			if _, err := u.peer.Read(make([]byte, 1)); err == nil {
				t.Error("the connection is still open")
			}
		})
	}
}

func TestForeign_AnImpossibleWriteIsABrokenRule(t *testing.T) {
	for name, write := range map[string]func(p []byte) (int, error){
		"too much":  func(p []byte) (int, error) { return len(p) + 1, nil },
		"less":      func([]byte) (int, error) { return -1, nil },
		"nothing":   func([]byte) (int, error) { return 0, nil },
		"a vanish":  func([]byte) (int, error) { runtime.Goexit(); return 0, nil },
		"a failure": func([]byte) (int, error) { return 99, io.ErrClosedPipe },
	} {
		t.Run(name, func(t *testing.T) {
			u := (&rude{write: write}).open(t)
			if !u.startWrite(u.next(engine.Write), [][]byte{{1, 2}}) {
				t.Fatal("the write did not start")
			}
			a := u.await(engine.Write)
			if a.n != 0 {
				t.Errorf("%d bytes", a.n)
			}
			u.expectBroken(a.err)
		})
	}
}

func (u *under) expectBroken(err error) {
	u.t.Helper()
	var broken *engine.BrokenError
	if !errors.As(err, &broken) || broken.Error() == "" || broken.Why == nil {
		u.t.Errorf("%v is no BrokenError", err)
	}
}

// A blocking call whose goroutine ends is answered to the owner in its place, once.
func TestForeign_ABlockingCallThatVanishesIsAnswered(t *testing.T) {
	u := (&rude{read: func([]byte) (int, error) { runtime.Goexit(); return 0, nil }}).open(t)
	u.started[engine.Read]++ // it is as good as a start
	go u.ReadThrough(u.next(engine.Read), make([]byte, 1))
	u.expectBroken(u.await(engine.Read).err)
}

// A short write without an error is exact, and the owner goes on from there.
func TestForeign_AShortWriteIsExact(t *testing.T) {
	c := &rude{}
	c.write = func(p []byte) (int, error) { return c.Conn.Write(p[:1]) }
	u := c.open(t)
	got := make(chan byte, 9)
	go func() {
		var b [1]byte
		for range 3 {
			if _, err := io.ReadFull(u.peer, b[:]); err != nil {
				break
			}
			got <- b[0]
		}
		close(got)
	}()
	must(t, u.write([]byte("abc")))
	var all []byte
	for b := range got {
		all = append(all, b)
	}
	if string(all) != "abc" {
		t.Errorf("%q", all)
	}
}

// A call that ignores deadlines is left alone by a plain cancel, and closed under by a final one.
func TestForeign_AFinalCancelClosesUnderACallThatDoesNotComeBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := (&rude{deaf: true}).open(t)
		id := u.next(engine.Read)
		u.startRead(id, make([]byte, 1))
		synctest.Wait()
		u.Cancel(engine.Read, id, false)
		time.Sleep(time.Hour)
		if u.told[engine.Read].Load() != 0 {
			t.Fatal("the read has come back")
		}
		began := time.Now()
		u.Cancel(engine.Read, id, true)
		if a := u.await(engine.Read); a.n != 0 || a.err == nil {
			t.Errorf("the read: %v", a)
		}
		if took := time.Since(began); took != time.Second {
			t.Errorf("closed after %v", took)
		}
		u.finish(engine.Orderly)
	})
}

// When closing does not help either, the owner is told that nobody should wait, and is still answered when the call does
// come back.
func TestForeign_ACallThatNeverComesBackIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := (&rude{deaf: true, stuck: true}).open(t)
		id := u.next(engine.Read)
		u.startRead(id, make([]byte, 1))
		synctest.Wait()
		began := time.Now()
		u.Cancel(engine.Read, id, true)
		within(t, "Abandoned", u.given)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("abandoned after %v", took)
		}
		if u.told[engine.Read].Load() != 0 {
			t.Fatal("the read has come back")
		}
		u.peer.Close()
		if a := u.await(engine.Read); a.err == nil {
			t.Errorf("the read: %v", a)
		}
		u.finish(engine.Orderly)
	})
}

// A zero-byte read of a connection that is left open would take a byte for ever.
func TestForeign_NoLookIntoAConnectionThatIsLeftOpen(t *testing.T) {
	k := kind{name: "foreign", any: true, dial: dialForeign}
	u := k.open(t, engine.Options{LeaveOpen: true})
	if n, err := u.TryRead(nil); n != 0 || err != engine.ErrNoLook || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("%d, %v", n, err)
	}
}

// A reset of a connection below which lies one that only its owner knows asks the owner.
func TestForeign_AResetGoesDownToWhatTheOwnerKnows(t *testing.T) {
	asked := make(chan any, 9)
	ours, theirs := net.Pipe()
	inner := &rude{Conn: ours}
	k := kind{name: "layered", any: true, dial: func(testing.TB) (net.Conn, net.Conn) { return layer{inner}, theirs }}
	u := k.open(t, engine.Options{ResetOnClose: func(conn any) { asked <- conn }})
	u.finish(engine.Reset)
	if first := <-asked; first != inner {
		t.Errorf("asked about %T first", first)
	}
}

// layer has a connection below, as a *tls.Conn has.
type layer struct{ *rude }

func (l layer) NetConn() net.Conn { return l.rude }
