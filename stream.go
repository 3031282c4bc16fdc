package netstream

import (
	"io"
	"net"
	"sync"
	"time"
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

	// mu guards everything below that does not say otherwise. Only a Group's mu is locked while it is held; no system
	// call is made and no foreign code runs.
	mu        sync.Mutex
	todo      todo      // what is left to do when mu is given up, see gate.go
	canMove   bool      // EngineAuto: still portable, may move to the loop
	moving    bool      // both directions are being parked for the move
	next      nextTurn  // what the stream's loop is to go on with
	transport transport // replaced once, by the owner of both directions, when the stream moves to the loop
	retired   *portable // the transport the stream has moved away from, as long as somebody is in a call on it

	// The gate; see gate.go.
	users        int32 // calls that use the transport outside both directions
	closed       bool  // by Close and its like
	closing      bool  // CloseTimeout is draining: no more writes
	socketClosed bool  // by Socket().Close
	releasing    bool  // somebody gives the transport up, or has
	released     bool
	finished     bool // everything is over; somebody closes done, or has
	doneTold     bool // done is closed, or would be
	resetIfLost  bool // CloseTimeout: the connection is reset if anything was not sent
	end          *end // nil as long as nobody closes, or asks for Done

	deadIn     bool         // dead ends the reading too
	shutRead   bool         // the reading half was shut down by us
	lingerZero bool         // SetLinger(0): the end is a reset
	dead       *SocketError // first hard failure of the connection; the inbound side never shows a clean end after it

	read  opQueue
	write writeQueue

	readTimeout, writeTimeout time.Duration // of blocking calls; 0: none
	counters                  *counters     // apart from the stream, which its group outlives
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
	return !s.closed
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
// stream and after a reset, so it cannot be used to see a disconnect. Connections without a descriptor know
// of a byte only after a zero-byte read has looked. Errors: closed stream or socket.
func (s *NetworkStream) DataAvailable() (bool, error) {
	t, err := s.enter()
	if err != nil {
		return false, s.opError("read", &IOError{Err: err})
	}
	defer s.leave()
	n, err := t.available()
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
	e := s.endLocked()
	if e.done == nil {
		e.done = make(chan struct{})
		if s.doneTold {
			close(e.done)
		}
	}
	return e.done
}

// Err returns nil while the stream is open. After Close it says why the stream ended: the cause given to
// CloseWithError, ErrQueueFull for OverflowClose, the failure that broke the connection or tore the stream,
// or net.ErrClosed. Use errors.Is and errors.As.
func (s *NetworkStream) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case !s.closed:
		return nil
	case s.end.cause != nil:
		return s.end.cause
	case s.dead != nil:
		return s.dead
	case s.write.torn != nil:
		return s.write.torn
	}
	return net.ErrClosed
}

// ReadTimeout returns the limit of blocking reads; Infinite (-1) when there is none.
func (s *NetworkStream) ReadTimeout() time.Duration { return s.timeout(&s.readTimeout) }

// WriteTimeout returns the limit of blocking writes; Infinite (-1) when there is none.
func (s *NetworkStream) WriteTimeout() time.Duration { return s.timeout(&s.writeTimeout) }

// SetReadTimeout limits blocking reads that start from now on. Begin and End are never affected, as in .NET; use
// SetReadDeadline for those. d is Infinite or positive, anything else is an [*ArgumentOutOfRangeError]
// named "value", on a closed stream too.
func (s *NetworkStream) SetReadTimeout(d time.Duration) error {
	return s.setTimeout(&s.readTimeout, d)
}

// SetWriteTimeout limits blocking writes that start from now on, waiting behind other writes included. Begin
// and End are never affected, as in .NET. d is Infinite or positive.
func (s *NetworkStream) SetWriteTimeout(d time.Duration) error {
	return s.setTimeout(&s.writeTimeout, d)
}

func (s *NetworkStream) timeout(field *time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *field == 0 {
		return Infinite
	}
	return *field
}

func (s *NetworkStream) setTimeout(field *time.Duration, d time.Duration) error {
	if d <= 0 && d != Infinite {
		return &ArgumentOutOfRangeError{ParamName: "value", ActualValue: d}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.disposedLocked(); err != nil {
		return s.opError("set", &IOError{Err: err})
	}
	*field = max(d, 0)
	return nil
}

// opError makes the error a caller sees. State errors are returned as they are.
func (s *NetworkStream) opError(op string, err error) error {
	if err == nil || err == io.EOF {
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

// checkRange holds the arguments of Begin to the page: buffer, then offset, then size.
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
