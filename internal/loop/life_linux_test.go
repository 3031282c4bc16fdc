package loop

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// TestMain fails the run when goroutines are left over: pollers too end when nothing is registered.
func TestMain(m *testing.M) {
	code := m.Run()
	if code == 0 {
		err := goleak.Find()
		for end := time.Now().Add(patienceOfTests); err != nil && time.Now().Before(end); err = goleak.Find() {
			time.Sleep(10 * time.Millisecond)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "goroutines left over:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// epollDescriptors counts those of this process; one is the runtime's.
func epollDescriptors(t *testing.T) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if what, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.Contains(what, "[eventpoll]") {
			n++
		}
	}
	return n
}

func TestLoopsEndWithTheLastSocketAndStartAgain(t *testing.T) {
	const poller = "internal/loop.(*Loop).pollLoop"
	eventually(t, "what other tests have used has ended", func() bool { return goroutines(poller) == 0 })
	before := epollDescriptors(t)
	for range 3 {
		loops := map[*Loop]*Socket{}
		for range 2 * len(Pick().dog.loops) {
			l := Pick()
			s, peer := pair(t, l)
			if old := loops[l]; old != nil {
				old.Remove() // not the last
			}
			loops[l] = s
			told := make(chan struct{})
			arm(t, s, func() { close(told) })
			write(t, peer, "x")
			wait(t, told, "event")
		}
		time.Sleep(3 * grace) // for nothing to happen: a loop with a socket must not end
		if n := goroutines(poller); n < len(loops) {
			t.Fatalf("%d pollers for %d loops with sockets", n, len(loops))
		}
		for _, s := range loops {
			s.Remove()
		}
		eventually(t, "the pollers end", func() bool { return goroutines(poller) == 0 })
		if n := epollDescriptors(t); n != before {
			t.Fatalf("%d epoll descriptors, %d before", n, before)
		}
	}
}

// A loop that has ended still runs tasks, without a descriptor to harvest from.
func TestTasksOfALoopWithoutSockets(t *testing.T) {
	l := testLoop(t, 16)
	var wg sync.WaitGroup
	wg.Add(10 * maxTurn)
	for range 10 * maxTurn {
		post(l, wg.Done)
	}
	waitGroup(t, &wg, "tasks")
	if started(l) {
		t.Error("tasks have started the loop")
	}
}

// Sockets come and go about as fast as the loop ends and starts: no event, no task and no descriptor is lost.
func TestLoopsThatEndAllTheTime(t *testing.T) {
	l := testLoop(t, 4)
	l.grace = 20 * time.Microsecond
	until := time.Now().Add(500 * time.Millisecond)
	var wg sync.WaitGroup
	for g := range 3 {
		wg.Go(func() {
			for i := 0; time.Now().Before(until); i++ {
				comeAndGo(t, l)
				time.Sleep(time.Duration(i*(g+1)%7) * 10 * time.Microsecond) // any length will do
			}
		})
	}
	waitGroup(t, &wg, "visits")
}

// comeAndGo registers a socket, waits for an event and the task it leads to, and removes the socket.
func comeAndGo(t *testing.T, l *Loop) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Error(err)
		return
	}
	defer unix.Close(fds[0])
	defer unix.Close(fds[1])
	s, err := l.Add(fds[0], false)
	if err != nil {
		t.Error(err)
		return
	}
	done, after := make(chan struct{}), make(chan struct{})
	tick, _ := s.Readable()
	for !s.AwaitRead(tick, onRead(func() { post(l, func() { close(done) }) })) {
		tick, _ = s.Readable()
	}
	sys.Send(fds[1], []byte("x"))
	wait(t, done, "the task of an event")
	s.Remove()
	post(l, func() { close(after) })
	wait(t, after, "a task after Remove")
}
