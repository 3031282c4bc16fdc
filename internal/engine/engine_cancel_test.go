package engine_test

import (
	"bytes"
	"io"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// A cancel that comes before its wait or call ends that one, or keeps it from beginning, and nothing is lost.
func TestEngine_ACancelMayComeEarly(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		id := u.next(engine.Read)
		u.Cancel(engine.Read, id, false)
		p := make([]byte, 1)
		if u.startRead(id, p) {
			if a := u.await(engine.Read); a.n != 0 || a.err != engine.ErrInterrupted {
				t.Errorf("a cancelled read: %v", a)
			}
		}
		if u.Traits().Through {
			id = u.next(engine.Read)
			u.Cancel(engine.Read, id, false)
			if n, err := u.ReadThrough(id, p); n != 0 || err != engine.ErrInterrupted {
				t.Errorf("a cancelled blocking read: %d, %v", n, err)
			}
		}
		u.echoes(t)
	})
}

// The same where nothing stands in the way of the wait: nothing is there, and no room is left. It takes several tries, since
// whatever happens to the connection keeps a wait from beginning as well.
func TestEngine_ACancelMayComeBeforeAWait(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		if u.any {
			t.Skip("it has no attempts")
		}
		for range 20 {
			id := u.next(engine.Read)
			if _, err := u.TryRead(make([]byte, 1)); err != engine.ErrWouldBlock {
				t.Fatal(err)
			}
			u.Cancel(engine.Read, id, false)
			if u.startRead(id, make([]byte, 1)) {
				if a := u.await(engine.Read); a != (answer{0, engine.ErrInterrupted}) {
					t.Fatalf("a cancelled read: %v", a)
				}
			}
		}
		full := make([]byte, 32<<20)
		_, id := u.fill(full)
		u.Cancel(engine.Write, id, false)
		u.await(engine.Write)
		for range 20 {
			if _, _, err := u.TryWrite([][]byte{full}); err != engine.ErrWouldBlock {
				must(t, err)
				continue
			}
			id = u.next(engine.Write)
			u.Cancel(engine.Write, id, false)
			if u.startWrite(id, [][]byte{full}) {
				if a := u.await(engine.Write); a != (answer{0, engine.ErrInterrupted}) {
					t.Fatalf("a cancelled write: %v", a)
				}
			}
		}
	})
}

// And where a raw call is between its function and its wait.
func TestEngine_ACancelMayComeWhileARawCallLooks(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		if u.Control(func(uintptr) {}) != nil {
			t.Skip("it has no descriptor")
		}
		for _, d := range []engine.Direction{engine.Read, engine.Write} {
			id := u.next(d)
			ended := background(func() error {
				return u.RawCall(d, id, func(uintptr) bool {
					u.Cancel(d, id, false)
					return false
				})
			})
			if err := within(t, "a cancelled call", ended); err != engine.ErrInterrupted {
				t.Errorf("a cancelled call: %v", err)
			}
		}
		u.echoes(t)
	})
}

// echoes sees that both directions are in order.
func (u *under) echoes(t *testing.T) {
	t.Helper()
	arrived := background(func() error {
		var b [1]byte
		if _, err := io.ReadFull(u.peer, b[:]); err != nil {
			return err
		}
		_, err := u.peer.Write(b[:])
		return err
	})
	must(t, u.write([]byte{42}))
	p := make([]byte, 1)
	u.readAll(p)
	must(t, within(t, "the peer's echo", arrived))
	if p[0] != 42 {
		t.Errorf("got %d", p[0])
	}
}

func TestEngine_ACancelEndsARead(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		u.echoes(t) // a handshake is over
		for range 20 {
			id := u.next(engine.Read)
			for !u.startRead(id, make([]byte, 1)) {
				if _, err := u.TryRead(make([]byte, 1)); err != engine.ErrWouldBlock {
					t.Fatal(err)
				}
				id = u.next(engine.Read)
			}
			u.Cancel(engine.Read, id, false)
			if a := u.await(engine.Read); a.n != 0 || a.err != engine.ErrInterrupted {
				t.Fatalf("a cancelled read: %v", a)
			}
			u.Cancel(engine.Read, id, false) // late, and harmless
		}
		u.echoes(t)
	})
}

// A cancel of another id may at most have the owner try again.
func TestEngine_AStaleCancelLosesNothing(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		u.echoes(t)
		stale := u.next(engine.Read)
		var p [1]byte
		id := u.next(engine.Read)
		started := u.startRead(id, p[:])
		u.Cancel(engine.Read, stale, false)
		_, err := u.peer.Write([]byte("x"))
		must(t, err)
		n := 0
		if started {
			a := u.await(engine.Read)
			if n = a.n; n == 0 && a.err != engine.ErrInterrupted {
				t.Fatalf("the read: %v", a)
			}
		}
		if n == 0 {
			u.readAll(p[:])
		}
		if p[0] != 'x' {
			t.Errorf("got %q", p)
		}
	})
}

// A write that is cancelled in the middle says exactly how much went out.
func TestEngine_ACancelledWriteCountsExactly(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		u.echoes(t)
		want := patterned(32 << 20)
		sent, id := u.fill(want)
		u.Cancel(engine.Write, id, false)
		a := u.await(engine.Write)
		sent += a.n
		if a.err != engine.ErrInterrupted || sent == len(want) {
			t.Fatalf("%d bytes went out: %v", sent, a)
		}
		got := u.readPeer()
		if u.is("tls") { // a Write that was cut leaves TLS unable to write
			u.finish(engine.Reset)
			if g := within(t, "what the peer got", got); !bytes.HasPrefix(want, g.data) {
				t.Error("these are not the bytes that were sent")
			}
			return
		}
		must(t, u.write(want[sent:]))
		u.finish(engine.Orderly)
		if g := within(t, "what the peer got", got); !bytes.Equal(g.data, want) || g.err != nil {
			t.Errorf("%d of %d bytes, %v", len(g.data), len(want), g.err)
		}
	})
}
