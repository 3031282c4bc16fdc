package loop

import (
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// testLoop is a loop with a watchdog of its own. It starts and ends often: its grace is short.
func testLoop(t testing.TB, batch int) *Loop {
	t.Helper()
	l := newLoop(new(watchdog), batch)
	l.grace = time.Millisecond
	l.dog.loops = []*Loop{l}
	t.Cleanup(func() { // after the sockets
		eventually(t, "the loop ends", func() bool { return !started(l) })
	})
	return l
}

func started(l *Loop) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.epoll != nil
}

// quietLoop is a loop that never ends and has no goroutines.
func quietLoop(t testing.TB, batch int) *Loop {
	t.Helper()
	l := newLoop(new(watchdog), batch)
	e, err := newEpoll()
	if err != nil {
		t.Fatal(err)
	}
	l.epoll, l.ending = e, true
	t.Cleanup(func() { e.file.Close() })
	return l
}

// pair returns a socket of l and the descriptor of its peer.
func pair(t testing.TB, l *Loop) (*Socket, int) {
	t.Helper()
	fds := socketpair(t)
	s, err := l.Add(fds[0], false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Remove() })
	return s, fds[1]
}

func socketpair(t testing.TB) [2]int {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	owns(t, fds[0], fds[1])
	return fds
}

// open has the descriptors that tests have made and not closed, each with the mark of its owner: a number that was closed
// belongs to somebody else at once, perhaps to an epoll descriptor.
var open sync.Map

// owns has the descriptors closed at the end of the test, unless closeFD comes first.
func owns(t testing.TB, fds ...int) {
	for _, fd := range fds {
		mark := new(int)
		open.Store(fd, mark)
		t.Cleanup(func() {
			if open.CompareAndDelete(fd, mark) {
				unix.Close(fd)
			}
		})
	}
}

// closeFD closes a descriptor before the end of the test that owns it.
func closeFD(t testing.TB, fd int) {
	t.Helper()
	if _, owned := open.LoadAndDelete(fd); !owned {
		t.Fatalf("descriptor %d is closed twice", fd)
	}
	unix.Close(fd)
}

// tcpPair returns both ends of a loopback TCP connection, non-blocking.
func tcpPair(t testing.TB) (a, b int) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	ln, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	defer unix.Close(ln)
	check(unix.Bind(ln, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	check(unix.Listen(ln, 1))
	addr, err := unix.Getsockname(ln)
	check(err)
	a, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	check(err)
	check(unix.Connect(a, addr))
	b, _, err = unix.Accept4(ln, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
	check(err)
	check(unix.SetNonblock(a, true))
	owns(t, a, b)
	return a, b
}

func write(t testing.TB, fd int, text string) {
	t.Helper()
	if _, errno := sys.Send(fd, []byte(text)); errno != 0 {
		t.Fatalf("send: %v", errno)
	}
}

// onRead and onWrite are Waiters of one direction.
type onRead func()

func (f onRead) ReadReady() { f() }
func (onRead) WriteReady()  { panic("WriteReady of a reader") }

type onWrite func()

func (onWrite) ReadReady()    { panic("ReadReady of a writer") }
func (f onWrite) WriteReady() { f() }

// arm waits for an empty socket to become readable and then calls f.
func arm(t testing.TB, s *Socket, f func()) {
	t.Helper()
	for {
		tick, _ := s.Readable()
		if _, errno := sys.Peek(s.FD(), make([]byte, 1)); errno != unix.EAGAIN {
			t.Fatalf("socket to wait for is not empty: %v", errno)
		}
		if s.AwaitRead(tick, onRead(f)) {
			return
		}
	}
}

type job func()

func (f job) Run() { f() }

func post(l *Loop, f func()) { l.Post(job(f)) }

// patienceOfTests only ends a hang: what it waits for takes milliseconds, but a shared machine may stand still for seconds.
const patienceOfTests = 60 * time.Second

func wait(t testing.TB, done <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patienceOfTests):
		buf := make([]byte, 1<<20)
		t.Fatalf("no %s\n%s", what, buf[:runtime.Stack(buf, true)])
	}
}

func waitGroup(t testing.TB, wg *sync.WaitGroup, what string) {
	t.Helper()
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	wait(t, done, what)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patienceOfTests); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			buf := make([]byte, 1<<20)
			t.Fatalf("never: %s\n%s", what, buf[:runtime.Stack(buf, true)])
		}
	}
}

// watch returns a function that tells how long ago watch was called, counted in the ticks of a goroutine beside: a
// machine that stands still for seconds ticks but once. It has to be called, once.
func watch() (took func() time.Duration) {
	const tick = 10 * time.Millisecond
	stop, ticks := make(chan struct{}), make(chan time.Duration)
	go func() {
		var d time.Duration
		for {
			select {
			case <-stop:
				ticks <- d
				return
			case <-time.After(tick):
				d += tick
			}
		}
	}()
	return func() time.Duration { close(stop); return <-ticks }
}

// goroutines counts the goroutines with function name in their stack.
func goroutines(name string) int {
	buf := make([]byte, 1<<22)
	n := 0
	for _, g := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, name) {
			n++
		}
	}
	return n
}

// exactly fails the test if n is not want after a moment's grace for excess.
func exactly(t testing.TB, n *atomic.Int64, want int64, what string) {
	t.Helper()
	eventually(t, what, func() bool { return n.Load() >= want })
	time.Sleep(5 * time.Millisecond)
	if got := n.Load(); got != want {
		t.Fatalf("%s: %d times, want %d", what, got, want)
	}
}
