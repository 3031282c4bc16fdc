package engine

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// tlsBelow is what a *tls.Conn takes for its connection: the two buffers of a TLS.
//
//   - Without input, Read returns os.ErrDeadlineExceeded itself. crypto/tls does not keep a timeout of a Read, and returns
//     the very same error. net/http relies on reading on after a deadline.
//   - The end of the input is an error of this package. crypto/tls takes io.EOF and io.ErrUnexpectedEOF at the border of
//     a record for a clean end, and does not keep a temporary error such as syscall.ETIMEDOUT.
//   - Write fails in a handshake that was interrupted, and never later: crypto/tls would keep the failure, and answer reads
//     with it.
//   - Deadlines do nothing: the CloseWrite of crypto/tls sets them.
//   - Close only interrupts a handshake. HandshakeContext calls it, perhaps after it has returned.
type tlsBelow TLS

var _ net.Conn = (*tlsBelow)(nil)

// errBelow stands for TLS.below inside crypto/tls.
var errBelow = errors.New("netstream: the connection below TLS has ended")

func (b *tlsBelow) Read(p []byte) (int, error) {
	t := (*TLS)(b)
	if h := t.shaking.Load(); h != nil {
		return h.read(p)
	}
	return t.takeInput(p)
}

func (b *tlsBelow) Write(p []byte) (int, error) {
	t := (*TLS)(b)
	if h := t.shaking.Load(); h != nil {
		if h.wasInterrupted() { // a peer that got this flight might take the handshake for a success
			return 0, errHandshakeInterrupted
		}
		t.mu.Lock() // later whoever calls crypto/tls holds it
		defer t.mu.Unlock()
	}
	t.keep(p)
	return len(p), nil
}

func (b *tlsBelow) Close() error {
	if h := b.shaking.Load(); h != nil {
		h.interrupt()
	}
	return nil
}

func (b *tlsBelow) LocalAddr() net.Addr              { return b.options.Ends.LocalAddr() }
func (b *tlsBelow) RemoteAddr() net.Addr             { return b.options.Ends.RemoteAddr() }
func (b *tlsBelow) SetDeadline(time.Time) error      { return nil }
func (b *tlsBelow) SetReadDeadline(time.Time) error  { return nil }
func (b *tlsBelow) SetWriteDeadline(time.Time) error { return nil }

// SyscallConn lets callbacks of a tls.Config look at the descriptor, as they can with net's connections.
func (b *tlsBelow) SyscallConn() (syscall.RawConn, error) { return controlOnly{b.options.Ends}, nil }

// controlOnly is a RawConn for looking at a descriptor.
type controlOnly struct{ Ends }

func (controlOnly) Read(func(fd uintptr) bool) error  { return errors.ErrUnsupported }
func (controlOnly) Write(func(fd uintptr) bool) error { return errors.ErrUnsupported }

// takeInput gives crypto/tls what has come from below.
func (t *TLS) takeInput(p []byte) (int, error) {
	switch {
	case !t.in.empty():
		return t.in.take(p), nil
	case t.below != nil:
		return 0, errBelow
	}
	return 0, os.ErrDeadlineExceeded
}

// belowError is what the end of the input below means to the reader: without close_notify it is no end.
func (t *TLS) belowError() error {
	if t.below == io.EOF && !t.noInput.Load() {
		return io.ErrUnexpectedEOF
	}
	return t.below
}

const (
	// inputBytes is how much is taken from below at once: a record and the beginning of the next one, or several.
	inputBytes = 32 << 10
	// lentBytes is the size of the buffer for a wait that needs one: a short message, so that many can wait.
	lentBytes = 2 << 10
)

var (
	inputs = sync.Pool{New: func() any { return new([inputBytes]byte) }}
	lents  = sync.Pool{New: func() any { return new([lentBytes]byte) }}
)

// input is what has come from below and crypto/tls has not taken. Its memory comes from a pool, and goes back when it is
// empty.
type input struct {
	bytes []byte // not taken yet
	large *[inputBytes]byte
	lent  *[lentBytes]byte
	full  bool // the last read filled its buffer: there is probably more
}

func (in *input) empty() bool { return len(in.bytes) == 0 }

// room returns where the next read goes. It is called when there is no input.
func (in *input) room(large bool) []byte {
	if large {
		in.large = inputs.Get().(*[inputBytes]byte)
		return in.large[:]
	}
	in.lent = lents.Get().(*[lentBytes]byte)
	return in.lent[:]
}

// filled notes that n bytes were read into the room, which may have been nil.
func (in *input) filled(n int) {
	switch {
	case in.large != nil:
		in.bytes, in.full = in.large[:n], n == inputBytes
	case in.lent != nil:
		in.bytes, in.full = in.lent[:n], n == lentBytes
	}
	if n == 0 {
		in.giveBack()
	}
}

func (in *input) take(p []byte) int {
	n := copy(p, in.bytes)
	in.bytes = in.bytes[n:]
	if len(in.bytes) == 0 {
		in.giveBack()
	}
	return n
}

func (in *input) giveBack() {
	in.bytes = nil
	if in.large != nil {
		inputs.Put(in.large)
		in.large = nil
	}
	if in.lent != nil {
		lents.Put(in.lent)
		in.lent = nil
	}
}
