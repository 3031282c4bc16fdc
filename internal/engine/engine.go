// Package engine moves the bytes of one connection. It has the seam between a stream and what stands below it, and the
// engines behind that seam: epoll (a descriptor on a loop), portable (any net.Conn) and the two ends of a pipe in memory.
// Queues, limits, deadlines, order, closing and callbacks are written once, above the seam.
//
// An engine knows whom it works for only as an [Owner]. So an engine can own another engine and stand on it.
//
// # Contract
//
// The owner never has more than one read and one write under way. Errors are raw: an errno, a foreign connection's error,
// io.EOF, or one of this package's; the owner puts them into its own terms.
//
// A Try method makes one attempt and never waits. A Start method that returns true begins a wait, or an operation,
// that ends with exactly one call of the Owner, from any goroutine, with no lock held and never from inside Start. That call
// may bring fewer bytes than were given, none included: the owner goes on from the exact byte.
//
// An id names one wait or call of a direction, so that a late Cancel cannot hit the next one. The owner counts it up for
// each of them.
package engine

import (
	"errors"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
)

// Direction names one half of a connection.
type Direction uint8

// The two directions.
const (
	Read Direction = iota
	Write
)

var (
	// ErrWouldBlock is the answer of an attempt when nothing can be done now. It never means that something cannot be done
	// at all: a trait or errors.ErrUnsupported says that.
	ErrWouldBlock = errors.New("netstream: would block")

	// ErrInterrupted ends a wait or a call that was cancelled, or is over without a result: try again from the exact byte.
	ErrInterrupted = errors.New("netstream: interrupted")
)

// Ending says how a connection is given up.
type Ending uint8

// The ways to end a connection.
const (
	Orderly Ending = iota // FIN, after everything the kernel accepted was delivered
	Reset                 // RST: what was sent must not look whole
	Keep                  // the connection goes back to the caller, open
)

// Task is work that Post runs.
type Task = loop.Task

// Batch is work that is held back, to be posted together.
type Batch = loop.Batch

// Owner is told what becomes of what it has started: a stream, or an engine that stands on another one. The calls come
// from any goroutine, with no lock of the engine held.
type Owner interface {
	// ReadReturned is the one call after a StartRead that returned true.
	ReadReturned(n int, err error)
	// WriteReturned is the one call after a StartWrite or a StartCloseWrite (n is 0) that returned true. With Traits.Holds,
	// n bytes are done and none are taken.
	WriteReturned(n int, err error)
	// WantWrite says that Held became true outside TryWrite. Only engines that hold bytes of their own call it.
	WantWrite()
	// Closed says that the connection has been given up, after Close.
	Closed()
	// Abandoned says that a call does not come back from a foreign connection, although it was cancelled for good and the
	// connection was closed under it. Nobody should wait for Closed any longer; what the call was lent stays lent. If it
	// comes back after all, everything goes on as usual.
	Abandoned()
}

// Transport moves bytes.
type Transport interface {
	// Traits never changes. It is read only.
	Traits() *Traits

	// TryRead takes what is there. An empty p asks whether something is: (0, nil) for data, io.EOF at the end.
	TryRead(p []byte) (n int, err error)
	// TryWrite sends a prefix of the vectors, which start at the first byte that has not been taken. An empty vector alone is
	// a zero-length send, which can fail. taken bytes are sent, or held, and must not be offered again. done bytes are in
	// the kernel, counted from the oldest byte that is not; an engine that holds nothing returns the same count twice, and
	// only one that holds bytes returns ErrWouldBlock beside a count.
	TryWrite(vectors [][]byte) (taken, done int, err error)
	// Held reports whether the engine has bytes that wait for the kernel. An engine that keeps no bytes says false.
	Held() bool

	// StartRead and StartWrite wait or work in the background. False: something has changed, try again.
	StartRead(id uint32, p []byte) bool
	StartWrite(id uint32, vectors [][]byte) bool

	// ReadThrough and WriteThrough may block, and return what Start would tell the Owner. Where that does not pay, see
	// Traits.Through, they return ErrInterrupted at once. When the connection's own code ends the goroutine, or panics,
	// ReadReturned or WriteReturned is called in the caller's place.
	ReadThrough(id uint32, p []byte) (n int, err error)
	WriteThrough(id uint32, vectors [][]byte) (n int, err error)

	// Cancel asks the wait or call of that id to come back, with its exact count; it may be about to begin. final says that
	// the owner has closed: then a foreign connection whose call does not come back is closed under it.
	Cancel(d Direction, id uint32, final bool)

	// Post has t run soon, on another goroutine than the caller's.
	Post(t Task)
	// Hold is Post, at the time when b is handed over. It takes no lock and runs nothing.
	Hold(b *Batch, t Task)
	// MayPush takes one of the sends that callers may make in a moment without being asked for: at most that many in each
	// millisecond for each loop. It is always true where no loop could send in the caller's place. It takes no lock.
	MayPush(most uint8) bool

	// Close gives the connection up; Owner.Closed follows, perhaps from inside. Nothing is under way and nothing will be
	// started.
	Close(how Ending)
}

