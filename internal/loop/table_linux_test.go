package loop

import (
	"math/rand/v2"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// An event is harvested, then its socket is removed and both the descriptor
// number and the slot get a new owner, which must not be told.
func TestStaleEventOfARemovedSocketIsDropped(t *testing.T) {
	l := testLoop(t, 16)
	for range 50 {
		old, peer := pair(t, l)
		eventually(t, "first event", func() bool { tick, _ := old.Readable(); return tick > 0 })
		write(t, peer, "x")
		// As the poller would have it in hand:
		stale := uint64(old.gen)<<32 | uint64(old.slot)
		old.Remove()
		closeFD(t, old.FD())
		fd, other := tcpPair(t)
		if fd2, err := unix.Dup(fd); err == nil {
			owns(t, fd2)
		}
		fresh, err := l.Add(fd, false)
		if err != nil {
			t.Fatal(err)
		}
		if fresh.slot != old.slot {
			t.Fatalf("slot %d not reused (%d)", old.slot, fresh.slot)
		}
		if uint64(fresh.gen)<<32|uint64(fresh.slot) == stale {
			t.Fatal("same event data for two sockets")
		}
		before := fresh.state.Load()
		old.deliver(unix.EPOLLIN) // resolved before Remove, delivered after
		if old.state.Load()&bitRemoved == 0 || fresh.state.Load()&^bitUrgent < before&^bitUrgent {
			t.Fatal("stale event changed a state")
		}
		fresh.Remove()
		_ = other
	}
}

// A duplicate keeps the open file alive, so closing the descriptor would not
// end the registration: Remove must.
func TestDupKeptOpenBringsNoEventsAfterRemove(t *testing.T) {
	l := testLoop(t, 16)
	fds := socketpair(t)
	s, err := l.Add(fds[0], false)
	if err != nil {
		t.Fatal(err)
	}
	dup, errno := sys.Dup(fds[0])
	if errno != 0 {
		t.Fatal(errno)
	}
	defer unix.Close(dup)
	var calls atomic.Int64
	arm(t, s, func() { calls.Add(1) })
	s.Remove()
	if s.reader != nil {
		t.Error("waiter kept after Remove")
	}
	if errno := sys.EpollDel(l.epoll.fd, fds[0]); errno != unix.ENOENT {
		t.Errorf("still registered after Remove: %v", errno)
	}
	// Same number, new socket, registered again.
	fresh := socketpair(t)
	if err := unix.Dup3(fresh[0], fds[0], unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	s2, err := l.Add(fds[0], false)
	if err != nil {
		t.Fatal(err)
	}
	defer s2.Remove()
	var calls2 atomic.Int64
	arm(t, s2, func() { calls2.Add(1) })
	write(t, fds[1], "for the old one")
	time.Sleep(20 * time.Millisecond)
	if calls.Load() != 0 || calls2.Load() != 0 {
		t.Fatalf("calls after Remove: old %d, new %d", calls.Load(), calls2.Load())
	}
	write(t, fresh[1], "for the new one")
	exactly(t, &calls2, 1, "ReadReady of the new socket")
}

func TestRemoveAgainstEvents(t *testing.T) {
	l := testLoop(t, 8)
	for range 500 {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		s, err := l.Add(fds[0], false)
		if err != nil {
			t.Fatal(err)
		}
		var calls atomic.Int64
		arm(t, s, func() { calls.Add(1) })
		sent := make(chan struct{})
		go func() { sys.Send(fds[1], []byte("x")); close(sent) }()
		if rand.IntN(2) == 0 {
			runtime.Gosched()
		}
		if !s.Remove() || s.Remove() {
			t.Fatal("the first Remove returns true, the second false")
		}
		if n := calls.Load(); n > 1 {
			t.Fatalf("%d calls", n)
		}
		<-sent // before its descriptor number can be reused
		unix.Close(fds[0])
		unix.Close(fds[1])
	}
	if n := len(l.table.slots) - len(l.table.free); n != 0 {
		t.Errorf("%d slots in use", n)
	}
}

func TestAddRefusesWhatEpollRefuses(t *testing.T) {
	l := testLoop(t, 8)
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := l.Add(int(f.Fd()), false); err == nil {
		t.Error("a regular file was accepted")
	} else if e, ok := err.(*os.SyscallError); !ok || e.Err != syscall.EPERM {
		t.Errorf("error %v", err)
	}
	if n := len(l.table.slots) - len(l.table.free); n != 0 {
		t.Errorf("%d slots in use", n)
	}
}

// A harvest between tasks must empty the kernel's list, however short the event
// array: the poller may be parked and is not woken for what is left.
func TestHarvestBetweenTasksLeavesNothing(t *testing.T) {
	l := quietLoop(t, 4)
	fd := l.epoll.fd
	for n := range 20 {
		if n > 0 {
			pair(t, l)
		}
		w := newWorker(l)
		w.harvestAll(fd) // the first edge of the new one
		for _, e := range l.table.slots {
			// Registering again makes a new edge for every socket.
			sys.EpollDel(fd, e.socket.FD())
			sys.EpollAdd(fd, e.socket.FD(), interest, uint64(e.socket.slot))
		}
		if got := len(w.harvestAll(fd)); got != n {
			t.Errorf("%d events harvested, want %d", got, n)
		}
		if got := len(w.harvestBatch(fd)); got != 0 {
			t.Errorf("%d of %d events left behind", got, n)
		}
	}
}
