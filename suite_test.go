package netstream_test

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-9ac8cf60/netstream"
)

// One suite holds every engine to one contract, in every style of calling it. Each test takes its cases from
// eachConn (how the two ends are connected) and, where it writes or reads, from eachStyle (how it is asked for).

// connCase is one way to get two connected streams.
type connCase struct {
	name    string
	engine  netstream.Engine
	network string // "tcp", "unix", or "pipe"
}

var connCases = []connCase{
	{"auto-tcp", netstream.EngineAuto, "tcp"},
	{"epoll-tcp", netstream.EngineEpoll, "tcp"},
	{"epoll-unix", netstream.EngineEpoll, "unix"},
	{"portable-tcp", netstream.EnginePortable, "tcp"},
	{"portable-unix", netstream.EnginePortable, "unix"},
	{"pipe", netstream.EnginePortable, "pipe"},
}

// tcp reports whether the connection can be reset.
func (c connCase) tcp() bool { return c.network == "tcp" }

// usable reports whether this system has the engine, and whether NETSTREAM_TEST_ENGINE (auto, epoll, portable)
// asks for it.
func (c connCase) usable() bool {
	if forced := os.Getenv("NETSTREAM_TEST_ENGINE"); forced != "" && forced != c.engine.String() {
		return false
	}
	return c.engine != netstream.EngineEpoll || haveEpoll
}

// eachConn runs f for every way to connect two streams, as subtests.
func eachConn(t *testing.T, f func(t *testing.T, c connCase)) {
	t.Helper()
	for _, c := range connCases {
		if c.usable() {
			t.Run(c.name, func(t *testing.T) { f(t, c) })
		}
	}
}

// eachTCP runs f for every engine over TCP.
func eachTCP(t *testing.T, f func(t *testing.T, c connCase)) {
	t.Helper()
	eachConn(t, func(t *testing.T, c connCase) {
		if !c.tcp() {
			t.Skip("needs a connection that can be reset")
		}
		f(t, c)
	})
}

// config returns cfg (nil: an empty one) with the case's engine.
func (c connCase) config(cfg *netstream.Config) *netstream.Config {
	out := netstream.Config{}
	if cfg != nil {
		out = *cfg
	}
	out.Engine = c.engine
	return &out
}

