package netconn_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// fakeListener fails as it is told to, in order, and then hands out connections.
type fakeListener struct {
	mu     sync.Mutex
	errs   []error       // guarded by mu
	calls  atomic.Int64  // of Accept
	conns  chan net.Conn // what Accept returns after the errors
	closed chan struct{}
	once   sync.Once
}

func newFakeListener(errs ...error) *fakeListener {
	return &fakeListener{errs: errs, conns: make(chan net.Conn, 10), closed: make(chan struct{})}
}

func (f *fakeListener) Accept() (net.Conn, error) {
	f.calls.Add(1)
	f.mu.Lock()
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		f.mu.Unlock()
		return nil, &net.OpError{Op: "accept", Net: "fake", Err: err}
	}
	f.mu.Unlock()
	select {
	case conn := <-f.conns:
		return conn, nil
	case <-f.closed:
		return nil, &net.OpError{Op: "accept", Net: "fake", Err: net.ErrClosed}
	}
}

func (f *fakeListener) Close() error {
	f.once.Do(func() { close(f.closed) })
	return nil
}

func (f *fakeListener) Addr() net.Addr { return &net.UnixAddr{Name: "fake", Net: "fake"} }

// logged is a logger that keeps what it is told.
type logged struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(p)
}

func (l *logged) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.FieldsFunc(l.out.String(), func(r rune) bool { return r == '\n' })
}

func (l *logged) config() *netstream.Config {
	return &netstream.Config{Logger: slog.New(slog.NewTextHandler(l, nil))}
}

func TestAcceptSkipsAbortedConnections(t *testing.T) {
	aborted := []error{syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.ENETDOWN}
	fake, log := newFakeListener(aborted...), new(logged)
	ln, err := netstream.NewListener(fake, log.config())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	fake.conns <- ours
	var s *netstream.NetworkStream
	took := kit.Awake(func() { s, err = ln.AcceptStream() })
	if err != nil {
		t.Fatal("AcceptStream:", err)
	}
	defer s.Close()
	if took > time.Second {
		t.Errorf("took %v: nobody has to wait after an aborted connection", took)
	}
	if lines := log.lines(); len(lines) != 0 {
		t.Errorf("logged %q", lines)
	}
	go io.WriteString(theirs, "hello")
	p := make([]byte, 10)
	if n, err := s.Read(p); string(p[:n]) != "hello" || err != nil {
		t.Errorf("read %q, %v", p[:n], err)
	}
}

func TestAcceptWaitsOutExhaustion(t *testing.T) {
	errs := []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.EMFILE, syscall.ECONNABORTED, syscall.EMFILE}
	fake, log := newFakeListener(errs...), new(logged)
	ln, err := netstream.NewListener(fake, log.config())
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ours, theirs := net.Pipe()
	defer theirs.Close()
	fake.conns <- ours
	start := time.Now()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal("Accept:", err)
	}
	defer conn.Close()
	if took := time.Since(start); took < 100*time.Millisecond { // 5 + 10 + 20 + 40 + 80 ms
		t.Errorf("took %v: that was a spin", took)
	}
	if n := fake.calls.Load(); n != int64(len(errs)+1) {
		t.Errorf("%d accepts for %d failures", n, len(errs))
	}
	if lines := log.lines(); len(lines) != 1 || !strings.Contains(lines[0], "level=WARN") || !strings.Contains(lines[0], syscall.EMFILE.Error()) {
		t.Errorf("logged %q, want one warning", lines)
	}
}

// Close reaches an accept that waits for better times.
func TestAcceptCloseDuringExhaustion(t *testing.T) {
	fake, log := newFakeListener(slices.Repeat([]error{syscall.EMFILE}, 1000)...), new(logged)
	ln, err := netstream.NewListener(fake, log.config())
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	go func() {
		_, err := ln.Accept()
		failed <- err
	}()
	kit.Eventually(t, "some failures", func() bool { return fake.calls.Load() > 5 })
	took := kit.Awake(func() {
		ln.Close()
		if err := kit.Within(t, "Accept", failed); !errors.Is(err, net.ErrClosed) {
			t.Error("Accept:", err)
		}
	})
	if took > time.Second/2 {
		t.Errorf("Close took %v to be seen", took)
	}
}

func TestAcceptReportsWhatDoesNotPass(t *testing.T) {
	for _, c := range []struct {
		errs []error
		code netstream.SocketErrorCode
	}{
		{[]error{syscall.EINVAL}, netstream.CodeInvalidArgument},
		{slices.Repeat([]error{syscall.ECONNRESET}, 1000), netstream.CodeConnectionReset}, // of a multiplexer's own connection
	} {
		ln, err := netstream.NewListener(newFakeListener(c.errs...), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		err = kit.Within(t, "Accept", kit.Async(func() error { _, err := ln.Accept(); return err }))
		if !errors.Is(err, c.errs[0]) || !errors.Is(err, c.code) {
			t.Errorf("Accept: %v", err)
		}
		checkChain(t, err, "accept")
	}
}

// checkChain holds an error to the one order of the layers: net.OpError, IOError, SocketError.
func checkChain(t *testing.T, err error, op string) {
	t.Helper()
	outer, ok := err.(*net.OpError)
	if !ok || outer.Op != op {
		t.Errorf("outermost is %T (%v), want a *net.OpError of %q", err, err, op)
		return
	}
	if _, ok := outer.Err.(*netstream.IOError); !ok {
		t.Errorf("below is %T, want an *IOError", outer.Err)
	}
	var socket *netstream.SocketError
	if !errors.As(err, &socket) {
		t.Errorf("%v: no *SocketError in the chain", err)
	}
}

// listen returns a listener for a case, and connections to it that are closed with the test.
func listen(t *testing.T, c kit.ConnCase) (ln *netstream.Listener, dial func() net.Conn) {
	t.Helper()
	ln, err := netstream.Listen(c.Network, listenAddress(t, c.Network), c.Config(nil))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return ln, func() net.Conn {
		t.Helper()
		conn, err := net.Dial(c.Network, ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		return conn
	}
}

func eachListener(t *testing.T, f func(t *testing.T, c kit.ConnCase)) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("a pipe is not listened for")
		}
		f(t, c)
	})
}