// Traits are the constant facts about a transport.
type Traits struct {
	TriesWrite bool    // TryWrite can send; else it never does anything, and only StartWrite and WriteThrough do
	OnlyWaits  [2]bool // by direction: Start only waits for readiness, keeps nothing that it was given, and returns no bytes
	Holds      bool    // it has bytes of its own that wait for the kernel, see Held
	Through    bool    // ReadThrough and WriteThrough do something
	Socket     bool    // the stream's bytes are those of a descriptor, so sendfile and splice may use that
	Halves     bool    // the writing half can be ended alone
	Joining    Joining // what is copied together for StartWrite and WriteThrough
}

// Joining says what may share one Write of a connection that takes one slice at a time. Its StartWrite uses that slice
// until it has returned; any other only waits.
type Joining uint8

// The kinds of Joining.
const (
	JoinNothing Joining = iota // WriteThrough takes vectors
	JoinPieces                 // the pieces of one operation: a Write may be a message
	JoinAll                    // whatever is queued
)

// Endpoint is asked about a connection, and set. What it cannot do is errors.ErrUnsupported.
type Endpoint interface {
	// Available is the number of bytes a read would get at once, Unacknowledged that of bytes the peer has not acknowledged.
	Available() (int, error)
	Unacknowledged() (int, error)
	// SawReset reports whether the connection has ended without an orderly end of the peer's stream.
	SawReset() bool

	// Control runs f on the descriptor.
	Control(f func(fd uintptr)) error
	// RawCall has f called with the descriptor until it returns true, waiting for readiness in between. The caller owns the
	// direction.
	RawCall(d Direction, id uint32, f func(fd uintptr) (done bool)) error
	// Set changes a setting.
	Set(s Setting, value int) error

	CloseRead() error
	// CloseWrite ends the writing half behind what was written. StartCloseWrite does that where it may block, and
	// WriteReturned(0, err) follows; false: it does not block, call CloseWrite.
	CloseWrite() error
	StartCloseWrite(id uint32) bool
}

// Connection is what an engine is to a stream.
type Connection interface {
	Transport
	Endpoint
}

// Setting names a setting of a connection.
type Setting uint8

// The settings. Booleans are 0 and 1.
const (
	NoDelay Setting = iota
	Linger          // in seconds; negative: off
	KeepAlive
	ReadBuffer
	WriteBuffer
	NotSentLowWater // in bytes; 0: the system's own
)

// Options are what an engine has to know about its owner's choices.
type Options struct {
	LeaveOpen bool // Keep goes back to somebody who goes on using the connection
	Gather    bool // writes may share one Write of a connection of an unknown type
	// ResetOnClose has the Close of a connection that the engine does not know be a reset, if it can. Nil: none can.
	ResetOnClose func(conn any)
}

// BrokenError ends a connection that has broken the rules of a net.Conn. It is the answer to every call from then on.
type BrokenError struct {
	Why error // what it did
}

// Error says what the connection did.
func (e *BrokenError) Error() string { return e.Why.Error() }

// Unwrap returns Why.
func (e *BrokenError) Unwrap() error { return e.Why }
