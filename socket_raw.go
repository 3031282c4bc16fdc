package netstream

import (
	"errors"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
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
// A connection without a descriptor (a Pipe, TLS, a wrapper) passes for one of which nothing is known: Read returns at once
// without calling its function, nil unless the stream has been closed or has failed, or its read deadline has passed. So
// the checks of go-sql-driver/mysql and go-redis leave such a connection alone, as one that is no syscall.Conn, where an
// error would have them throw it away. Control and Write fail with an error that wraps errors.ErrUnsupported, and so does
// [Socket.SyscallConn], which tells the two kinds apart. A stream below TLS has a descriptor. One that is
// encrypted itself ([Config].TLS) has that of the connection below for Control alone: Read and Write are as without one,
// since the bytes there are not the stream's.
func (s *NetworkStream) SyscallConn() (syscall.RawConn, error) {
	raw, err := s.socket.SyscallConn()
	if errors.Is(err, errors.ErrUnsupported) {
		return noDescriptor{&s.socket}, nil
	}
	return raw, err
}

// SyscallConn is the stream's [NetworkStream.SyscallConn], except that it fails for a connection without a descriptor.
func (k *Socket) SyscallConn() (syscall.RawConn, error) {
	encrypted := false
	if err := k.do("raw", func(t engine.Connection) error {
		encrypted = t.Traits().Holds
		return t.Control(func(uintptr) {})
	}); err != nil {
		return nil, err
	}
	if encrypted {
		return noDescriptor{k}, nil
	}
	return rawSocket{k}, nil
}

// rawSocket is the RawConn of a stream's socket. It always goes to the transport the stream has at that time.
type rawSocket struct{ socket *Socket }

func (r rawSocket) Control(f func(fd uintptr)) error {
	return r.socket.do("raw-control", func(t engine.Connection) error { return t.Control(f) })
}

func (r rawSocket) Read(f func(fd uintptr) (done bool)) error {
	s := r.socket.stream
	return s.opError("raw-read", rawCall{s, engine.Read}.run(f))
}

func (r rawSocket) Write(f func(fd uintptr) (done bool)) error {
	s := r.socket.stream
	return s.opError("raw-write", rawCall{s, engine.Write}.run(f))
}

// noDescriptor is the RawConn of a stream whose bytes are not those of a descriptor.
type noDescriptor struct{ socket *Socket }

func (r noDescriptor) Control(f func(fd uintptr)) error {
	return r.socket.do("raw-control", func(t engine.Connection) error { return t.Control(f) })
}

// Read tells what the stream knows. Calling the function with some other descriptor would have it read there.
func (r noDescriptor) Read(func(fd uintptr) (done bool)) error {
	s := r.socket.stream
	s.mu.Lock()
	err := s.refuseBlockingReadLocked(nil, 1)
	if err == nil && s.dead != nil {
		err = &IOError{Err: s.dead}
	}
	s.mu.Unlock()
	return s.opError("raw-read", err)
}

func (r noDescriptor) Write(func(fd uintptr) (done bool)) error {
	return r.socket.do("raw-write", func(engine.Connection) error { return errors.ErrUnsupported })
}

// rawCall is a call of rawSocket on one direction.
type rawCall struct {
	stream    *NetworkStream
	direction engine.Direction
}

// run has f called until it returns true. An interrupt that nobody of this direction asked for, as for a move, is no
// reason to end.
func (r rawCall) run(f func(fd uintptr) bool) error {
	for {
		t, id, err := r.own()
		if err != nil {
			return err
		}
		if err = r.call(t, id, f); err != engine.ErrInterrupted {
			return err
		}
	}
}

// side returns the direction of the call, and whether nothing of it is pending.
func (r rawCall) side() (d *side, idle bool) {
	s := r.stream
	if r.direction == engine.Read {
		return &s.read.side, s.read.idle()
	}
	return &s.write.side, s.write.idle()
}

// refusal makes the checks of a blocking call.
func (r rawCall) refusal() error {
	if r.direction == engine.Read {
		return r.stream.refuseBlockingReadLocked(nil, 1)
	}
	return r.stream.refuseBlockingWriteLocked(nil, byResumable, 1)
}

// own waits until nothing of the direction is pending and makes the caller its owner.
func (r rawCall) own() (t engine.Connection, id uint32, err error) {
	s := r.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := r.refusal(); err != nil {
		return nil, 0, err
	}
	d, idle := r.side()
	if idle {
		d.phase = waiting
		return s.transport, d.id, nil
	}
	op := newOperation(&s.owner, kindRead, nil, nil)
	op.caller = byBlocking
	d.rarely().raws.pushBack(op)
	s.mu.Unlock()
	_, err = op.waited(nil) // handed over, see rest
	s.mu.Lock()
	return s.transport, d.id, err
}

// call makes the owner's call and gives the direction up, even if f panics or ends its goroutine.
func (r rawCall) call(t engine.Connection, id uint32, f func(fd uintptr) bool) (err error) {
	defer func() { err = r.disown(err) }()
	return t.RawCall(r.direction, id, f)
}

func (r rawCall) disown(err error) error {
	s := r.stream
	s.mu.Lock()
	d, _ := r.side()
	cut := d.stopReason()
	s.mu.Unlock()
	if r.direction == engine.Read {
		s.serveReads(nothing, nil, ownRead)
	} else {
		s.flush(nothing)
	}
	switch {
	case err == nil, err == engine.ErrInterrupted && cut == nil:
		return err
	case err == engine.ErrInterrupted:
		return &IOError{Err: cut}
	}
	return &IOError{Err: classify("", err)}
}
