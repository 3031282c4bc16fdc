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
