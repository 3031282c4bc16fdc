//go:build linux

package main

import (
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// wire is the generator's end of a connection under crypto/tls. It belongs to one goroutine at a time.
//
// A read that would block returns os.ErrDeadlineExceeded, after which tls.Conn goes on where it was, as it does for
// programs that set deadlines: so one thread serves all connections here, too.
type wire struct {
	fd    int
	waits bool    // reads wait for bytes
	queue *[]byte // writes are put here instead of being sent
}

func (w *wire) Read(p []byte) (int, error) {
	for {
		n, err := w.read(p)
		switch {
		case err == unix.EINTR:
		case err == unix.EAGAIN:
			return 0, os.ErrDeadlineExceeded
		case err != nil:
			return 0, err
		case n == 0:
			return 0, io.EOF
		default:
			return n, nil
		}
	}
}

func (w *wire) read(p []byte) (int, error) {
	if w.waits {
		return unix.Read(w.fd, p)
	}
	return rawReceive(w.fd, p)
}

func (w *wire) Write(p []byte) (int, error) {
	if w.queue != nil {
		*w.queue = append(*w.queue, p...)
		return len(p), nil
	}
	for sent := 0; sent < len(p); {
		n, err := rawWrite(w.fd, p[sent:])
		if err != nil && err != unix.EINTR {
			return sent, err
		}
		sent += n
	}
	return len(p), nil
}

func (w *wire) Close() error                     { return nil } // the generator's connections end with it
func (w *wire) LocalAddr() net.Addr              { return nil }
func (w *wire) RemoteAddr() net.Addr             { return nil }
func (w *wire) SetDeadline(time.Time) error      { return nil }
func (w *wire) SetReadDeadline(time.Time) error  { return nil }
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// secured is one connection with its TLS.
type secured struct {
	*tls.Conn
	wire    wire
	records recordCounter
}

// handshakers is how many handshakes the generator makes at a time.
const handshakers = 8

// openSecured makes the connections, each with its handshake at once: a server may take one that says nothing for an
// attacker's.
func (g *generator) openSecured() error {
	g.secured = make([]*secured, len(g.fds))
	failed := make(chan error, handshakers)
	var next atomic.Int64
	for range handshakers {
		go func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(g.fds) {
					failed <- nil
					return
				}
				if err := g.openOne(i); err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	for range handshakers {
		if err := <-failed; err != nil {
			return err
		}
	}
	return nil
}

func (g *generator) openOne(i int) (err error) {
	if g.fds[i], err = g.connect(g.slow(i)); err != nil {
		return err
	}
	g.secured[i], err = g.secure(g.fds[i])
	return err
}

// secure makes one handshake.
func (g *generator) secure(fd int) (*secured, error) {
	s := &secured{wire: wire{fd: fd, waits: true}}
	s.Conn = tls.Client(&s.wire, clientTLS(g.TLS))
	return s, s.Handshake()
}

// receive reads what has come on connection i, without its TLS, and fails with EAGAIN if that is nothing. The
// connection may hold more than it returns.
func (g *generator) receive(i int, p []byte) (int, error) {
	if g.secured == nil {
		return rawRead(g.fds[i], p)
	}
	n, err := g.secured[i].Read(p)
	switch {
	case n > 0:
		return n, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return 0, unix.EAGAIN
	case err == io.EOF:
		return 0, nil
	}
	return 0, err
}

// recordCounter counts the bytes that TLS 1.3 records carry without deciphering them: a generator that had to would
// be slower than what it measures.
type recordCounter struct {
	header [recordHeader]byte
	had    int // of header
	left   int // of the record's body
}

const (
	recordHeader   = 5  // type, version, length
	recordOverhead = 17 // of a body: the inner type, and the tag of each of TLS 1.3's ciphers that Go has
)

// count returns how many bytes the records carry whose headers end in p.
func (r *recordCounter) count(p []byte) int {
	carried := 0
	for len(p) > 0 {
		if r.left > 0 {
			n := min(r.left, len(p))
			r.left, p = r.left-n, p[n:]
			continue
		}
		n := copy(r.header[r.had:], p)
		if r.had, p = r.had+n, p[n:]; r.had == recordHeader {
			r.had, r.left = 0, int(binary.BigEndian.Uint16(r.header[3:]))
			carried += max(r.left-recordOverhead, 0)
		}
	}
	return carried
}

// greetings makes connection after connection, each with a handshake and an echo. Its threads wait in system calls.
func (g *generator) greetings() error {
	return together(g.Conns, func(int) error {
		inbox := make([]byte, g.Size)
		for {
			if err := g.greeting(inbox); err != nil {
				return err
			}
			g.bytes.Add(int64(g.Size))
		}
	})
}

// greeting makes one of them. It ends with a reset: the ports of connections that end otherwise are taken for a minute,
// and there are not enough.
func (g *generator) greeting(inbox []byte) error {
	fd, err := g.connect(false)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	s, err := g.secure(fd)
	if err != nil {
		return err
	}
	if _, err := s.Write(g.message); err != nil {
		return err
	}
	if _, err := io.ReadFull(s, inbox); err != nil {
		return err
	}
	return g.check(inbox)
}
