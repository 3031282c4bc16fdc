package netstream_test

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
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// Connections that are only a net.Conn, and break its rules. Each breaks one; the stream over it loses the connection and
// nothing else: what is pending completes, Close returns, no goroutine stays.

// rude is one end of a net.Pipe of which single methods misbehave; those that are nil do not.
type rude struct {
	net.Conn
	read        func(p []byte) (int, error)
	write       func(p []byte) (int, error)
	setDeadline func(d string, t time.Time) error
	close       func() error
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

func (c *rude) SetReadDeadline(t time.Time) error {
	if c.setDeadline != nil {
		return c.setDeadline("read", t)
	}
	return c.Conn.SetReadDeadline(t)
}

func (c *rude) SetWriteDeadline(t time.Time) error {
	if c.setDeadline != nil {
		return c.setDeadline("write", t)
	}
	return c.Conn.SetWriteDeadline(t)
}

func (c *rude) Close() error {
	if c.close != nil {
		return c.close()
	}
	return c.Conn.Close()
}

// newRude returns a stream over a rude connection that change makes so, and the other end.
func newRude(t *testing.T, cfg *netstream.Config, change func(c *rude)) (*netstream.NetworkStream, net.Conn) {
	t.Helper()
	ours, theirs := net.Pipe()
	c := &rude{Conn: ours}
	change(c)
	s := mustNew(t, c, cfg)
	t.Cleanup(func() { s.Close(); theirs.Close(); ours.Close() })
	return s, theirs
}

func goexit([]byte) (int, error) { runtime.Goexit(); return 0, nil }
func panics([]byte) (int, error) { panic("out of a connection") }

// wantOver closes s, which has to come back, and waits until all is over.
func wantOver(t *testing.T, s *netstream.NetworkStream) {
	t.Helper()
	if err := within(t, "Close", async(s.Close)); err != nil {
		t.Fatal(err)
	}
	within(t, "Done", s.Done())
	wantPending(t, s, 0, 0)
}

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
				s, _ := newRude(t, nil, change)
				read, readDone := beginRead(t, s, 10)
				write, writeDone := begin(t, s, []byte("hello"))
				eventually(t, "the write waits", s.WriteWaits)
				b.interrupt(t, s, read, write)
				wantOver(t, s)
				if o := within(t, "the read", readDone); o.err == nil {
					t.Error("the read ended without an error")
				}
				if err := within(t, "the write", writeDone); err == nil {
					t.Error("the write ended without an error")
				}
			})
		}
	}
}

// wantEnded checks the error of an operation on a connection that was ended because of what it did.
func wantEnded(t *testing.T, what string, err error, why error) {
	t.Helper()
	wantFailure(t, what, err, 0, false, netstream.CodeConnectionAborted)
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
				_, ch := beginRead(t, s, 10)
				return within(t, "the read", ch).err
			}},
		{name: "begun write, Goexit", change: func(c *rude) { c.write = goexit },
			begun: func(t *testing.T, s *netstream.NetworkStream) error {
				_, ch := begin(t, s, []byte("x"))
				return within(t, "the write", ch)
			}},
		{name: "Read, Goexit", reads: true, change: func(c *rude) { c.read = goexit },
			call: func(s *netstream.NetworkStream) { s.Read(make([]byte, 1)) }},
		{name: "Read, panic", reads: true, change: func(c *rude) { c.read = panics },
			call: func(s *netstream.NetworkStream) { s.Read(make([]byte, 1)) }},
		{name: "ReadContext, panic", reads: true, change: func(c *rude) { c.read = panics },
			call: func(s *netstream.NetworkStream) {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				s.ReadContext(ctx, make([]byte, 1))
			}},
		{name: "Write, Goexit", change: func(c *rude) { c.write = goexit },
			call: func(s *netstream.NetworkStream) { s.Write([]byte("x")) }},
		{name: "Write, panic", change: func(c *rude) { c.write = panics },
			call: func(s *netstream.NetworkStream) { s.Write([]byte("x")) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, _ := newRude(t, nil, c.change)
			var otherRead <-chan readOutcome
			var otherWrite <-chan error
			if c.reads {
				_, otherWrite = begin(t, s, []byte("other"))
				eventually(t, "the write waits", s.WriteWaits)
			} else {
				_, otherRead = beginRead(t, s, 10)
			}
			if c.call != nil {
				recovered := make(chan any, 1)
				go func() {
					defer func() { recovered <- recover() }()
					c.call(s)
				}()
				if r := within(t, "the call's goroutine", recovered); (r != nil) != strings.HasSuffix(c.name, "panic") {
					t.Errorf("recovered %v", r)
				}
			} else {
				wantEnded(t, "the operation", c.begun(t, s), nil)
			}
			if c.reads {
				wantEnded(t, "the other direction", within(t, "the pending write", otherWrite), nil)
			} else {
				wantEnded(t, "the other direction", within(t, "the pending read", otherRead).err, nil)
			}
			for range 3 { // and it stays so
				_, wch := begin(t, s, []byte("later"))
				wantEnded(t, "a later write", within(t, "a later write", wch), nil)
				_, rch := beginRead(t, s, 1)
				wantEnded(t, "a later read", within(t, "a later read", rch).err, nil)
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
		beginRead(t, s, 1)
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
			s, _ := newRude(t, nil, c.change)
			ar, outcome := beginRead(t, s, 10)
			_, written := begin(t, s, []byte("hello"))
			eventually(t, "the write waits", s.WriteWaits)
			s.Cancel(ar) // what it says depends on the deadline
			wantOver(t, s)
			if o := within(t, "the read", outcome); o.err == nil {
				t.Error("the read ended without an error")
			}
			if err := within(t, "the write", written); err == nil {
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
			s := mustNew(t, c, nil)
			_, written := begin(t, s, []byte("cut in the middle"))
			readExactly(t, theirs, []byte("cut"))
			wantOver(t, s) // by a reset of what is below, if there is anything
			wantFailure(t, "the write", within(t, "the write", written), 3, true, net.ErrClosed)
		})
	}
}

