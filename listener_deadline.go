package netstream

import (
	"errors"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// What programs ask of a listener besides net.Listener, by interface and not by type.

var _ syscall.Conn = (*Listener)(nil)

// SyscallConn gives access to the listening socket, as that of a *net.TCPListener does; it implements syscall.Conn. Control
// is for options. Read and Write are those of the listener below: net's refuse them. Errors: one that wraps
// errors.ErrUnsupported for a listener given to [NewListener] that is no syscall.Conn.
func (l *Listener) SyscallConn() (syscall.RawConn, error) {
	c, ok := l.inner.(syscall.Conn)
	if !ok {
		return nil, opError("raw", l.Addr(), nil, unsupportedListener())
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, opError("raw", l.Addr(), nil, &IOError{Err: classify("raw", err)})
	}
	return raw, nil
}

// SetDeadline sets the time after which accepts fail, waiting ones and begun ones included, as that of a *net.TCPListener
// does. The error is os.ErrDeadlineExceeded, and as a net.Error a timeout. The listener stays usable: a later deadline, or
// none (the zero time), lets accepts through again. No connection is lost by it.
//
// Errors: one that wraps errors.ErrUnsupported for a listener given to [NewListener] that has no SetDeadline; one that
// matches net.ErrClosed after Close.
func (l *Listener) SetDeadline(t time.Time) error {
	below, ok := l.inner.(interface{ SetDeadline(time.Time) error })
	if !ok {
		return opError("set", l.Addr(), nil, unsupportedListener())
	}
	if l.hasClosed() {
		return opError("set", l.Addr(), nil, l.closedError())
	}
	if err := below.SetDeadline(t); err != nil {
		return opError("set", l.Addr(), nil, &IOError{Err: classify("set", err)})
	}
	l.deadline.set(t)
	if h := l.handshakes; h != nil { // accepting may have stopped at the old one, and whoever waits goes on with the new
		h.want()
	}
	return nil
}

// errAcceptTimeout is the error of an accept that waited in this package when the deadline passed.
var errAcceptTimeout error = &IOError{Err: deadlineError()}

func unsupportedListener() error {
	return &IOError{Err: codeError(CodeOperationNotSupported, errors.ErrUnsupported)}
}

// acceptDeadline is a listener's deadline for what does not wait in the listener below: for a place in the group, and for
// descriptors. Its zero value is no deadline.
type acceptDeadline struct {
	mu     sync.Mutex // guards what follows; a leaf
	timer  *time.Timer
	passed chan struct{} // closed when the deadline has passed; made by whoever waits or sets
}

// set moves the deadline. Whoever waits on the channel of an earlier one waits for the new one.
func (d *acceptDeadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	late := d.timer != nil && !d.timer.Stop()
	d.timer = nil
	if d.passed == nil || late || isClosed(d.passed) { // it is closed, or about to be
		d.passed = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	passed := d.passed
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { close(passed) })
	} else {
		close(passed)
	}
}

// channel is closed when the deadline passes.
func (d *acceptDeadline) channel() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

// hold keeps conn, which was accepted and has found no place, or no descriptor, until the deadline passed: it is the next
// accept's. false: there will be none.
func (l *Listener) hold(conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hasClosed() {
		return false
	}
	l.held = append(l.held, conn)
	return true
}

var errNoConn = errors.New("the listener's Accept returned no connection")

// nextConn returns a connection that was held, or waits for the next one.
func (l *Listener) nextConn() (net.Conn, error) {
	l.mu.Lock()
	if len(l.held) == 0 {
		l.mu.Unlock()
		conn, err := l.inner.Accept()
		if err == nil && engine.IsNil(conn) {
			err = errNoConn
		}
		return conn, err
	}
	defer l.mu.Unlock()
	conn := l.held[0]
	l.held = l.held[1:]
	return conn, nil
}
