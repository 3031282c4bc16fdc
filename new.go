package netstream

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// New makes a stream over any connected, stream-oriented net.Conn and takes the connection over: use only the
// stream from then on. With EngineEpoll the descriptor is duplicated and conn is closed, so a call that is
// blocked on it sees net.ErrClosed; EngineAuto does that later, at the first asynchronous operation that has to
// wait or is left to the loop. With LeaveOpen conn stays open and is the caller's again after Close. A socket in blocking
// mode (os.File.Fd of a duplicate does that) is put in non-blocking mode, and so is every duplicate; somebody who changes
// it later does the stream no harm, but can make a ReadFrom that uses sendfile wait.
//
// On failure conn is untouched, unless the group is shut down in the middle of the call: then conn is closed, as by Close.
// Errors: [*ArgumentNullError] for a nil conn, an [*IOError] for one that is not connected or not stream-oriented,
// [*ArgumentOutOfRangeError] or [*ArgumentError] for a field of cfg, [ErrGroupFull], [*InvalidOperationError] for a group
// that was shut down, and an error that wraps errors.ErrUnsupported when an explicitly chosen engine cannot be had.
func New(conn net.Conn, cfg *Config) (*NetworkStream, error) {
	c, err := cfg.withDefaults()
	if err == nil {
		err = c.refuseTLS()
	}
	if err != nil {
		return nil, err
	}
	return newStream(conn, c, false)
}

// newStream makes the stream of a checked configuration. onLoop asks for a stream that starts on the loop where
// EngineAuto would move there anyway.
func newStream(conn net.Conn, c *Config, onLoop bool) (*NetworkStream, error) {
	if engine.IsNil(conn) {
		return nil, &ArgumentNullError{ParamName: "conn"}
	}
	if err := checkConnected(conn); err != nil {
		return nil, opError("new", conn.LocalAddr(), conn.RemoteAddr(), &IOError{Err: err})
	}
	s := bareStream(c, conn.LocalAddr(), conn.RemoteAddr())
	if err := c.Group.reserve(); err != nil {
		return nil, s.opError("new", err)
	}
	if err := s.attachOrGiveUp(conn, onLoop); err != nil {
		return nil, err
	}
	if err := c.Group.join(s); err != nil { // last: whoever finds a stream in the group may use it
		_ = s.CloseWithError(err)
		return nil, err
	}
	return s, nil
}

// attachOrGiveUp gives the place in the group up if the stream gets no transport, also when a method of conn panics or
// ends the goroutine.
func (s *NetworkStream) attachOrGiveUp(conn net.Conn, onLoop bool) error {
	attached := false
	defer func() {
		if !attached {
			s.config.Group.giveUp()
		}
	}()
	err := s.attach(conn, onLoop)
	attached = err == nil
	return err
}

// bareStream makes a stream that has no transport yet.
func bareStream(c *Config, local, remote net.Addr) *NetworkStream {
	s := &NetworkStream{config: c, counters: new(counters)}
	s.addresses.keep(local, remote)
	s.socket.stream = s
	s.owner.stream = s
	s.read.callbacks.bit, s.write.callbacks.bit = todoReadCallbacks, todoWriteCallbacks
	s.write.config = s.config
	if c.TLS != nil { // before anybody can find it: what is written before the handshake would go out in the clear
		s.auth = new(authentication)
	}
	return s
}

var (
	errNotStream    = errors.New("the connection is not stream-oriented")
	errNotConnected = errors.New("the connection is not connected")
)

// packets reports whether conn is one of datagrams or packets. A *net.UnixConn has the methods for those whatever it is, and
// so has what embeds one.
func packets(conn net.Conn) bool {
	if _, ok := conn.(net.PacketConn); !ok {
		return false
	}
	a := conn.LocalAddr()
	if engine.IsNil(a) {
		_, never := conn.(*net.UnixConn) // a zero value, which was never connected
		return !never
	}
	return a.Network() != "unix"
}

// checkConnected tells a connected stream from anything else that is a net.Conn.
func checkConnected(conn net.Conn) error {
	if packets(conn) {
		return codeError(CodeOperationNotSupported, errNotStream)
	}
	if !engine.OnSocket(conn) {
		switch conn.(type) {
		case *net.TCPConn, *net.UnixConn: // a zero value, which was never connected
			return codeError(CodeNotConnected, errNotConnected)
		}
		return nil
	}
	if err := engine.CheckPeer(conn); err != nil {
		if _, ok := err.(syscall.Errno); ok {
			err = os.NewSyscallError("getpeername", err)
		}
		return codeError(CodeNotConnected, fmt.Errorf("%w: %w", errNotConnected, err))
	}
	return nil
}
