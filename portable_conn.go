package netstream

import (
	"errors"
	"net"
	"slices"
	"syscall"
)

// The parts of the portable transport that ask, set and end.

func (t *portable) available() (int, error) {
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

func (t *portable) unsent() (int, error) {
	if t.raw == nil {
		return 0, errors.ErrUnsupported
	}
	return rawUnacked(t.raw)
}

func (t *portable) sawReset() bool {
	_, tcp := t.conn.(*net.TCPConn)
	return tcp && rawSawReset(t.raw)
}

func (t *portable) control(f func(fd uintptr)) error {
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

func (t *portable) rawCall(d direction, turn uint32, f func(fd uintptr) bool) (err error) {
	raw, err := t.rawConn()
	if err != nil {
		return err
	}
	if t.foreign != nil {
		if d == dirRead && t.looked() { // f would miss that byte
			return errors.ErrUnsupported
		}
		t.awaitPoke(d)
	}
	if !t.begin(d, turn, 0) {
		return errInterrupted
	}
	defer func() { err = t.end(d, err) }() // f may not return
	if d == dirRead {
		return raw.Read(f)
	}
	return raw.Write(f)
}

// setOption uses the methods of net's connections; others have what they have.
func (t *portable) setOption(o option, value int) error {
	switch o {
	case optionNoDelay:
		if c, ok := t.conn.(interface{ SetNoDelay(bool) error }); ok {
			return c.SetNoDelay(value != 0)
		}
	case optionLinger:
		if c, ok := t.conn.(interface{ SetLinger(int) error }); ok {
			return c.SetLinger(value)
		}
	case optionKeepAlive:
		if c, ok := t.conn.(interface{ SetKeepAlive(bool) error }); ok {
			return c.SetKeepAlive(value != 0)
		}
	case optionReadBuffer:
		if c, ok := t.conn.(interface{ SetReadBuffer(int) error }); ok {
			return c.SetReadBuffer(value)
		}
	case optionWriteBuffer:
		if c, ok := t.conn.(interface{ SetWriteBuffer(int) error }); ok {
			return c.SetWriteBuffer(value)
		}
	}
	return errors.ErrUnsupported
}

type writeCloser interface{ CloseWrite() error }

func (t *portable) canCloseWrite() bool {
	_, ok := t.conn.(writeCloser)
	return ok
}

func (t *portable) closeWrite() error {
	if c, ok := t.conn.(writeCloser); ok {
		return c.CloseWrite()
	}
	return errors.ErrUnsupported
}

func (t *portable) closeRead() error {
	if c, ok := t.conn.(interface{ CloseRead() error }); ok {
		return c.CloseRead()
	}
	return errors.ErrUnsupported
}

// close gives the connection up.
func (t *portable) close(how ending) {
	if t.foreign != nil {
		t.closeForeign(how)
		return
	}
	tcp, isTCP := t.conn.(*net.TCPConn)
	switch {
	case how == endKeep:
	case how == endReset:
		go func() {
			resetBelow(t.conn)
			t.conn.Close()
			t.stream.transportClosed()
		}()
		return
	case isTCP:
		closeTCP(tcp, t.raw)
	default:
		t.conn.Close()
	}
	t.stream.transportClosed()
}

// maxLayers bounds how deep resetBelow looks: NetConn is foreign code and may lead in a circle.
const maxLayers = 16

// resetBelow makes the Close of conn, which is to follow, one that the peer cannot take for an orderly end. Under TLS
// that is a reset of the connection below, without a close_notify. Where there is no reset, the peer sees an end.
func resetBelow(conn net.Conn) {
	var below []net.Conn
	for c := conn; !isNil(c) && len(below) < maxLayers; {
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
		case *NetworkStream:
			c.noteLinger(true)
		case interface{ closeReset() error }:
			_ = c.closeReset()
		}
		if i > 0 {
			c.Close()
		}
	}
}
