package foreign_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Connections that are only a net.Conn, and break its rules. Each breaks one; the stream over it loses the connection and
// nothing else: what is pending completes, Close returns, no goroutine stays.

// A connection that ignores deadlines cannot be interrupted. Close ends it all the same, whatever asked its call back
// before.
func TestForeignCloseAfterAnInterrupt(t *testing.T) {
	deaf := func(c *rude) { c.setDeadline = func(string, time.Time) error { return nil } }
	refusing := func(c *rude) { c.setDeadline = func(string, time.Time) error { return errors.ErrUnsupported } }
	before := []struct {
		name      string
		interrupt func(t *testing.T, s *netstream.NetworkStream, read, write netstream.AsyncResult)
	}{
		{"nothing", func(*testing.T, *netstream.NetworkStream, netstream.AsyncResult, netstream.AsyncResult) {}},
		{"Cancel", func(t *testing.T, s *netstream.NetworkStream, read, _ netstream.AsyncResult) {
			if s.Cancel(read) {
				t.Error("Cancel of a call that cannot be interrupted says true")
			}
		}},
		{"a deadline", func(t *testing.T, s *netstream.NetworkStream, _, _ netstream.AsyncResult) {
			if err := s.SetDeadline(time.Unix(1, 0)); err != nil {
				t.Error(err)
			}
		}},
	}
	for _, b := range before {
		for name, change := range map[string]func(*rude){"deaf": deaf, "refusing": refusing} {
			t.Run(b.name+"/"+name, func(t *testing.T) {
				t.Parallel() // each waits for foreignPatience
				var conn *rude
				s, _ := newRude(t, nil, func(c *rude) { conn = c; change(c) })
				read, readDone := kit.BeginRead(t, s, 10)
				write, writeDone := kit.Begin(t, s, []byte("hello"))
				kit.Eventually(t, "the write waits", conn.inWrite)
				b.interrupt(t, s, read, write)
				wantOver(t, s)
				if o := kit.Within(t, "the read", readDone); o.Err == nil {
					t.Error("the read ended without an error")
				}
				if err := kit.Within(t, "the write", writeDone); err == nil {
					t.Error("the write ended without an error")
				}
			})
		}
	}
}

// wantEnded checks the error of an operation on a connection that was ended because of what it did.
func wantEnded(t *testing.T, what string, err error, why error) {
	t.Helper()
	kit.WantFailure(t, what, err, 0, false, netstream.CodeConnectionAborted)
	if why != nil && !errors.Is(err, why) {
		t.Fatalf("%s: %v does not match %v", what, err, why)
	}
}

// A Read or a Write that ends its goroutine, or panics for its caller to recover, gives its direction back.
func TestForeignCallThatDoesNotReturn(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(c *rude)
		call   func(s *netstream.NetworkStream) // on a goroutine of its own, which may end
		begun  func(t *testing.T, s *netstream.NetworkStream) error
		reads  bool // it is the read that does not return
	}{
		{name: "begun read, Goexit", reads: true, change: func(c *rude) { c.read = goexit },
			begun: func(t *testing.T, s *netstream.NetworkStream) error {
				_, ch := kit.BeginRead(t, s, 10)
				return kit.Within(t, "the read", ch).Err
			}},
		{name: "begun write, Goexit", change: func(c *rude) { c.write = goexit },
			begun: func(t *testing.T, s *netstream.NetworkStream) error {
				_, ch := kit.Begin(t, s, []byte("x"))
				return kit.Within(t, "the write", ch)
			}},
		{name: "Read, Goexit", reads: true, change: func(c *rude) { c.read = goexit },
			call: func(s *netstream.NetworkStream) { s.Read(make([]byte, 1)) }},
		{name: "Read, panic", reads: true, change: func(c *rude) { c.read = panics },
			call: func(s *netstream.NetworkStream) { s.Read(make([]byte, 1)) }},
		{name: "ReadContext, panic", reads: true, change: func(c *rude) { c.read = panics },
			call: func(s *netstream.NetworkStream) {
				ctx, cancel := context.WithTimeout(context.Background(), kit.Patience)
				defer cancel()
				s.ReadContext(ctx, make([]byte, 1))
			}},
		{name: "Write, Goexit", change: func(c *rude) { c.write = goexit },
			call: func(s *netstream.NetworkStream) { s.Write([]byte("x")) }},
		{name: "Write, panic", change: func(c *rude) { c.write = panics },
			call: func(s *netstream.NetworkStream) { s.Write([]byte("x")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var conn *rude
			s, _ := newRude(t, nil, func(r *rude) { conn = r; c.change(r) })
			var otherRead <-chan kit.ReadOutcome
			var otherWrite <-chan error
			if c.reads {
				_, otherWrite = kit.Begin(t, s, []byte("other"))
				kit.Eventually(t, "the write waits", conn.inWrite)
			} else {
				_, otherRead = kit.BeginRead(t, s, 10)
			}
			if c.call != nil {
				recovered := make(chan any, 1)
				go func() {
					defer func() { recovered <- recover() }()
					c.call(s)
				}()
				if r := kit.Within(t, "the call's goroutine", recovered); (r != nil) != strings.HasSuffix(c.name, "panic") {
					t.Errorf("recovered %v", r)
				}
			} else {
				wantEnded(t, "the operation", c.begun(t, s), nil)
			}
			if c.reads {
				wantEnded(t, "the other direction", kit.Within(t, "the pending write", otherWrite), nil)
			} else {
				wantEnded(t, "the other direction", kit.Within(t, "the pending read", otherRead).Err, nil)
			}
			for range 3 { // and it stays so
				_, wch := kit.Begin(t, s, []byte("later"))
				wantEnded(t, "a later write", kit.Within(t, "a later write", wch), nil)
				_, rch := kit.BeginRead(t, s, 1)
				wantEnded(t, "a later read", kit.Within(t, "a later read", rch).Err, nil)
			}
			if s.Socket().Connected() {
				t.Error("Connected")
			}
			wantOver(t, s)
			if !errors.Is(s.Err(), netstream.CodeConnectionAborted) {
				t.Errorf("Err: %v", s.Err())
			}
		})
	}
}

