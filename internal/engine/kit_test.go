package engine_test

import (
	"bytes"
	"io"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// patience only ends a hang.
const patience = time.Minute

func TestMain(m *testing.M) {
	kit.LeaveOut()
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("runtime.handleEvent"), // of js
		goleak.Cleanup(func(code int) {
			if left := openSockets(); code == 0 && len(left) > 0 {
				println("descriptors left over:", strings.Join(left, ", "))
				code = 1
			}
			os.Exit(code)
		}))
}

// openSockets lists this process's sockets; empty where the system does not tell.
func openSockets() (list []string) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(target, "socket:") {
			list = append(list, e.Name()+" "+target)
		}
	}
	return list
}

// recorder is an owner that notes what it is told.
type recorder struct {
	t        testing.TB
	returned [2]chan answer // by direction
	closed   chan struct{}
	given    chan struct{} // Abandoned
	starter  [2]atomic.Pointer[string]
	started  [2]int32 // Start calls that returned true
	told     [2]atomic.Int32
	ends     atomic.Int32 // Closed calls
}

type answer struct {
	n   int
	err error
}

func newRecorder(t testing.TB) *recorder {
	return &recorder{
		t:        t,
		returned: [2]chan answer{make(chan answer, 9), make(chan answer, 9)},
		closed:   make(chan struct{}), given: make(chan struct{}, 9),
	}
}

func (r *recorder) tell(d engine.Direction, n int, err error) {
	if starter := r.starter[d].Load(); starter != nil && *starter == goroutine() {
		r.t.Error("the owner was called from inside Start")
	}
	r.told[d].Add(1)
	r.returned[d] <- answer{n, err}
}

func (r *recorder) ReadReturned(n int, err error)  { r.tell(engine.Read, n, err) }
func (r *recorder) WriteReturned(n int, err error) { r.tell(engine.Write, n, err) }
func (r *recorder) WantWrite()                     { r.t.Error("WantWrite of an engine that holds nothing") }
func (r *recorder) Abandoned()                     { r.given <- struct{}{} }
func (r *recorder) Closed() {
	if r.ends.Add(1) == 1 {
		close(r.closed)
	}
}

// goroutine names the caller's.
func goroutine() string {
	var b [64]byte
	name, _, _ := bytes.Cut(b[:runtime.Stack(b[:], false)], []byte(" ["))
	return string(name)
}

// start notes who is in a Start call, which f makes.
func (r *recorder) start(d engine.Direction, f func() bool) bool {
	me := goroutine()
	r.starter[d].Store(&me)
	defer r.starter[d].Store(nil)
	ok := f()
	if ok {
		r.started[d]++
	}
	return ok
}

func (r *recorder) await(d engine.Direction) answer {
	r.t.Helper()
	select {
	case a := <-r.returned[d]:
		return a
	case <-time.After(patience):
		r.t.Fatal("the owner is not told that the wait has ended")
		return answer{}
	}
}

// under is a connection of some kind under test, with its peer.
type under struct {
	*recorder
	engine.Connection
	kind
	peer net.Conn
	conn net.Conn // what the engine was made of
	id   [2]uint32
}

// kind is a way to make an engine.
type kind struct {
	name   string
	loop   bool
	dial   func(t testing.TB) (ours, theirs net.Conn)
	resets bool // its Reset is an error on the other side
	any    bool // it is only a net.Conn to the engine
}

func kinds() []kind {
	list := []kind{{name: "pipe", dial: dialPipe, resets: true}}
	if kit.HaveSockets {
		list = append(list, kind{name: "portable-tcp", dial: dialTCP, resets: true},
			kind{name: "foreign", dial: dialForeign, any: true},
			kind{name: "tls", dial: dialTLS, any: true, resets: true})
	}
	if kit.HaveUnixSockets() {
		list = append(list, kind{name: "portable-unix", dial: dialUnix})
	}
	if engine.HasLoops {
		list = append(list, kind{name: "epoll-tcp", loop: true, dial: dialTCP, resets: true},
			kind{name: "epoll-unix", loop: true, dial: dialUnix})
	}
	return list
}

func eachKind(t *testing.T, f func(t *testing.T, u *under)) {
	for _, k := range kinds() {
		t.Run(k.name, func(t *testing.T) { f(t, k.open(t, engine.Options{})) })
	}
}

// open makes an engine of that kind, and sees at the end of the test that every start was answered once.
func (k kind) open(t testing.TB, o engine.Options) *under {
	t.Helper()
	u := &under{recorder: newRecorder(t), kind: k}
	u.conn, u.peer = k.dial(t)
	if k.loop {
		c, _, err := engine.NewOnLoop(u, u.conn, o)
		must(t, err)
		u.Connection = c
		if !o.LeaveOpen {
			u.conn.Close()
		}
	} else {
		u.Connection = engine.NewPortable(u, u.conn, o)
	}
	t.Cleanup(func() {
		select {
		case <-u.closed:
		default:
			u.finish(engine.Reset)
		}
		u.peer.Close()
		u.conn.Close()
		for d, name := range []string{"reads", "writes"} {
			if started, told := u.started[d], u.told[d].Load(); started != told {
				t.Errorf("%d %s started, the owner was told of %d", started, name, told)
			}
		}
		if n := u.ends.Load(); n != 1 {
			t.Errorf("Closed was called %d times", n)
		}
	})
	return u
}

