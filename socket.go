package netstream

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// Socket is the connection below a stream; it mirrors System.Net.Sockets.Socket as far as a NetworkStream's user
// needs it. What a connection without a descriptor cannot do returns an error that wraps
// errors.ErrUnsupported. All methods may be called from any goroutine at any time.
type Socket struct {
	stream *NetworkStream
}

// ShutdownHow names the half of a connection to shut down; it mirrors System.Net.Sockets.SocketShutdown.
type ShutdownHow int

// The halves of a connection.
const (
	ShutdownReceive ShutdownHow = iota // no more reads
	ShutdownSend                       // no more writes
	ShutdownBoth                       // neither
)

// Close closes the connection under the stream: the case of the .NET page where "the underlying Socket is closed".
// The stream stays open; what was pending completes with ObjectDisposedError and SocketError 995, and a Begin
// fails with a wrapped ObjectDisposedError that names the Socket. How the peer sees it is as with Close of the
// stream. A second Close returns nil.
func (k *Socket) Close() error {
	k.stream.closeSocket()
	return nil
}

// Shutdown shuts down a half, or both, at once. Writes that are pending or begun later fail with SocketError
// Shutdown (10058); reads get what is there and then the end. To send what is queued first, use the stream's
// CloseWrite.
//
// The end that ShutdownSend sends must not make half a message look whole (promise 16). When it cuts a write in the
// middle, or one was cut before, the connection is reset instead and closed as by Close, and the error is an [*IOError]
// with Torn set. (.NET sends the end behind the half message.) It waits for the system call in progress; on a foreign
// connection whose Write does not obey deadlines, or whose TLS handshake nobody answers, it gives up after a second, with a
// timeout.
func (k *Socket) Shutdown(how ShutdownHow) error {
	if how < ShutdownReceive || how > ShutdownBoth {
		return &ArgumentOutOfRangeError{ParamName: "how", ActualValue: how}
	}
	return k.do("shutdown", func(t engine.Connection) error {
		var err error
		if how != ShutdownReceive {
			err = k.stream.shutdownSend(t)
		}
		if how != ShutdownSend && !k.stream.isClosed() {
			if rerr := k.stream.shutdownReceive(t); err == nil {
				err = rerr
			}
		}
		return err
	})
}

// shutdownPatience is how long Shutdown waits for a write that was interrupted.
const shutdownPatience = time.Second

// shutdownSend ends the writing half at once: what is pending is cut. Only then is it known whether an end may follow.
func (s *NetworkStream) shutdownSend(t engine.Connection) error {
	if !t.Traits().Halves {
		return errors.ErrUnsupported
	}
	w := &s.write
	s.mu.Lock()
	w.fin.ask()
	s.cutAllLocked(&w.side, shutdownError())
	own := w.idle()
	if own {
		w.phase = owned
	}
	s.unlock()
	if own {
		s.flush(nothing) // the end goes out now; else behind what was cut, by its owner
	}
	ctx, cancel := context.WithTimeout(context.Background(), shutdownPatience)
	defer cancel()
	_ = s.Drain(ctx) // the writes have told how they ended
	s.mu.Lock()
	defer s.unlock()
	switch {
	case w.halfOut():
		s.abortLocked(s.life.closeSocket(w.tear.failure))
		return w.tear.failure
	case ctx.Err() != nil && (w.inFlight() || w.fin == finSending || w.finAhead()):
		return deadlineError()
	case w.fin == finFailed:
		return s.life.end.finErr
	}
	return nil
}

// shutdownReceive ends the reading half. What the connection refuses changes nothing here either.
func (s *NetworkStream) shutdownReceive(t engine.Connection) error {
	if err := t.CloseRead(); err != nil {
		return err
	}
	s.mu.Lock()
	s.shutRead = true
	s.mu.Unlock()
	return nil
}

// LocalAddr returns the local address.
func (k *Socket) LocalAddr() net.Addr { return k.stream.localAddr() }

// RemoteAddr returns the peer's address.
func (k *Socket) RemoteAddr() net.Addr { return k.stream.remoteAddr() }

// Connected reports whether the connection is up as far as anybody has noticed: false once a read or a write has met a
// broken connection, and after CloseWrite, Shutdown and Close. It does not look at the network.
func (k *Socket) Connected() bool {
	s := k.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dead == nil && s.fatal() == nil && s.life.disposed() == nil && s.write.fin == finNone && !s.shutRead
}

// Available returns the number of bytes that a read would get at once; over TLS and over what is only a net.Conn it
// is 0 or 1, see [NetworkStream.DataAvailable].
func (k *Socket) Available() (int, error) {
	var n int
	err := k.do("available", func(t engine.Connection) (err error) {
		k.stream.lookAhead()
		n, err = t.Available()
		return err
	})
	return n, err
}

// SendQueue returns the number of bytes that the kernel has accepted and the peer has not acknowledged; over TLS it counts
// encrypted bytes, those that wait for the kernel included. Only Linux, macOS and FreeBSD tell; elsewhere the error wraps
// errors.ErrUnsupported.
func (k *Socket) SendQueue() (int, error) {
	var n int
	err := k.do("sendqueue", func(t engine.Connection) (err error) {
		n, err = t.Unacknowledged()
		return err
	})
	return n, err
}

// SetNoDelay switches Nagle's algorithm off (true, the default) or on.
func (k *Socket) SetNoDelay(noDelay bool) error { return k.set(engine.NoDelay, boolInt(noDelay)) }

// SetLinger sets SO_LINGER in seconds, negative for off. Zero makes Close discard what the peer has not
// acknowledged and reset the connection.
func (k *Socket) SetLinger(sec int) error {
	return k.do("set", func(t engine.Connection) error {
		err := t.Set(engine.Linger, sec)
		if err == nil {
			k.stream.noteLinger(sec == 0)
		}
		return err
	})
}

func (s *NetworkStream) noteLinger(zero bool) {
	s.mu.Lock()
	s.lingerZero = zero
	s.mu.Unlock()
}

// SetKeepAlive switches keep-alive probes on (the default) or off.
func (k *Socket) SetKeepAlive(keepalive bool) error {
	return k.set(engine.KeepAlive, boolInt(keepalive))
}

// SetReadBuffer sets the size in bytes of the kernel's receive buffer, or of a Pipe's inbound buffer.
func (k *Socket) SetReadBuffer(bytes int) error { return k.set(engine.ReadBuffer, bytes) }

// SetWriteBuffer sets the size in bytes of the kernel's send buffer, or of a Pipe's outbound buffer. A peer that never
// reads absorbs about that much before the queue fills.
func (k *Socket) SetWriteBuffer(bytes int) error { return k.set(engine.WriteBuffer, bytes) }

func (k *Socket) set(o engine.Setting, value int) error {
	return k.do("set", func(t engine.Connection) error { return t.Set(o, value) })
}

// socketCalls is what package net calls the system calls behind the methods.
var socketCalls = map[string]string{
	"shutdown": "shutdown", "set": "setsockopt", "available": "ioctl", "sendqueue": "ioctl",
}

// do runs f with the transport kept from going away.
func (k *Socket) do(op string, f func(engine.Connection) error) error {
	s := k.stream
	t, err := s.enter()
	if err != nil {
		return s.opError(op, &IOError{Err: err})
	}
	defer s.leave()
	err = f(t)
	switch e := err.(type) {
	case nil:
		return nil
	case *IOError:
		return s.opError(op, e)
	}
	return s.opError(op, &IOError{Err: classify(socketCalls[op], err)})
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