// A panic in a connection's Read or Write that nobody recovers is the program's: it dies of it.
func TestForeignPanicIsTheProgramsOwn(t *testing.T) {
	if os.Getenv("NETSTREAM_TEST_FOREIGN_PANIC") != "" {
		s, _ := newRude(t, nil, func(c *rude) { c.read = panics })
		kit.BeginRead(t, s, 1)
		select {}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "-test.run", "^TestForeignPanicIsTheProgramsOwn$", "-test.timeout", "1m")
	cmd.Env = append(os.Environ(), "NETSTREAM_TEST_FOREIGN_PANIC=1")
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "panic: out of a connection") {
		t.Fatalf("the program ended with %v, want exit status 2 and the panic's text:\n%s", err, out)
	}
}

// layered is a connection that says what is below it, in one way or another.
type layered struct {
	rude
	below func() net.Conn
}

func (c *layered) NetConn() net.Conn { return c.below() }

// What the connection's other methods do does not keep Close from coming back either.
func TestForeignMethodsThatMisbehave(t *testing.T) {
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	block := func() { <-release }
	for _, c := range []struct {
		name   string
		change func(c *rude)
	}{
		{"SetDeadline ends its goroutine", func(c *rude) {
			c.setDeadline = func(string, time.Time) error { runtime.Goexit(); return nil }
		}},
		{"SetDeadline blocks", func(c *rude) {
			c.setDeadline = func(string, time.Time) error { block(); return nil }
		}},
		{"SetDeadline fails", func(c *rude) {
			c.setDeadline = func(string, time.Time) error { return errors.New("no") }
		}},
		{"Close ends its goroutine", func(c *rude) {
			c.close = func() error { c.Conn.Close(); runtime.Goexit(); return nil }
		}},
		{"Close blocks", func(c *rude) {
			c.close = func() error { c.Conn.Close(); block(); return nil }
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var conn *rude
			s, _ := newRude(t, nil, func(r *rude) { conn = r; c.change(r) })
			ar, outcome := kit.BeginRead(t, s, 10)
			_, written := kit.Begin(t, s, []byte("hello"))
			kit.Eventually(t, "the write waits", conn.inWrite)
			s.Cancel(ar) // what it says depends on the deadline
			wantOver(t, s)
			if o := kit.Within(t, "the read", outcome); o.Err == nil {
				t.Error("the read ended without an error")
			}
			if err := kit.Within(t, "the write", written); err == nil {
				t.Error("the write ended without an error")
			}
		})
	}
	for name, below := range map[string]func(c *layered) net.Conn{
		"NetConn returns nil":           func(*layered) net.Conn { return nil },
		"NetConn returns a nil pointer": func(*layered) net.Conn { return (*net.TCPConn)(nil) },
		"NetConn leads in a circle":     func(c *layered) net.Conn { return c },
		"NetConn ends its goroutine":    func(*layered) net.Conn { runtime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			c := &layered{rude: rude{Conn: ours}}
			c.below = func() net.Conn { return below(c) }
			s := kit.MustNew(t, c, nil)
			_, written := kit.Begin(t, s, []byte("cut in the middle"))
			kit.ReadExactly(t, theirs, []byte("cut"))
			wantOver(t, s) // by a reset of what is below, if there is anything
			kit.WantFailure(t, "the write", kit.Within(t, "the write", written), 3, true, net.ErrClosed)
		})
	}
}

