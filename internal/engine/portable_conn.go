package engine

import (
	"errors"
	"net"
	"slices"
	"syscall"
)

// The parts of the portable engine that ask, set and end.

func (t *portable) Available() (int, error) {
	switch c := t.conn.(type) {
	case interface{ buffered() int }:
		return c.buffered(), nil
	}
	if t.foreign != nil && t.looked() {
		return 1, nil
	}
	if t.raw != nil {
		return rawBuffered(t.raw)
	}
	return 0, nil
}

func (t *portable) Unacknowledged() (int, error) {
	if t.raw == nil {
		return 0, errors.ErrUnsupported
	}
	return rawUnacked(t.raw)
}

func (t *portable) SawReset() bool {
	_, tcp := t.conn.(*net.TCPConn)
	return tcp && rawSawReset(t.raw)
}

func (t *portable) Control(f func(fd uintptr)) error {
	raw, err := t.rawConn()
	if err != nil {
		return err
	}
	return raw.Control(f)
}

func (t *portable) rawConn() (syscall.RawConn, error) {
	if t.raw != nil {
		return t.raw, nil
	}
	if c, ok := t.conn.(syscall.Conn); ok {
		return c.SyscallConn()
	}
	return nil, errors.ErrUnsupported
}

func (t *portable) RawCall(d Direction, id uint32, f func(fd uintptr) bool) (err error) {
	raw, err := t.rawConn()
	if err != nil {
		return err
	}
	if t.foreign != nil {
		if d == Read && t.looked() { // f would miss that byte
			return errors.ErrUnsupported
		}
		t.awaitPoke(d)
	}
	if !t.begin(d, id, 0) {
		return ErrInterrupted
	}
	defer func() { err = t.end(d, err) }() // f may not return
	if d == Read {
		return raw.Read(f)
	}
	if c, ok := t.direct.(directWaits); ok {
		return c.rawWrite(f)
	}
	return raw.Write(f)
}

// Set uses the methods of net's connections; others have what they have.
func (t *portable) Set(s Setting, value int) error {
	switch s {
	case NoDelay:
		if c, ok := t.conn.(interface{ SetNoDelay(bool) error }); ok {
			return c.SetNoDelay(value != 0)
		}
	case Linger:
		if c, ok := t.conn.(interface{ SetLinger(int) error }); ok {
			return c.SetLinger(value)
		}
	case KeepAlive:
		if c, ok := t.conn.(interface{ SetKeepAlive(bool) error }); ok {
			return c.SetKeepAlive(value != 0)
		}
	case ReadBuffer:
		if c, ok := t.conn.(interface{ SetReadBuffer(int) error }); ok {
			return c.SetReadBuffer(value)
		}
	case WriteBuffer:
		if c, ok := t.conn.(interface{ SetWriteBuffer(int) error }); ok {
			return c.SetWriteBuffer(value)
		}
	case NotSentLowWater: // net has no method for it
		if _, tcp := t.conn.(*net.TCPConn); tcp {
			return rawNotSentLowWater(t.raw, value)
		}
	}
	return errors.ErrUnsupported
}

type writeCloser interface{ CloseWrite() error }

func (t *portable) CloseWrite() error {
	if c, ok := t.conn.(writeCloser); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (t *portable) CloseRead() error {
	if c, ok := t.direct.(directWaits); ok {
		return c.closeRead()
	}
	if c, ok := t.conn.(interface{ CloseRead() error }); ok {
		return c.CloseRead()
	}
	return errors.ErrUnsupported
}

// Close gives the connection up.
func (t *portable) Close(how Ending) {
	if t.foreign != nil {
		t.closeForeign(how)
		return
	}
	tcp, isTCP := t.conn.(*net.TCPConn)
	switch {
	case how == Keep:
		if c, ok := t.direct.(directWaits); ok {
			c.handBack()
		}
	case how == Reset:
		go func() {
			resetBelow(t.conn, nil)
			t.conn.Close()
			t.owner.Closed()
		}()
		return
	case isTCP:
		closeTCP(tcp, t.raw)
	default:
		t.conn.Close()
	}
	t.owner.Closed()
}

// maxLayers bounds how deep resetBelow looks: NetConn is foreign code and may lead in a circle.
const maxLayers = 16

// resetBelow makes the Close of conn, which is to follow, one that the peer cannot take for an orderly end. Under TLS
// that is a reset of the connection below, without a close_notify. Where there is no reset, the peer sees an end.
// For a connection of a type that it does not know it calls other, if that is set.
func resetBelow(conn net.Conn, other func(any)) {
	var below []net.Conn
	for c := conn; !IsNil(c) && len(below) < maxLayers; {
		below = append(below, c)
		wrapper, ok := c.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		c = wrapper.NetConn()
	}
	for i, c := range slices.Backward(below) {
		switch c := c.(type) {
		case *net.TCPConn:
			_ = c.SetLinger(0)
		case *pipeConn:
			_ = c.closeReset()
		default:
			if other != nil {
				other(c)
			}
		}
		if i > 0 {
			c.Close()
		}
	}
}
