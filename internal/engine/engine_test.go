package engine_test

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// What every engine promises, over every kind of connection.

func TestEngine_ReadsEveryByteInOrder(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		for _, size := range sizes {
			want, got := patterned(size), make([]byte, size)
			sent := background(func() error { _, err := u.peer.Write(want); return err })
			u.readAll(got)
			must(t, within(t, "the peer's write", sent))
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes are not those that were sent", size)
			}
		}
	})
}

func TestEngine_WritesEveryByteInOrder(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		for _, size := range sizes {
			want, got := patterned(size), make([]byte, size)
			arrived := background(func() error { _, err := io.ReadFull(u.peer, got); return err })
			must(t, u.write(want))
			must(t, within(t, "the peer's read", arrived))
			if !bytes.Equal(got, want) {
				t.Errorf("%d bytes are not those that were sent", size)
			}
		}
	})
}

func TestEngine_BlockingCallsMoveEveryByteOrSayThatTheyDoNot(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		if !u.Traits().Through {
			if n, err := u.ReadThrough(u.next(engine.Read), make([]byte, 1)); n != 0 || err != engine.ErrInterrupted {
				t.Errorf("ReadThrough: %d, %v", n, err)
			}
			if n, err := u.WriteThrough(u.next(engine.Write), [][]byte{{1}}); n != 0 || err != engine.ErrInterrupted {
				t.Errorf("WriteThrough: %d, %v", n, err)
			}
			return
		}
		want, got := patterned(3<<20), make([]byte, 3<<20)
		echoed := background(func() error { _, err := io.CopyN(u.peer, u.peer, int64(len(want))); return err })
		written := background(func() error {
			for rest := want; len(rest) > 0; {
				n, err := u.WriteThrough(u.next(engine.Write), [][]byte{rest})
				if err != nil {
					return err
				}
				rest = rest[n:]
			}
			return nil
		})
		for at := 0; at < len(got); {
			n, err := u.ReadThrough(u.next(engine.Read), got[at:])
			must(t, err)
			at += n
		}
		must(t, within(t, "WriteThrough", written))
		must(t, within(t, "the echo", echoed))
		if !bytes.Equal(got, want) {
			t.Error("these are not the bytes that were sent")
		}
	})
}

// A vector may be empty, and what is sent is the beginning of them all.
func TestEngine_WritesVectors(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		if !u.Traits().TriesWrite {
			t.Skip("it takes one slice at a time")
		}
		_, n, err := u.TryWrite([][]byte{[]byte("one "), {}, []byte("two "), []byte("three")})
		if n != len("one two three") || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(u.peer, got); err != nil || string(got) != "one two three" {
			t.Errorf("%q, %v", got, err)
		}
		if taken, done, err := u.TryWrite([][]byte{{}}); taken != 0 || done != 0 || err != nil {
			t.Errorf("a zero-length send: %d, %d, %v", taken, done, err)
		}
	})
}

// An empty read looks and takes nothing, and tells the end from data.
func TestEngine_AnEmptyReadLooks(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		for started := false; !started; { // a start that is refused asks for another try: something was reported
			if n, err := u.TryRead(nil); n != 0 || err != engine.ErrWouldBlock {
				t.Fatalf("nothing to read: %d, %v", n, err)
			}
			started = u.startRead(u.next(engine.Read), nil)
		}
		_, err := u.peer.Write([]byte("x"))
		must(t, err)
		a := u.await(engine.Read)
		if a.n != 0 || a.err != nil && a.err != engine.ErrInterrupted {
			t.Fatalf("an empty read: %v", a)
		}
		if n, err := u.read(nil); n != 0 || err != nil {
			t.Fatalf("something to read: %d, %v", n, err)
		}
		p := make([]byte, 9)
		if n, err := u.read(p); n != 1 || err != nil || p[0] != 'x' {
			t.Fatalf("the byte: %d, %v, %q", n, err, p[0])
		}
		must(t, u.peer.Close())
		if n, err := u.read(nil); n != 0 || err != io.EOF {
			t.Errorf("the end: %d, %v", n, err)
		}
	})
}

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

func TestEngine_PostRunsOnAnotherGoroutine(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		ran := make(chan string, 1)
		u.Post(runner(func() { ran <- goroutine() }))
		if within(t, "the task", ran) == goroutine() {
			t.Error("the task ran on the caller's goroutine")
		}
	})
}

type runner func()

func (r runner) Run() { r() }

func TestEngine_AnOrderlyCloseDeliversEverything(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		want := patterned(40 << 10)
		must(t, u.write(want))
		got := u.readPeer()
		u.finish(engine.Orderly)
		if g := within(t, "what the peer got", got); !bytes.Equal(g.data, want) || g.err != nil {
			t.Errorf("%d of %d bytes, %v", len(g.data), len(want), g.err)
		}
	})
}

func TestEngine_AResetIsNoCleanEnd(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		u.echoes(t)
		u.finish(engine.Reset)
		if _, err := u.peer.Read(make([]byte, 1)); err == nil || u.resets && err == io.EOF {
			t.Errorf("the peer got %v", err)
		}
	})
}

// Keep gives the connection back in order: a deadline that was set to interrupt a call is gone.
func TestEngine_KeepGivesTheConnectionBack(t *testing.T) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) {
			u := k.open(t, engine.Options{LeaveOpen: true})
			u.echoes(t)
			id := u.next(engine.Read)
			if u.startRead(id, make([]byte, 1)) {
				u.Cancel(engine.Read, id, true)
				u.await(engine.Read)
			}
			u.finish(engine.Keep)
			echoed := background(func() error { _, err := io.CopyN(u.peer, u.peer, 4); return err })
			_, err := u.conn.Write([]byte("back"))
			must(t, err)
			got := make([]byte, 4)
			if _, err := io.ReadFull(u.conn, got); err != nil || string(got) != "back" {
				t.Errorf("%q, %v", got, err)
			}
			must(t, within(t, "the echo", echoed))
		})
	}
}

