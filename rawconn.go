package netstream

import (
	"context"
	"syscall"
)

var (
	_ syscall.Conn = (*NetworkStream)(nil)
	_ syscall.Conn = (*Socket)(nil)
)

// SyscallConn gives access to the descriptor, as that of a *net.TCPConn does; it implements syscall.Conn. Drivers that
// keep connections use it to see whether one is still good.
//
// Control calls its function at any time. Read and Write call theirs until it returns true, waiting for something to read,
// or for room, in between. They are calls of their direction like any other: they wait until no operation of it is
// pending, what is begun meanwhile waits for them, and the stream's deadlines, Close and Access hold for them; the
// timeouts of blocking calls do not. A stream that moves to the loop takes them with it: the descriptor is a new one
// then, so do not keep it. It stays the stream's: do not close it, and do not close the stream from inside the
// function, which Close waits for.
//
// A connection without a descriptor (a Pipe, TLS) has an error that wraps errors.ErrUnsupported. Some programs take that
// for a dead connection, where they leave one alone that is no syscall.Conn: go-sql-driver/mysql does unless
// checkConnLiveness is off. A stream below TLS has a descriptor.
func (s *NetworkStream) SyscallConn() (syscall.RawConn, error) { return s.socket.SyscallConn() }

// SyscallConn is the stream's [NetworkStream.SyscallConn].
func (k *Socket) SyscallConn() (syscall.RawConn, error) {
	if err := k.do("raw", func(t transport) error { return t.control(func(uintptr) {}) }); err != nil {
		return nil, err
	}
	return rawSocket{k}, nil
}

// rawSocket is the RawConn of a stream's socket. It always goes to the transport the stream has at that time.
type rawSocket struct{ socket *Socket }

func (r rawSocket) Control(f func(fd uintptr)) error {
	return r.socket.do("raw-control", func(t transport) error { return t.control(f) })
}

func (r rawSocket) Read(f func(fd uintptr) (done bool)) error {
	s := r.socket.stream
	return s.opError("raw-read", s.rawCall(dirRead, f))
}

func (r rawSocket) Write(f func(fd uintptr) (done bool)) error {
	s := r.socket.stream
	return s.opError("raw-write", s.rawCall(dirWrite, f))
}

// rawCall has f called until it returns true. An interrupt that nobody of this direction asked for, as for a move, is no
// reason to end.
func (s *NetworkStream) rawCall(d direction, f func(fd uintptr) bool) error {
	for {
		t, turn, err := s.ownRaw(d)
		if err != nil {
			return err
		}
		if err = s.callRaw(t, d, turn, f); err != errInterrupted {
			return err
		}
	}
}

// ownRaw waits until nothing of the direction is pending and makes the caller its owner.
func (s *NetworkStream) ownRaw(d direction) (t transport, turn uint32, err error) {
	q := &s.read
	s.mu.Lock()
	if d == dirRead {
		err = s.refuseBlockingReadLocked(context.Background(), 1)
	} else {
		q = &s.write.opQueue
		err = s.refuseBlockingWriteLocked(context.Background(), true, 1)
	}
	switch {
	case err != nil:
	case q.idleLocked():
		q.busy, q.waiting = true, true
	default:
		op := newOperation(&s.owner, kindRead, nil, nil)
		op.blocking = true
		q.turns.pushBack(op)
		s.mu.Unlock()
		_, err = op.waited(nil) // handed over, see restLocked
		s.mu.Lock()
	}
	t, turn = s.transport, q.turn
	s.mu.Unlock()
	return t, turn, err
}

// callRaw makes the owner's call and gives the direction up, even if f panics or ends its goroutine.
func (s *NetworkStream) callRaw(t transport, d direction, turn uint32, f func(fd uintptr) bool) (err error) {
	defer func() { err = s.disownRaw(d, err) }()
	return t.rawCall(d, turn, f)
}

func (s *NetworkStream) disownRaw(d direction, err error) error {
	q := &s.read
	if d == dirWrite {
		q = &s.write.opQueue
	}
	s.mu.Lock()
	cut := q.cutAll
	s.mu.Unlock()
	if d == dirRead {
		s.serveReads(attempt{}, nil, ownRead)
	} else {
		s.resumeWrite(attempt{})
	}
	switch {
	case err == nil, err == errInterrupted && cut == nil:
		return err
	case err == errInterrupted:
		return &IOError{Err: cut}
	}
	return &IOError{Err: classify("", err)}
}