// A zero-byte read would take a byte that the caller, who gets the connection back, would miss.
func TestForeignLeaveOpenLosesNoByte(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	s := mustNew(t, ours, &netstream.Config{LeaveOpen: true})
	go theirs.Write([]byte("hello"))
	ar, err := s.BeginRead([]byte{}, 0, 0, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.EndRead(ar)
	wantFailure(t, "the zero-byte read", err, 0, false, errors.ErrUnsupported, netstream.CodeOperationNotSupported)
	readExactly(t, s, []byte("he")) // the stream is as it was
	_, pending := beginRead(t, s, 1)
	readExactly(t, bytes.NewReader(within(t, "a read", pending).data), []byte("l"))
	_, outcome := beginRead(t, s, 100)
	if o := within(t, "the rest", outcome); string(o.data) != "lo" {
		t.Errorf("read %q, %v", o.data, o.err)
	}
	go theirs.Write([]byte("world"))
	wantOver(t, s)
	readExactly(t, ours, []byte("world"))
}

// A Read that nothing brings back, not even the connection's Close, keeps what it was lent, and nobody else.
func TestForeignReadThatNeverReturns(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s, _ := newRude(t, nil, func(c *rude) {
		c.read = func([]byte) (int, error) { close(entered); <-release; return 0, io.EOF }
		c.setDeadline = func(string, time.Time) error { return nil }
	})
	ar, outcome := beginRead(t, s, 10)
	within(t, "the read is in the connection", entered)
	within(t, "Close", async(s.Close))
	if ar.IsCompleted() {
		t.Error("the buffer came back although it is still lent")
	}
	within(t, "a second Close", async(s.Close))
	select {
	case <-s.Done():
		t.Error("Done before the read is over")
	default:
	}
	close(release)
	if o := within(t, "the read", outcome); o.err == nil {
		t.Error("the read ended without an error")
	}
	within(t, "Done", s.Done())
}

// A connection that is given back has no deadline left from an interrupt.
func TestForeignLeaveOpenLeavesNoDeadline(t *testing.T) {
	for range 50 {
		ours, theirs := net.Pipe()
		s := mustNew(t, ours, &netstream.Config{LeaveOpen: true})
		beginRead(t, s, 1)
		wantOver(t, s)
		go theirs.Write([]byte("x"))
		readExactly(t, ours, []byte("x"))
		ours.Close()
		theirs.Close()
	}
}

// halves is a rude connection with a CloseWrite.
type halves struct {
	rude
	closeWrite func() error
}

func (c *halves) CloseWrite() error { return c.closeWrite() }

// CloseWrite is foreign code as well: it does not hold the stream's CloseWrite up, Drain tells how it ended, and Close
// comes back.
func TestForeignCloseWrite(t *testing.T) {
	release := make(chan struct{})
	for _, c := range []struct {
		name       string
		closeWrite func() error
		want       error // of Drain
	}{
		{"succeeds", func() error { return nil }, nil},
		{"fails", func() error { return syscall.EIO }, syscall.EIO},
		{"ends its goroutine", func() error { runtime.Goexit(); return nil }, netstream.CodeConnectionAborted},
		{"blocks", func() error { <-release; return nil }, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			s := mustNew(t, &halves{rude{Conn: ours}, c.closeWrite}, nil)
			_, wrote := begin(t, s, []byte("hello"))
			if err := within(t, "CloseWrite", async(s.CloseWrite)); err != nil {
				t.Fatal(err)
			}
			readExactly(t, theirs, []byte("hello"))
			if err := within(t, "the write", wrote); err != nil {
				t.Error(err)
			}
			limit := patience
			if c.want == context.DeadlineExceeded {
				limit = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if err := s.Drain(ctx); !errors.Is(err, c.want) {
				t.Errorf("Drain: %v, want %v", err, c.want)
			}
			_, err := s.Write([]byte("late"))
			wantFailure(t, "a later Write", err, 0, false, netstream.CodeShutdown)
			within(t, "Close", async(s.Close))
			if c.want == context.DeadlineExceeded {
				close(release)
			}
			within(t, "Done", s.Done())
		})
	}
}
