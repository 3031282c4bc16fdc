package loop

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

func TestArmedReaderIsToldOnce(t *testing.T) {
	l := testLoop(t, 16)
	s, peer := pair(t, l)
	var calls atomic.Int64
	arm(t, s, func() { calls.Add(1) })
	if _, ok := s.Readable(); ok {
		t.Error("readable while armed")
	}
	write(t, peer, "a")
	exactly(t, &calls, 1, "ReadReady")
	write(t, peer, "b")
	exactly(t, &calls, 1, "ReadReady after a second event")
	if _, ok := s.Readable(); !ok {
		t.Error("not readable after an event")
	}
	if s.reader != nil {
		t.Error("the waiter is kept after its call")
	}
	if s.CancelRead() {
		t.Error("cancelled what had been delivered")
	}
}

func TestArmedWriterIsToldWhenThereIsRoom(t *testing.T) {
	l := testLoop(t, 16)
	s, peer := pair(t, l)
	chunk := make([]byte, 64<<10)
	var tick uint32
	for {
		tick, _ = s.Writable()
		if _, errno := sys.Send(s.FD(), chunk); errno == unix.EAGAIN {
			break
		}
	}
	done := make(chan struct{})
	if !s.AwaitWrite(tick, onWrite(func() { close(done) })) {
		t.Skip("an event came between the full buffer and the arm")
	}
	for {
		if _, errno := sys.Recv(peer, chunk); errno != 0 {
			break
		}
	}
	wait(t, done, "WriteReady")
}

func TestClearIsVoidAfterAnEvent(t *testing.T) {
	s := new(Socket)
	s.state.Store(bitReadable | bitWritable)
	tick, _ := s.Readable()
	s.deliver(unix.EPOLLIN)
	s.ClearRead(tick)
	if _, ok := s.Readable(); !ok {
		t.Error("an old tick cleared readable")
	}
	if s.AwaitRead(tick, onRead(nil)) {
		t.Error("armed under an old tick")
	}
	if s.reader != nil {
		t.Error("waiter kept by a failed arm")
	}
	tick, _ = s.Readable()
	s.ClearRead(tick)
	if _, ok := s.Readable(); ok {
		t.Error("the current tick did not clear readable")
	}
	if _, ok := s.Writable(); !ok {
		t.Error("clearing reads cleared writes")
	}
}

func TestHangupIsSticky(t *testing.T) {
	for _, c := range []struct {
		events      uint32
		read, write bool
	}{
		{unix.EPOLLRDHUP, true, false},
		{unix.EPOLLHUP, true, true},
		{unix.EPOLLERR, false, false},
		{unix.EPOLLPRI, false, false},
	} {
		s := new(Socket)
		s.deliver(c.events)
		tick, _ := s.Readable()
		s.ClearRead(tick)
		s.ClearWrite(tick)
		_, r := s.Readable()
		_, w := s.Writable()
		if r != c.read || w != c.write {
			t.Errorf("events %#x: readable %v writable %v", c.events, r, w)
		}
		if r && s.AwaitRead(tick, onRead(nil)) {
			t.Errorf("events %#x: armed a socket that is readable for good", c.events)
		}
	}
}

// An error makes both directions ready once: one more call gets it, or finds that it was but a report in the error queue.
func TestErrorIsAnEdge(t *testing.T) {
	s := &Socket{tcp: true} // nothing is ready
	r, _ := s.Readable()
	var told int
	if !s.AwaitRead(r, onRead(func() { told++ })) {
		t.Fatal("not armed")
	}
	s.deliver(unix.EPOLLERR)
	s.deliver(unix.EPOLLERR | unix.EPOLLOUT)
	tick, readable := s.Readable()
	_, writable := s.Writable()
	if told != 1 || !readable || !writable {
		t.Fatalf("told %d times, readable %v, writable %v", told, readable, writable)
	}
	if !s.MustDrain() {
		t.Error("a short read would hide the error behind the data")
	}
	s.ClearRead(tick)
	s.ClearWrite(tick)
	if !s.AwaitRead(tick, onRead(func() { told++ })) {
		t.Fatal("not armed after the error was looked for")
	}
	s.deliver(unix.EPOLLERR)
	if told != 2 {
		t.Error("a second error was not told")
	}
}

