package netstream

import (
	"io"
	"net"
	"sync"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// Stream is the asynchronous half of .NET's System.IO.Stream, as NetworkStream overrides it. It is a mirror
// for code that wants to name the contract; it is not meant to be implemented elsewhere.
type Stream interface {
	net.Conn
	CanRead() bool
	CanWrite() bool
	Flush() error
	BeginRead(buffer []byte, offset, size int, callback AsyncCallback, state any) (AsyncResult, error)
	EndRead(ar AsyncResult) (int, error)
	BeginWrite(buffer []byte, offset, size int, callback AsyncCallback, state any) (AsyncResult, error)
	EndWrite(ar AsyncResult) error
}

var _ Stream = (*NetworkStream)(nil)

// NetworkStream is an asynchronous stream over a connection; it mirrors System.Net.Sockets.NetworkStream and is
// a net.Conn. All methods may be called from any goroutine, callbacks included, at any time, after Close too.
//
// The package documentation holds the promises. In short: Begin never blocks, writes go out whole and in Begin
// order, a completion means that the kernel has every byte, each Begin completes exactly once, and a buffer is
// lent from Begin until its operation has completed.
type NetworkStream struct {
	// Constant after construction.
	config *Config
	addresses
	socket Socket
	owner  owner // its address names this stream in operations

	// mu guards everything below that does not say otherwise. While it is held only leaves are locked (a Group's limits, a
	// wakeup, a ManualResetEvent), no system call is made and no foreign code runs. Lock order: see Group.mu.
	mu        sync.Mutex
	todo      todo              // what is left to do when mu is given up, see life_gate.go
	residence residence         // which engine it is on, see engine_move.go
	next      nextTurn          // what the stream's loop is to go on with
	transport engine.Connection // replaced once, by the owner of both directions, when the stream moves to the loop
	moved     *moveResult       // nil until a move has left something behind

	life life // see life.go

	health

	read  readQueue
	write writeQueue

	counters *counters // apart from the stream: its group needs them for longer
}

// CanRead reports whether the stream was built for reading and has not been closed. It says nothing about the
// health of the connection, as in .NET.
func (s *NetworkStream) CanRead() bool { return s.config.Access != AccessWrite && s.isOpen() }

// CanWrite reports whether the stream was built for writing and has not been closed. It says nothing about
// the health of the connection, as in .NET.
func (s *NetworkStream) CanWrite() bool { return s.config.Access != AccessRead && s.isOpen() }

// CanSeek is always false.
func (s *NetworkStream) CanSeek() bool { return false }

// CanTimeout is always true, after Close too.
func (s *NetworkStream) CanTimeout() bool { return true }

func (s *NetworkStream) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.life.closed()
}

// Flush does nothing and succeeds, on a closed stream too, as in .NET: nothing is buffered here. To wait for
// begun writes, use [NetworkStream.Drain].
func (s *NetworkStream) Flush() error { return nil }

// Socket returns the connection below the stream, the same object at every call and after Close too.
func (s *NetworkStream) Socket() *Socket { return &s.socket }

// LocalAddr returns the local address, as it was when the stream took the connection over.
func (s *NetworkStream) LocalAddr() net.Addr { return s.localAddr() }

// RemoteAddr returns the peer's address, as it was when the stream took the connection over.
func (s *NetworkStream) RemoteAddr() net.Addr { return s.remoteAddr() }

// DataAvailable reports whether a read would get at least one byte at once. It is false at the end of the
// stream and after a reset, so it cannot be used to see a disconnect. Over a connection that is only a net.Conn a byte
// counts only after a zero-byte read has looked. Errors: closed stream or socket.
func (s *NetworkStream) DataAvailable() (bool, error) {
	t, err := s.enter()
	if err != nil {
		return false, s.opError("read", &IOError{Err: err})
	}
	defer s.leave()
	s.lookAhead()
	n, err := t.Available()
	if err != nil {
		return false, s.opError("read", &IOError{Err: classify("ioctl", err)})
	}
	return n > 0, nil
}

