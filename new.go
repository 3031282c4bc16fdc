package netstream

import (
	"errors"
	"fmt"
	"net"
	"os"
	"reflect"
	"syscall"
	"time"
)

// New makes a stream over any connected, stream-oriented net.Conn and takes the connection over: use only the
// stream from then on. With EngineEpoll the descriptor is duplicated and conn is closed, so a call that is
// blocked on it sees net.ErrClosed; EngineAuto does that later, at the first asynchronous operation that has to
// wait. With LeaveOpen conn stays open and is the caller's again after Close. A socket in blocking mode (os.File.Fd
// of a duplicate does that) is put in non-blocking mode, and so is every duplicate; somebody who changes it later does
// the stream no harm, but can make a ReadFrom that uses sendfile wait.
//
// On failure conn is untouched. Errors: [*ArgumentNullError] for a nil conn, an [*IOError] for one that is not
// connected or not stream-oriented, [*ArgumentOutOfRangeError] for a field of cfg, and an error that wraps
// errors.ErrUnsupported when an explicitly chosen engine cannot be had.
func New(conn net.Conn, cfg *Config) (*NetworkStream, error) {
	c, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	return newStream(conn, c, false)
}

// newStream makes the stream of a checked configuration. onLoop asks for a stream that starts on the loop where
// EngineAuto would move there anyway.
func newStream(conn net.Conn, c *Config, onLoop bool) (*NetworkStream, error) {
	if isNil(conn) {
		return nil, &ArgumentNullError{ParamName: "conn"}
	}
	if err := checkConnected(conn); err != nil {
		return nil, opError("new", conn.LocalAddr(), conn.RemoteAddr(), &IOError{Err: err})
	}
	s := bareStream(c, conn.LocalAddr(), conn.RemoteAddr())
	if err := c.Group.reserve(); err != nil {
		return nil, s.opError("new", err)
	}
	if err := s.attach(conn, onLoop); err != nil {
		c.Group.giveUp()
		return nil, err
	}
	if err := c.Group.join(s); err != nil { // last: who finds a stream in the group may use it
		_ = s.CloseWithError(err)
		return nil, err
	}
	return s, nil
}

func bareStream(c *Config, local, remote net.Addr) *NetworkStream {
	s := &NetworkStream{config: c, counters: new(counters)}
	s.addresses.keep(local, remote)
	s.socket.stream = s
	s.owner.stream = s
	s.read.callbacks.task.Runner = (*readCallbacks)(s)
	s.write.callbacks.task.Runner = (*writeCallbacks)(s)
	s.next.task.Runner = (*turnRunner)(s)
	s.write.firstSeq = noSeq
	return s
}

// reason is why a stream is on the loop.
type reason uint8

const (
	whyChosen reason = iota
	whyAsynchronous
	whyMoved
)

// attach gives the stream its transport. Only its last step changes conn.
func (s *NetworkStream) attach(conn net.Conn, onLoop bool) error {
	native := rawConnOf(conn) != nil && haveEpoll
	switch {
	case s.config.Engine == EngineEpoll && !native:
		return errEngine(EngineEpoll, "needs a TCP or Unix socket on Linux")
	case s.config.Engine == EngineEpoll:
		t, err := adoptEpoll(s, conn, whyChosen)
		if exhausted(err) { // it can be had, only not now
			return s.opError("new", &IOError{Err: classify("dup", err)})
		}
		if err != nil {
			return errEngine(EngineEpoll, err.Error())
		}
		s.adopt(t, conn)
		return nil
	case s.config.Engine == EngineAuto && native && onLoop:
		if t, err := adoptEpoll(s, conn, whyAsynchronous); err == nil {
			s.adopt(t, conn)
			return nil
		}
	}
	s.canMove = s.config.Engine == EngineAuto && native
	s.transport = newPortable(s, conn)
	_ = conn.SetDeadline(time.Time{}) // deadlines belong to the stream from now on; one left over would cut at random
	return nil
}

// adopt makes t, which works on a duplicate of conn's descriptor, the stream's transport. A call of somebody else
// that is blocked on conn sees net.ErrClosed.
func (s *NetworkStream) adopt(t transport, conn net.Conn) {
	s.transport = t
	if !s.config.LeaveOpen {
		conn.Close()
	}
}

// isNil reports whether an interface holds nothing, or a nil pointer.
func isNil(conn any) bool {
	if conn == nil {
		return true
	}
	v := reflect.ValueOf(conn)
	return v.Kind() == reflect.Pointer && v.IsNil()
}

var (
	errNotStream    = errors.New("the connection is not stream-oriented")
	errNotConnected = errors.New("the connection is not connected")
)

// checkConnected tells a connected stream from anything else that is a net.Conn.
func checkConnected(conn net.Conn) error {
	switch c := conn.(type) {
	case *net.UnixConn:
		if a := c.LocalAddr(); a != nil && a.Network() != "unix" {
			return codeError(CodeOperationNotSupported, errNotStream)
		}
	case net.PacketConn:
		return codeError(CodeOperationNotSupported, errNotStream)
	}
	raw := rawConnOf(conn)
	if raw == nil {
		switch conn.(type) {
		case *net.TCPConn, *net.UnixConn: // a zero value, which was never connected
			return codeError(CodeNotConnected, errNotConnected)
		}
		return nil
	}
	if _, err := control(raw, peerErrno); err != nil {
		if _, ok := err.(syscall.Errno); ok {
			err = os.NewSyscallError("getpeername", err)
		}
		return codeError(CodeNotConnected, fmt.Errorf("%w: %w", errNotConnected, err))
	}
	return nil
}