// Accepts are served in Begin order; their callbacks run one at a time, in that order, on another goroutine.
func TestBeginAcceptOrder(t *testing.T) {
	eachListener(t, func(t *testing.T, c kit.ConnCase) {
		ln, dial := listen(t, c)
		const n = 20
		type outcome struct {
			accept int
			from   byte
			err    error
		}
		outcomes := make(chan outcome, n)
		var inside atomic.Int32
		for i := range n {
			ar, err := ln.BeginAccept(func(ar netstream.AsyncResult) {
				if inside.Add(1) != 1 {
					t.Error("two callbacks at once")
				}
				defer inside.Add(-1)
				o := outcome{accept: ar.AsyncState().(int)}
				s, err := ln.EndAccept(ar)
				if o.err = err; err == nil {
					p := make([]byte, 1)
					_, o.err = s.Read(p)
					o.from = p[0]
					s.Close()
				}
				outcomes <- o
			}, i)
			if err != nil {
				t.Fatal(err)
			}
			if ar.CompletedSynchronously() || ar.IsCompleted() {
				t.Error("completed before anybody has connected")
			}
		}
		for i := range n {
			if _, err := dial().Write([]byte{byte(i)}); err != nil {
				t.Fatal(err)
			}
		}
		for i := range n {
			if o := kit.Within(t, "a callback", outcomes); o != (outcome{i, byte(i), nil}) {
				t.Errorf("callback %d: %+v", i, o)
			}
		}
	})
}

// What BeginAccept returns is for asynchronous use: with EngineAuto it starts on the loop.
func TestBeginAcceptStartsOnTheLoop(t *testing.T) {
	if !kit.HaveEpoll {
		t.Skip("needs a loop")
	}
	ln, dial := listen(t, kit.ConnCase{Network: "tcp"})
	ar, err := ln.BeginAccept(nil, "state")
	if err != nil {
		t.Fatal(err)
	}
	dial()
	if !ar.AsyncWaitHandle().WaitOneTimeout(kit.Patience) || !ar.IsCompleted() || ar.AsyncState() != "state" {
		t.Error("the accept has not completed")
	}
	s, err := ln.EndAccept(ar)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if engine, why := s.Socket().Engine(); engine != netstream.EngineEpoll {
		t.Errorf("on %v: %s", engine, why)
	}
}

// A callback that ends its goroutine takes the others not with it.
func TestBeginAcceptCallbackGoexit(t *testing.T) {
	ln, dial := listen(t, kit.ConnCase{Network: "tcp"})
	called := make(chan int, 3)
	for i := range 3 {
		_, err := ln.BeginAccept(func(ar netstream.AsyncResult) {
			if s, err := ln.EndAccept(ar); err == nil {
				s.Close()
			}
			called <- i
			runtime.Goexit()
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 {
		dial()
		if got := kit.Within(t, "a callback", called); got != i {
			t.Errorf("callback %d ran as number %d", got, i)
		}
	}
}

func TestListenerCloseCompletesBegunAccepts(t *testing.T) {
	eachListener(t, func(t *testing.T, c kit.ConnCase) {
		ln, _ := listen(t, c)
		ended := make(chan error, 3)
		for range 3 {
			_, err := ln.BeginAccept(func(ar netstream.AsyncResult) {
				_, err := ln.EndAccept(ar)
				ended <- err
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := ln.Close(); err != nil {
			t.Error("Close:", err)
		}
		if err := ln.Close(); !errors.Is(err, net.ErrClosed) {
			t.Error("a second Close:", err)
		}
		for range 3 {
			err := kit.Within(t, "a begun accept", ended)
			var disposed *netstream.ObjectDisposedError
			if !errors.Is(err, net.ErrClosed) || !errors.As(err, &disposed) || !errors.Is(err, netstream.CodeOperationAborted) {
				t.Error("EndAccept:", err)
			}
			checkChain(t, err, "accept")
		}
		var disposed *netstream.ObjectDisposedError
		if _, err := ln.BeginAccept(nil, nil); !errors.As(err, &disposed) {
			t.Error("BeginAccept after Close:", err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error("Accept after Close:", err)
		}
	})
}

func TestEndAcceptMisused(t *testing.T) {
	ln, dial := listen(t, kit.ConnCase{Network: "tcp"})
	other, _ := listen(t, kit.ConnCase{Network: "tcp"})
	ar, err := ln.BeginAccept(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	dial()
	var null *netstream.ArgumentNullError
	if _, err := ln.EndAccept(netstream.AsyncResult{}); !errors.As(err, &null) {
		t.Error("EndAccept of the zero result:", err)
	}
	var argument *netstream.ArgumentError
	if _, err := other.EndAccept(ar); !errors.As(err, &argument) {
		t.Error("EndAccept of another listener's result:", err)
	}
	if _, err := netstream.EndConnect(ar); !errors.As(err, &argument) {
		t.Error("EndConnect of an accept's result:", err)
	}
	s, err := ln.EndAccept(ar)
	if err != nil {
		t.Fatal("EndAccept:", err)
	}
	s.Close()
	var invalid *netstream.InvalidOperationError
	if _, err := ln.EndAccept(ar); !errors.As(err, &invalid) {
		t.Error("a second EndAccept:", err)
	}
}