func TestDataAndFinInOneEdge(t *testing.T) {
	l := testLoop(t, 16)
	a, b := tcpPair(t)
	write(t, b, "last words")
	if errno := sys.ShutdownWrite(b); errno != 0 {
		t.Fatal(errno)
	}
	both := []unix.PollFd{{Fd: int32(a), Events: unix.POLLRDHUP}}
	eventually(t, "both have arrived: one edge", func() bool { n, _ := unix.Poll(both, 0); return n == 1 })
	s, err := l.Add(a, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Remove()
	eventually(t, "hangup seen", func() bool { return s.state.Load()&bitRDHup != 0 })
	buf := make([]byte, 64)
	tick, _ := s.Readable()
	n, errno := sys.Recv(a, buf)
	if n != 10 || errno != 0 {
		t.Fatalf("recv: %d, %v", n, errno)
	}
	s.ClearRead(tick) // a short read
	if _, ok := s.Readable(); !ok {
		t.Fatal("the end of the stream would never be read")
	}
	if s.AwaitRead(tick, onRead(nil)) {
		t.Fatal("armed although nothing more can happen")
	}
	if n, errno := sys.Recv(a, buf); n != 0 || errno != 0 {
		t.Fatalf("recv at the end: %d, %v", n, errno)
	}
}

func TestUrgentDataMakesShortReadsInconclusive(t *testing.T) {
	l := testLoop(t, 16)
	a, b := tcpPair(t)
	write(t, b, "before")
	if err := unix.Sendto(b, []byte("!"), unix.MSG_OOB, nil); err != nil {
		t.Fatal(err)
	}
	write(t, b, "behind")
	s, err := l.Add(a, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Remove()
	eventually(t, "urgent seen", s.MustDrain)
	var got strings.Builder
	buf := make([]byte, 64)
	reads := 0
	eventually(t, "everything read", func() bool {
		n, errno := sys.Recv(a, buf)
		if errno == unix.EAGAIN {
			return got.Len() >= len("beforebehind")
		}
		reads++
		got.Write(buf[:n])
		return false
	})
	if got.String() != "beforebehind" || reads < 2 {
		t.Errorf("%q in %d reads", got.String(), reads)
	}
}

func TestCancelTakesTheCallBack(t *testing.T) {
	l := testLoop(t, 16)
	s, peer := pair(t, l)
	var calls atomic.Int64
	arm(t, s, func() { calls.Add(1) })
	if !s.CancelRead() {
		t.Fatal("not cancelled")
	}
	if s.CancelRead() {
		t.Fatal("cancelled twice")
	}
	if s.reader != nil {
		t.Error("waiter kept after cancel")
	}
	write(t, peer, "a")
	eventually(t, "readable", func() bool { _, ok := s.Readable(); return ok })
	exactly(t, &calls, 0, "ReadReady")
}

// Every arm is answered exactly once: by a call or by a successful cancel.
func TestArmCancelNotifyStress(t *testing.T) {
	l := testLoop(t, 4)
	var wg sync.WaitGroup
	for range 8 {
		s, peer := pair(t, l)
		poke := make(chan struct{}, 1)
		go func() {
			for range poke {
				sys.Send(peer, []byte("x"))
			}
		}()
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer close(poke)
			armCancel(t, s, poke, 3000)
		}()
	}
	waitGroup(t, &wg, "end of the stress")
}

func armCancel(t *testing.T, s *Socket, poke chan<- struct{}, rounds int) {
	buf := make([]byte, 256)
	called := make(chan int, 2)
	for i := range rounds {
		select {
		case poke <- struct{}{}:
		default: // one is under way
		}
		tick, _ := s.Readable()
		if _, errno := sys.Recv(s.FD(), buf); errno != unix.EAGAIN {
			continue
		}
		if !s.AwaitRead(tick, onRead(func() { called <- i })) {
			continue
		}
		if rand.IntN(2) == 0 {
			runtime.Gosched()
		}
		if rand.IntN(2) == 0 && s.CancelRead() {
			continue
		}
		select { // the poke of this round, or one before it, brings the byte
		case got := <-called:
			if got != i {
				t.Errorf("round %d got the call of round %d", i, got)
				return
			}
		case <-time.After(patienceOfTests):
			t.Errorf("round %d: lost wake-up", i)
			return
		}
	}
	if len(called) != 0 {
		t.Error("a call too many")
	}
}

// A byte goes round through sockets that each arm again from the call.
func TestNoWakeUpIsLost(t *testing.T) {
	l := testLoop(t, 2)
	const rounds = 20000
	s, peer := pair(t, l)
	back, err := l.Add(peer, false)
	if err != nil {
		t.Fatal(err)
	}
	defer back.Remove()
	var left atomic.Int64
	left.Store(rounds)
	done := make(chan struct{})
	for _, side := range []*Socket{s, back} {
		l.Post(newEcho(side, &left, done))
	}
	write(t, peer, "x")
	wait(t, done, fmt.Sprint("end after ", rounds))
}

// echo returns each byte from a task, until left is used up.
type echo struct {
	s    *Socket
	left *atomic.Int64
	done chan struct{}
	buf  [8]byte
}

func newEcho(s *Socket, left *atomic.Int64, done chan struct{}) *echo {
	return &echo{s: s, left: left, done: done}
}

func (e *echo) ReadReady()  { e.s.Loop().Post(e) }
func (e *echo) WriteReady() {}

func (e *echo) Run() {
	for {
		tick, _ := e.s.Readable()
		n, errno := sys.Recv(e.s.FD(), e.buf[:])
		if errno == unix.EAGAIN {
			if e.s.AwaitRead(tick, e) {
				return
			}
			continue
		}
		if n == 0 {
			return
		}
		if e.left.Add(-1) <= 0 {
			if e.left.Load() == 0 {
				close(e.done)
			}
			return
		}
		sys.Send(e.s.FD(), e.buf[:n])
	}
}

// The harvest array is as large as the number of ready sockets, so the harvest
// is exactly full; afterwards the loop must still hear of new events.
func TestParkingAfterAnExactlyFullHarvest(t *testing.T) {
	for _, ready := range []int{1, 4, 5, 8, 9} {
		t.Run(fmt.Sprint(ready, "of4"), func(t *testing.T) {
			l := testLoop(t, 4)
			for range 200 {
				var calls atomic.Int64
				burst(t, l, ready, &calls)
				eventually(t, "every socket told", func() bool { return calls.Load() == int64(ready) })
			}
		})
	}
}

// burst makes n armed sockets readable at the same time: while the poller is
// held in a call.
func burst(t *testing.T, l *Loop, n int, calls *atomic.Int64) {
	fds := make([][2]int, n+1)
	socks := make([]*Socket, n+1)
	gate, inside := make(chan struct{}), make(chan struct{})
	for i := range fds {
		p, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		fds[i] = p
		if socks[i], err = l.Add(p[0], false); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			arm(t, socks[0], func() { close(inside); <-gate })
			continue
		}
		arm(t, socks[i], func() { calls.Add(1) })
	}
	write(t, fds[0][1], "x")
	wait(t, inside, "call")
	for _, p := range fds[1:] {
		write(t, p[1], "x")
	}
	close(gate)
	eventually(t, "all calls", func() bool { return calls.Load() == int64(n) })
	for i, s := range socks {
		s.Remove()
		unix.Close(fds[i][0])
		unix.Close(fds[i][1])
	}
}