// A zero-byte read would take a byte that the caller, who gets the connection back, would miss.
func TestForeignLeaveOpenLosesNoByte(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	s := kit.MustNew(t, ours, &netstream.Config{LeaveOpen: true})
	go theirs.Write([]byte("hello"))
	ar, err := s.BeginRead([]byte{}, 0, 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.EndRead(ar)
	kit.WantFailure(t, "the zero-byte read", err, 0, false, errors.ErrUnsupported, netstream.CodeOperationNotSupported)
	kit.ReadExactly(t, s, []byte("he")) // the stream is as it was
	_, pending := kit.BeginRead(t, s, 1)
	kit.ReadExactly(t, bytes.NewReader(kit.Within(t, "a read", pending).Data), []byte("l"))
	_, outcome := kit.BeginRead(t, s, 100)
	if o := kit.Within(t, "the rest", outcome); string(o.Data) != "lo" {
		t.Errorf("read %q, %v", o.Data, o.Err)
	}
	go theirs.Write([]byte("world"))
	wantOver(t, s)
	kit.ReadExactly(t, ours, []byte("world"))
}

// A Read that nothing brings back, not even the connection's Close, keeps what it was lent, and nobody else.
func TestForeignReadThatNeverReturns(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, _ := newRude(t, nil, func(c *rude) {
		c.read = func([]byte) (int, error) { close(entered); <-release; return 0, io.EOF }
		c.setDeadline = func(string, time.Time) error { return nil }
	})
	ar, outcome := kit.BeginRead(t, s, 10)
	kit.Within(t, "the read is in the connection", entered)
	kit.Within(t, "Close", kit.Async(s.Close))
	if ar.IsCompleted() {
		t.Error("the buffer came back although it is still lent")
	}
	kit.Within(t, "a second Close", kit.Async(s.Close))
	select {
	case <-s.Done():
		t.Error("Done before the read is over")
	default:
	}
	close(release)
	if o := kit.Within(t, "the read", outcome); o.Err == nil {
		t.Error("the read ended without an error")
	}
	kit.Within(t, "Done", s.Done())
}

// A connection that is given back has no deadline left from an interrupt.
func TestForeignLeaveOpenLeavesNoDeadline(t *testing.T) {
	for range 50 {
		ours, theirs := net.Pipe()
		s := kit.MustNew(t, ours, &netstream.Config{LeaveOpen: true})
		kit.BeginRead(t, s, 1)
		wantOver(t, s)
		go theirs.Write([]byte("x"))
		kit.ReadExactly(t, ours, []byte("x"))
		ours.Close()
		theirs.Close()
	}
}

// A raw read does not miss the byte that a zero-byte read has taken: it is refused as long as that waits.
func TestForeignRawReadIsRefusedBesideALookedAtByte(t *testing.T) {
	a, b := kit.ConnCase{Network: "tcp"}.NetPair(t)
	defer b.Close()
	type wrapped struct{ *net.TCPConn }
	s := kit.MustNew(t, wrapped{a.(*net.TCPConn)}, nil)
	defer s.Close()
	_, err := b.Write([]byte("x"))
	kit.Must(t, err)
	_, looked := kit.BeginRead(t, s, 0)
	kit.Must(t, kit.Within(t, "the zero-byte read", looked).Err)
	raw, err := s.SyscallConn()
	kit.Must(t, err)
	if err := raw.Read(func(uintptr) bool { return true }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("RawConn.Read: %v", err)
	}
	kit.ReadExactly(t, s, []byte("x"))
	kit.Must(t, raw.Read(func(uintptr) bool { return true }))
}