// finish closes the engine and waits until it is gone.
func (u *under) finish(how engine.Ending) {
	u.t.Helper()
	u.Close(how)
	select {
	case <-u.closed:
	case <-time.After(patience):
		u.t.Fatal("the connection is not given up")
	}
}

// next returns an id for a wait or a call.
func (u *under) next(d engine.Direction) uint32 {
	u.id[d]++
	return u.id[d]
}

func (u *under) startRead(id uint32, p []byte) bool {
	return u.start(engine.Read, func() bool { return u.StartRead(id, p) })
}

func (u *under) startWrite(id uint32, vectors [][]byte) bool {
	return u.start(engine.Write, func() bool { return u.StartWrite(id, vectors) })
}

// read reads what there is, as a stream does: it tries, and waits if there is nothing.
func (u *under) read(p []byte) (int, error) {
	u.t.Helper()
	for {
		n, err := u.TryRead(p)
		if err == engine.ErrWouldBlock {
			if !u.startRead(u.next(engine.Read), p) {
				continue
			}
			a := u.await(engine.Read)
			if n, err = a.n, a.err; n == 0 && err == engine.ErrInterrupted {
				continue
			}
		}
		return n, err
	}
}

// readAll reads len(p) bytes.
func (u *under) readAll(p []byte) {
	u.t.Helper()
	for got := 0; got < len(p); {
		n, err := u.read(p[got:])
		if got += n; n == 0 && err != nil {
			u.t.Fatalf("after %d of %d bytes: %v", got, len(p), err)
		}
	}
}

// write writes all of p, one attempt or wait after the other, and returns how it failed.
func (u *under) write(p []byte) error {
	u.t.Helper()
	for len(p) > 0 {
		n, err := u.writeSome(p)
		if err != nil && err != engine.ErrInterrupted {
			return err
		}
		p = p[n:]
	}
	return nil
}

// writeSome makes an attempt, and waits if nothing could be done.
func (u *under) writeSome(p []byte) (int, error) {
	u.t.Helper()
	taken, done, err := u.TryWrite([][]byte{p})
	if taken != done {
		u.t.Errorf("%d taken, %d done by an engine that holds nothing", taken, done)
	}
	if err != engine.ErrWouldBlock {
		return done, err
	}
	if taken != 0 {
		u.t.Errorf("%d taken, and would block", taken)
	}
	if !u.startWrite(u.next(engine.Write), [][]byte{p}) {
		return 0, nil
	}
	a := u.await(engine.Write)
	if u.Traits().OnlyWaits[engine.Write] && a.n != 0 {
		u.t.Errorf("a wait has written %d bytes", a.n)
	}
	return a.n, a.err
}

// fill writes until a wait that was begun does not come back, and returns what went out and the wait's id.
func (u *under) fill(p []byte) (sent int, id uint32) {
	u.t.Helper()
	for sent < len(p) {
		_, n, err := u.TryWrite([][]byte{p[sent:]})
		sent += n
		if err != nil && err != engine.ErrWouldBlock {
			u.t.Fatal(err)
		}
		if err == nil {
			continue
		}
		if id = u.next(engine.Write); u.startWrite(id, [][]byte{p[sent:]}) {
			return sent, id
		}
	}
	u.t.Fatalf("%d bytes fit into the connection", len(p))
	return 0, 0
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// patterned returns bytes that show where they belong.
func patterned(size int) []byte {
	p := make([]byte, size)
	for i := range p {
		p[i] = byte(i>>8) ^ byte(i)*7
	}
	return p
}

func background[T any](f func() T) <-chan T {
	done := make(chan T, 1)
	go func() { done <- f() }()
	return done
}

func within[T any](t testing.TB, what string, done <-chan T) T {
	t.Helper()
	select {
	case v := <-done:
		return v
	case <-time.After(patience):
		t.Fatalf("not within %v: %s", patience, what)
		panic("unreachable")
	}
}

// readPeer reads what the peer gets until it ends.
func (u *under) readPeer() <-chan peerGot {
	return background(func() peerGot {
		data, err := io.ReadAll(u.peer)
		return peerGot{data, err}
	})
}

type peerGot struct {
	data []byte
	err  error
}

// sizes of one transfer: one byte, some, and more than fits into any buffer.
var sizes = []int{1, 1000, 6 << 20}

func (k kind) is(names ...string) bool { return slices.Contains(names, k.name) }