func TestEngine_CloseWriteEndsTheWritingHalfAlone(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		if !u.Traits().Halves {
			if err := u.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("CloseWrite: %v", err)
			}
			return
		}
		must(t, u.write([]byte("all")))
		got := u.readPeer()
		if u.start(engine.Write, func() bool { return u.StartCloseWrite(u.next(engine.Write)) }) {
			if a := u.await(engine.Write); a.n != 0 || a.err != nil {
				t.Errorf("the end: %v", a)
			}
		} else {
			must(t, u.CloseWrite())
		}
		if g := within(t, "what the peer got", got); string(g.data) != "all" || g.err != nil {
			t.Errorf("%q, %v", g.data, g.err)
		}
		_, err := u.peer.Write([]byte("x"))
		must(t, err)
		u.readAll(make([]byte, 1))
	})
}

func TestEngine_CountsWhatIsThereToRead(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		u.echoes(t) // a handshake is over
		if n, err := u.Available(); n != 0 || err != nil {
			t.Fatalf("nothing: %d, %v", n, err)
		}
		_, err := u.peer.Write([]byte("12345"))
		must(t, err)
		_, err = u.read(nil)
		must(t, err)
		want := 5
		if u.any { // no more is known than the byte that was looked at
			want = 1
		}
		for end := time.Now().Add(patience); ; {
			n, err := u.Available()
			if n == want && err == nil {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%d, %v", n, err)
			}
		}
		u.readAll(make([]byte, 5))
		if n, err := u.Available(); n != 0 || err != nil {
			t.Errorf("after it was read: %d, %v", n, err)
		}
	})
}

// RawCall waits for readiness until its function is satisfied, and a cancel ends it.
func TestEngine_RawCallWaitsForReadiness(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		if err := u.Control(func(uintptr) {}); err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("Control: %v", err)
			}
			err = u.RawCall(engine.Read, u.next(engine.Read), func(uintptr) bool { return true })
			if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("RawCall: %v", err)
			}
			return
		}
		calls, called := 0, make(chan struct{}, 1)
		id := u.next(engine.Read)
		ended := background(func() error {
			return u.RawCall(engine.Read, id, func(uintptr) bool {
				calls++
				select {
				case called <- struct{}{}:
				default:
				}
				return calls > 1
			})
		})
		within(t, "the first call", called)
		_, err := u.peer.Write([]byte("x"))
		must(t, err)
		must(t, within(t, "the second call", ended))
		u.readAll(make([]byte, 1))

		id = u.next(engine.Read)
		ended = background(func() error {
			return u.RawCall(engine.Read, id, func(uintptr) bool {
				select {
				case called <- struct{}{}:
				default:
				}
				return false
			})
		})
		within(t, "a call", called)
		u.Cancel(engine.Read, id, false)
		if err := within(t, "a cancelled call", ended); err != engine.ErrInterrupted {
			t.Errorf("a cancelled call: %v", err)
		}
		u.echoes(t)
	})
}

func TestEngine_SettingsThatAConnectionHasCanBeSet(t *testing.T) {
	eachKind(t, func(t *testing.T, u *under) {
		for s := engine.NoDelay; s <= engine.WriteBuffer; s++ {
			err := u.Set(s, 1<<10)
			tcpOnly := s == engine.NoDelay || s == engine.KeepAlive || s == engine.Linger
			switch {
			case u.any, u.is("pipe") && tcpOnly: // a wrapper hides it, and a pipe has only buffers
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("setting %d: %v", s, err)
				}
			case err != nil && !errors.Is(err, errors.ErrUnsupported):
				t.Errorf("setting %d: %v", s, err)
			case err != nil && (u.is("epoll-tcp", "portable-tcp") || !tcpOnly):
				t.Errorf("setting %d cannot be set: %v", s, err)
			}
		}
		if err := u.Set(engine.Linger, -1); u.is("epoll-tcp", "portable-tcp") {
			must(t, err)
		}
	})
}

// The move to a loop takes the connection as it is, and leaves the old one to be closed.
func TestToLoop(t *testing.T) {
	for _, k := range kinds() {
		if k.loop {
			continue
		}
		t.Run(k.name, func(t *testing.T) {
			u := k.open(t, engine.Options{})
			old := u.Connection
			moved, _, retired, err := engine.ToLoop(old, u, engine.Options{})
			if !engine.HasLoops || !k.is("portable-tcp", "portable-unix") {
				if !errors.Is(err, errors.ErrUnsupported) {
					t.Fatalf("ToLoop: %v", err)
				}
				u.echoes(t)
				return
			}
			must(t, err)
			u.Connection = moved
			if retired != u.conn {
				t.Error("the old connection is another one")
			}
			retired.Close()
			u.echoes(t)
			if again, _, _, err := engine.ToLoop(moved, u, engine.Options{}); err == nil || again != nil {
				t.Errorf("a second move: %v", err)
			}
		})
	}
}

// Who forgets an engine on a loop has its descriptor closed by the handle, and nothing if it was closed already.
func TestHandle_ReleasesTheDescriptor(t *testing.T) {
	if !engine.HasLoops {
		t.Skip("no loops here")
	}
	ours, theirs := dialTCP(t)
	defer theirs.Close()
	_, handle, err := engine.NewOnLoop(newRecorder(t), ours, engine.Options{})
	must(t, err)
	ours.Close()
	handle.Release()
	if _, err := theirs.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer got %v", err)
	}
	handle.Release()
}
