package netstream

import (
	"errors"
	"io"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
)

// direction names one half of a connection.
type direction uint8

const (
	dirRead direction = iota
	dirWrite
)

// errWouldBlock is what a transport's try methods return when nothing can be done now.
var errWouldBlock error = errors.New("netstream: would block")

// errInterrupted completes a wait or a blocking call that was cancelled. The stream knows why it asked; if it
// did not ask, it just goes on from the exact byte.
var errInterrupted error = errors.New("netstream: interrupted")

// outcome puts the error of a transport's answer into the contract's terms. It asks foreign errors what they are, so it
// is called without mu.
func outcome(call string, err error) error {
	if err == nil || err == io.EOF || err == errInterrupted || err == errWouldBlock {
		return err
	}
	return classify(call, err)
}

// ending says how a connection is given up.
type ending uint8

const (
	endOrderly ending = iota // FIN, after everything the kernel accepted was delivered
	endReset                 // RST: what was sent must not look whole
	endKeep                  // LeaveOpen: the connection goes back to the caller
)

// A transport moves the bytes of one connection. It is the only seam between the stream and the engines:
// queues, limits, deadlines, cancelling, closing and callbacks are written once, above it.
//
// The stream never has more than one read and one write under way in a transport. Errors are the raw ones (an
// errno, a foreign connection's error, io.EOF); the stream wraps them.
//
// The try methods never wait. The start methods begin a wait, or an operation, that ends with exactly one
// later call of stream.readReturned or stream.writeReturned, from any goroutine, with no lock held and never
// from inside start. That call may bring fewer bytes than were given, none included: the stream continues
// from the exact byte. start returning false means: something has changed, try again.
type transport interface {
	// tryRead takes what is there. An empty p asks whether something is: (0, nil) for data, io.EOF at the end.
	tryRead(p []byte) (int, error)
	// tryWrite sends a prefix of the vectors. An empty vector alone is a zero-length send, which can fail.
	tryWrite(vectors [][]byte) (int, error)
	// mayPush reports whether Begin's caller may send a write that answers nothing. stream.mu is held.
	mayPush() bool
	// canTryWrite is false where tryWrite never does anything. It does not change.
	canTryWrite() bool
	startRead(turn uint32, p []byte) bool
	startWrite(turn uint32, vectors [][]byte) bool
	// keeps is how many vectors startWrite goes on using until its completion; 0: it only waits for room.
	keeps() int
	// joins says what is copied together for startWrite. It does not change.
	joins() joining

	// readThrough and writeThrough may block. They return errWouldBlock at once where a blocking call is no
	// cheaper than start. When the connection's own code ends the goroutine, or panics, the transport calls
	// readReturned or writeReturned in the caller's place.
	readThrough(turn uint32, p []byte) (int, error)
	writeThrough(turn uint32, vectors [][]byte) (int, error)
	// hasDescriptor is false where the stream's bytes are not those of a descriptor. It does not change.
	hasDescriptor() bool

	// cancel asks the wait or call that turn names to come back. It comes back with its exact count.
	cancel(d direction, turn uint32)

	// post has t run on another goroutine than the caller's.
	post(t *loop.Task)

	// available is the number of bytes a read would get at once, unsent that of bytes the peer has not
	// acknowledged; errors.ErrUnsupported where the connection cannot tell.
	available() (int, error)
	unsent() (int, error)
	// sawReset reports whether the connection has ended without an orderly end of the peer's stream.
	sawReset() bool

	// control runs f on the descriptor, errors.ErrUnsupported if there is none.
	control(f func(fd uintptr)) error
	// rawCall has f called with it until it returns true, waiting for readiness in between. The caller owns the direction.
	rawCall(d direction, turn uint32, f func(fd uintptr) bool) error
	setOption(o option, value int) error
	closeWrite() error
	canCloseWrite() bool
	// startCloseWrite is closeWrite where that may block: stream.writeEnded follows. false: it does not block.
	startCloseWrite(turn uint32) bool
	closeRead() error
	// close gives the connection up and calls stream.transportClosed when that is done. Nothing is under way in
	// the transport and nothing will be started.
	close(how ending)
	engine() (Engine, string)
}