// pair returns two connected streams, each with its own configuration (nil: default), closed at the end of the
// test.
func (c connCase) pair(t testing.TB, cfgA, cfgB *netstream.Config) (a, b *netstream.NetworkStream) {
	t.Helper()
	if c.network == "pipe" {
		a, b = netstream.Pipe(c.config(cfgA))
	} else {
		ca, cb := c.netPair(t)
		a, b = mustNew(t, ca, c.config(cfgA)), mustNew(t, cb, c.config(cfgB))
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// withPeer returns a stream and the plain net.Conn at its other end, both closed at the end of the test. Not for
// pipes.
func (c connCase) withPeer(t testing.TB, cfg *netstream.Config) (*netstream.NetworkStream, net.Conn) {
	t.Helper()
	ca, cb := c.netPair(t)
	s := mustNew(t, ca, c.config(cfg))
	t.Cleanup(func() { s.Close(); cb.Close() })
	return s, cb
}

func mustNew(t testing.TB, conn net.Conn, cfg *netstream.Config) *netstream.NetworkStream {
	t.Helper()
	s, err := netstream.New(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// netPair returns both ends of a net connection.
func (c connCase) netPair(t testing.TB) (client, server net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if c.network == "unix" {
		dir, err := os.MkdirTemp("", "ns") // t.TempDir can be too long for a socket's name
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		address = filepath.Join(dir, "s")
	}
	ln, err := net.Listen(c.network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	type accepted struct {
		conn net.Conn
		err  error
	}
	ch := make(chan accepted, 1)
	go func() {
		conn, err := ln.Accept()
		ch <- accepted{conn, err}
	}()
	client, err = net.Dial(c.network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a := <-ch
	if a.err != nil {
		t.Fatal(a.err)
	}
	return client, a.conn
}

// style is one way to write or read: the outcome is the same for all.
type style struct {
	name  string
	async bool // uses Begin
	write func(s *netstream.NetworkStream, p []byte) error
	read  func(s *netstream.NetworkStream, p []byte) (int, error)
}

var styles = []style{
	{"blocking", false,
		func(s *netstream.NetworkStream, p []byte) error { _, err := s.Write(p); return err },
		func(s *netstream.NetworkStream, p []byte) (int, error) { return s.Read(p) }},
	{"context", false,
		func(s *netstream.NetworkStream, p []byte) error {
			_, err := s.WriteContext(context.Background(), p)
			return err
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			return s.ReadContext(context.Background(), p)
		}},
	{"begin-end", true,
		func(s *netstream.NetworkStream, p []byte) error {
			return beginThen(s, p, func(netstream.AsyncResult) {})
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			return beginReadThen(s, p, func(netstream.AsyncResult) {})
		}},
	{"begin-callback", true,
		func(s *netstream.NetworkStream, p []byte) error {
			ch := make(chan error, 1)
			_, err := s.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) { ch <- s.EndWrite(ar) }, nil)
			if err != nil {
				return err
			}
			return <-ch
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			type outcome struct {
				n   int
				err error
			}
			ch := make(chan outcome, 1)
			_, err := s.BeginRead(p, 0, len(p), func(ar netstream.AsyncResult) {
				n, err := s.EndRead(ar)
				ch <- outcome{n, err}
			}, nil)
			if err != nil {
				return 0, err
			}
			o := <-ch
			return o.n, o.err
		}},
	{"begin-waitone", true,
		func(s *netstream.NetworkStream, p []byte) error {
			return beginThen(s, p, func(ar netstream.AsyncResult) { ar.AsyncWaitHandle().WaitOne() })
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			return beginReadThen(s, p, func(ar netstream.AsyncResult) { ar.AsyncWaitHandle().WaitOne() })
		}},
	{"begin-poll", true,
		func(s *netstream.NetworkStream, p []byte) error {
			return beginThen(s, p, pollUntilCompleted)
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			return beginReadThen(s, p, pollUntilCompleted)
		}},
	{"buffers", false,
		func(s *netstream.NetworkStream, p []byte) error { _, err := s.WriteBuffers(thirds(p)); return err },
		func(s *netstream.NetworkStream, p []byte) (int, error) { return s.Read(p) }},
}

// thirds returns p in three pieces and an empty one.
func thirds(p []byte) [][]byte {
	third := len(p) / 3
	return [][]byte{p[:third], nil, p[third : 2*third], p[2*third:]}
}

func beginThen(s *netstream.NetworkStream, p []byte, wait func(netstream.AsyncResult)) error {
	ar, err := s.BeginWrite(p, 0, len(p), nil, nil)
	if err != nil {
		return err
	}
	wait(ar)
	return s.EndWrite(ar)
}

func beginReadThen(s *netstream.NetworkStream, p []byte, wait func(netstream.AsyncResult)) (int, error) {
	ar, err := s.BeginRead(p, 0, len(p), nil, nil)
	if err != nil {
		return 0, err
	}
	wait(ar)
	return s.EndRead(ar)
}

func pollUntilCompleted(ar netstream.AsyncResult) {
	for !ar.IsCompleted() {
		time.Sleep(50 * time.Microsecond)
	}
}

// eachStyle runs f for every style, as subtests.
func eachStyle(t *testing.T, f func(t *testing.T, st style)) {
	t.Helper()
	for _, st := range styles {
		t.Run(st.name, func(t *testing.T) { f(t, st) })
	}
}

// patience is how long a test waits for what takes microseconds: it only ends a hang, and a shared machine may stand
// still for seconds.
const patience = 60 * time.Second

// eventually fails the test when cond does not come true.
func eventually(t testing.TB, what string, cond func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// within fails the test when ch is not closed or does not deliver.
func within[T any](t testing.TB, what string, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
		panic("unreachable")
	}
}

// awake returns how long f takes, counted in the ticks of a goroutine beside it: a machine that stands still for seconds
// ticks but once. It is for limits that are there to tell one behaviour from another.
func awake(f func()) time.Duration {
	const tick = 10 * time.Millisecond
	stop, ticks := make(chan struct{}), make(chan time.Duration)
	go func() {
		var took time.Duration
		for {
			select {
			case <-stop:
				ticks <- took
				return
			case <-time.After(tick):
				took += tick
			}
		}
	}()
	f()
	close(stop)
	return <-ticks
}

// TestMain fails the run when goroutines or descriptors are left over.
func TestMain(m *testing.M) {
	if r, w, err := os.Pipe(); err == nil { // from here on the runtime has its poller's descriptors
		r.Close()
		w.Close()
	}
	before := openDescriptors()
	code := m.Run()
	if code == 0 {
		left, err := leftovers(before)
		for end := time.Now().Add(patience / 2); (err != nil || len(left) > 0) && time.Now().Before(end); left, err = leftovers(before) {
			time.Sleep(10 * time.Millisecond) // closed connections linger for a while
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left over:", err)
			code = 1
		}
		if len(left) > 0 {
			fmt.Fprintln(os.Stderr, "descriptors left over:", left)
			code = 1
		}
	}
	os.Exit(code)
}

// leftovers returns the goroutines and the descriptors that should not be there any more.
func leftovers(before []string) (sockets []string, goroutines error) {
	return newDescriptors(before), goleak.Find()
}

// openDescriptors lists this process's descriptors with what they are; empty where the system does not tell.
func openDescriptors() []string {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil
	}
	var list []string
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil {
			list = append(list, e.Name()+" "+target)
		}
	}
	return list
}

// newDescriptors returns the sockets and epoll descriptors that are open now and were not before.
func newDescriptors(before []string) []string {
	var left []string
	for _, d := range openDescriptors() {
		if (strings.Contains(d, "socket:") || strings.Contains(d, "[eventpoll]")) && !slices.Contains(before, d) {
			left = append(left, d)
		}
	}
	return left
}
