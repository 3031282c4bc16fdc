package loop

import (
	"os"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// grace is how long a loop waits, with nothing registered, for another socket
// before it ends: between one and two of it pass. Starting again costs some
// 20 microseconds, so with a connection now and then it does not matter; tests
// that look for goroutines left over look for longer (goleak for 0.4 s).
const grace = 100 * time.Millisecond

// epoll is the epoll descriptor of a loop, from its start to its end.
type epoll struct {
	fd   int             // constant; for whoever is between enter and exit
	file *os.File        // constant: owns fd, registered with the runtime's poller
	conn syscall.RawConn // constant: of file
}

func newEpoll() (*epoll, error) {
	fd, errno := sys.EpollCreate()
	if errno != 0 {
		return nil, os.NewSyscallError("epoll_create1", errno)
	}
	// os.NewFile registers a descriptor with the runtime's poller only if it
	// finds it in non-blocking mode (os/file_unix.go, kindNonBlock).
	if errno := sys.SetNonblock(fd); errno != 0 {
		sys.Close(fd)
		return nil, os.NewSyscallError("fcntl", errno)
	}
	file := os.NewFile(uintptr(fd), "netstream-epoll")
	conn, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, err
	}
	return &epoll{fd: fd, file: file, conn: conn}, nil
}

// enter counts a socket that is about to be registered, and starts the loop if
// it has ended. It does not end before exit.
func (l *Loop) enter() error {
	if l.join(nil) != nil {
		return nil
	}
	fresh, err := newEpoll() // not under mu
	if err != nil {
		return err
	}
	if l.join(fresh) != fresh { // somebody else has started it meanwhile
		fresh.file.Close()
	}
	return nil
}

// join counts a socket and returns what to register it with. If the loop has
// ended, join starts it with fresh; without one it returns nil.
func (l *Loop) join(fresh *epoll) *epoll {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.epoll == nil {
		if fresh == nil {
			return nil
		}
		l.epoll = fresh
		l.startPollerLocked()
	}
	l.sockets++
	l.joined = true
	return l.epoll
}

// exit takes back what enter counted. The last one out has the poller look, a
// grace later, whether it is needed.
func (l *Loop) exit() {
	l.mu.Lock()
	e := l.epoll
	l.sockets--
	last := l.sockets == 0 && !l.ending
	if last {
		l.ending, l.joined = true, false
	}
	l.mu.Unlock()
	if last {
		e.setDeadline(l.grace)
	}
}

func (e *epoll) setDeadline(d time.Duration) {
	_ = e.file.SetReadDeadline(time.Now().Add(d)) // it fails when e is closed, which is well
}

// retire ends the loop if nothing has been registered for a whole grace. The
// poller calls it when a deadline of its descriptor has passed. From the exit
// that has set the first one until the poller has found sockets again, nobody
// but the poller sets one, so none is lost.
func (l *Loop) retire(e *epoll) (ended bool) {
	_ = e.file.SetReadDeadline(time.Time{})
	l.mu.Lock()
	switch {
	case l.sockets > 0:
		l.ending = false
		l.mu.Unlock()
		return false
	case l.joined: // and gone again since
		l.joined = false
		l.mu.Unlock()
		e.setDeadline(l.grace)
		return false
	}
	l.epoll, l.poller, l.ending = nil, nil, false
	l.mu.Unlock()
	e.file.Close() // a runner may be harvesting: the descriptor is closed when it has left
	return true
}