// Done returns a channel that is closed when the stream has been closed, every operation has completed and
// every callback has returned.
func (s *NetworkStream) Done() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life.done()
}

// Err returns nil while the stream is open. After Close it says why the stream ended: the cause given to
// CloseWithError, ErrQueueFull for OverflowClose, the failure that broke the connection or tore the stream, over TLS also
// a handshake that failed or what ended both directions, or net.ErrClosed. Use errors.Is and errors.As.
func (s *NetworkStream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.errLocked()
}

func (s *NetworkStream) errLocked() error {
	switch {
	case !s.life.closed():
		return nil
	case s.life.end.cause != nil:
		return s.life.end.cause
	case s.dead != nil:
		return s.dead
	case s.fatal() != nil:
		return s.fatal()
	}
	if t := s.write.tear; t != nil && (t.failure.Torn || t.failure.Err != s.life.end.streamErr) { // else Close has lost posts
		return t.failure
	}
	return net.ErrClosed
}

// ReadTimeout returns the limit of blocking reads; Infinite (-1) when there is none.
func (s *NetworkStream) ReadTimeout() time.Duration { return s.timeout(&s.read.side) }

// WriteTimeout returns the limit of blocking writes; Infinite (-1) when there is none.
func (s *NetworkStream) WriteTimeout() time.Duration { return s.timeout(&s.write.side) }

// SetReadTimeout limits blocking reads that start from now on. Begin and End are never affected, as in .NET; use
// SetReadDeadline for those. d is Infinite or positive, anything else is an [*ArgumentOutOfRangeError]
// named "value", on a closed stream too. After Close it fails with a chain that matches net.ErrClosed.
func (s *NetworkStream) SetReadTimeout(d time.Duration) error {
	return s.setTimeout(&s.read.side, d)
}

// SetWriteTimeout limits blocking writes that start from now on, waiting behind other writes included. Begin
// and End are never affected, as in .NET. d and the errors are those of [NetworkStream.SetReadTimeout].
func (s *NetworkStream) SetWriteTimeout(d time.Duration) error {
	return s.setTimeout(&s.write.side, d)
}

func (s *NetworkStream) timeout(d *side) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := d.timeout(); limit != 0 {
		return limit
	}
	return Infinite
}

func (s *NetworkStream) setTimeout(of *side, d time.Duration) error {
	if d <= 0 && d != Infinite {
		return &ArgumentOutOfRangeError{ParamName: "value", ActualValue: d}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.life.disposed(); err != nil {
		return s.opError("set", &IOError{Err: err})
	}
	of.rarely().timeout = max(d, 0)
	return nil
}

// opError makes the error a caller sees. An *InvalidOperationError and io.EOF are returned as they are.
func (s *NetworkStream) opError(op string, err error) error {
	if err == nil { // nearly always, so this much is inlined
		return nil
	}
	return s.wrap(op, err)
}

func (s *NetworkStream) wrap(op string, err error) error {
	if err == io.EOF {
		return err
	}
	switch e := err.(type) {
	case *InvalidOperationError:
		return e
	case *ObjectDisposedError:
		err = &IOError{Err: e}
	}
	return opErrorBetween(op, s.ends(), err)
}

// checkRange checks the arguments of Begin in .NET's order: buffer, then offset, then size.
func checkRange(buffer []byte, offset, size int) error {
	switch {
	case buffer == nil:
		return &ArgumentNullError{ParamName: "buffer"}
	case offset < 0 || offset > len(buffer):
		return &ArgumentOutOfRangeError{ParamName: "offset", ActualValue: offset}
	case size < 0 || size > len(buffer)-offset:
		return &ArgumentOutOfRangeError{ParamName: "size", ActualValue: size}
	}
	return nil
}
