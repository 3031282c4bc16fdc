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

// pipeBuffer is the size of each direction's buffer.
const pipeBuffer = 64 << 10

// Pipe returns the two ends of a connection in memory. It is buffered, so a small write completes without a reader, as on
// a socket. Whatever waits is durably blocked in a testing/synctest bubble.
func Pipe() (a, b net.Conn) {
	ab, ba := newPipeHalf(), newPipeHalf()
	return &pipeConn{in: ba, out: ab, name: "a"}, &pipeConn{in: ab, out: ba, name: "b"}
}

// pipeHalf is one direction: a bounded buffer.
type pipeHalf struct {
	mu       sync.Mutex // guards what follows; a leaf
	changed  chan struct{}
	data     []byte
	limit    int
	finished bool // the writer has ended: EOF behind the data
	reset    bool // the writer was cut: ECONNRESET behind the data
	deaf     bool // the reader has gone: writes fail
}

func newPipeHalf() *pipeHalf {
	return &pipeHalf{limit: pipeBuffer, changed: make(chan struct{})}
}

// announceLocked wakes everybody who waits for a change.
func (h *pipeHalf) announceLocked() {
	close(h.changed)
	h.changed = make(chan struct{})
}

func (h *pipeHalf) read(p []byte) (n int, changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case len(h.data) > 0:
		if len(p) == 0 {
			return 0, nil, nil
		}
		n = copy(p, h.data)
		h.data = h.data[:copy(h.data, h.data[n:])]
		h.announceLocked()
		return n, nil, nil
	case h.reset:
		return 0, nil, syscall.ECONNRESET
	case h.finished, h.deaf:
		return 0, nil, io.EOF
	}
	return 0, h.changed, ErrWouldBlock
}

func (h *pipeHalf) write(vectors [][]byte) (n int, changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.finished || h.deaf {
		return 0, nil, syscall.EPIPE
	}
	size := 0
	for _, p := range vectors {
		size += len(p)
		m := min(len(p), max(h.limit-len(h.data), 0))
		h.data = append(h.data, p[:m]...)
		n += m
		if m < len(p) {
			break
		}
	}
	if n == 0 && size > 0 {
		return 0, h.changed, ErrWouldBlock
	}
	h.announceLocked()
	return n, nil, nil
}

// hasRoom reports whether a write would do something: take bytes, or fail.
func (h *pipeHalf) hasRoom() (changed <-chan struct{}, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.finished || h.deaf || len(h.data) < h.limit {
		return nil, nil
	}
	return h.changed, ErrWouldBlock
}

func (h *pipeHalf) mark(f func(*pipeHalf)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f(h)
	h.announceLocked()
}

// pipeConn is one end of a pipe: a net.Conn that can also try without waiting.
type pipeConn struct {
	in, out         *pipeHalf
	name            string
	mu              sync.Mutex // guards the deadlines and closed
	closed          bool
	readBy, writeBy pipeDeadline
}

var _ direct = (*pipeConn)(nil)

func (c *pipeConn) tryRead(p []byte) (int, error) {
	n, _, err := c.in.read(p)
	return n, err
}

func (c *pipeConn) tryWrite(vectors [][]byte) (int, error) {
	n, _, err := c.out.write(vectors)
	return n, err
}

func (c *pipeConn) Read(p []byte) (int, error) {
	return c.wait(&c.readBy, func() (int, <-chan struct{}, error) { return c.in.read(p) })
}

func (c *pipeConn) read(p []byte) (int, error) { return c.Read(p) }

func (c *pipeConn) Write(p []byte) (int, error) {
	written := 0
	for {
		n, err := c.write([][]byte{p[written:]})
		written += n
		if err != nil || written == len(p) {
			return written, err
		}
	}
}

// write waits until some of the vectors could be taken.
func (c *pipeConn) write(vectors [][]byte) (int, error) {
	return c.wait(&c.writeBy, func() (int, <-chan struct{}, error) { return c.out.write(vectors) })
}

func (c *pipeConn) awaitRoom() error {
	_, err := c.wait(&c.writeBy, func() (int, <-chan struct{}, error) {
		changed, err := c.out.hasRoom()
		return 0, changed, err
	})
	return err
}

// wait tries until something comes of it, the deadline passes or the end is closed.
func (c *pipeConn) wait(by *pipeDeadline, try func() (int, <-chan struct{}, error)) (int, error) {
	for {
		c.mu.Lock()
		closed, passed := c.closed, by.channelLocked()
		c.mu.Unlock()
		if closed {
			return 0, io.ErrClosedPipe
		}
		select {
		case <-passed:
			return 0, os.ErrDeadlineExceeded
		default:
		}
		n, changed, err := try()
		if err != ErrWouldBlock {
			return n, err
		}
		c.mu.Lock() // a deadline or a close that came before changed was taken does not show on it
		stale := c.closed || by.channelLocked() != passed
		c.mu.Unlock()
		if stale {
			continue
		}
		select {
		case <-changed:
		case <-passed:
		}
	}
}

func (c *pipeConn) buffered() int {
	c.in.mu.Lock()
	defer c.in.mu.Unlock()
	return len(c.in.data)
}

func (c *pipeConn) setLimit(h *pipeHalf, bytes int) error {
	if bytes <= 0 {
		return syscall.EINVAL
	}
	h.mark(func(h *pipeHalf) { h.limit = bytes })
	return nil
}

func (c *pipeConn) SetWriteBuffer(bytes int) error { return c.setLimit(c.out, bytes) }
func (c *pipeConn) SetReadBuffer(bytes int) error  { return c.setLimit(c.in, bytes) }

func (c *pipeConn) CloseWrite() error {
	c.out.mark(func(h *pipeHalf) { h.finished = true })
	return nil
}

func (c *pipeConn) CloseRead() error {
	c.in.mark(func(h *pipeHalf) { h.deaf = true })
	return nil
}

func (c *pipeConn) Close() error { return c.end(false) }

// closeReset closes so that the other end does not take what it got for everything.
func (c *pipeConn) closeReset() error { return c.end(true) }

func (c *pipeConn) end(reset bool) error {
	c.mu.Lock()
	again := c.closed
	c.closed = true
	c.readBy.stop()
	c.writeBy.stop()
	c.mu.Unlock()
	if again { // the first one says how it ended
		return nil
	}
	c.out.mark(func(h *pipeHalf) { h.finished, h.reset = true, reset })
	c.in.mark(func(h *pipeHalf) { h.deaf = true })
	return nil
}

func (c *pipeConn) LocalAddr() net.Addr { return pipeAddr(c.name) }

func (c *pipeConn) RemoteAddr() net.Addr {
	if c.name == "a" {
		return pipeAddr("b")
	}
	return pipeAddr("a")
}

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

func (c *pipeConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *pipeConn) SetReadDeadline(t time.Time) error {
	c.setDeadline(&c.readBy, c.in, t)
	return nil
}

func (c *pipeConn) SetWriteDeadline(t time.Time) error {
	c.setDeadline(&c.writeBy, c.out, t)
	return nil
}

func (c *pipeConn) setDeadline(d *pipeDeadline, h *pipeHalf, t time.Time) {
	c.mu.Lock()
	d.setLocked(t)
	c.mu.Unlock()
	h.mark(func(*pipeHalf) {}) // whoever waits takes the new deadline
}

// pipeDeadline is a channel that is closed when a time has passed.
type pipeDeadline struct {
	passed chan struct{} // nil: no deadline
	timer  *time.Timer
}

func (d *pipeDeadline) channelLocked() <-chan struct{} { return d.passed }

func (d *pipeDeadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
	}
}

func (d *pipeDeadline) setLocked(t time.Time) {
	d.stop()
	d.passed, d.timer = nil, nil
	if t.IsZero() {
		return
	}
	passed := make(chan struct{})
	d.passed = passed
	if left := time.Until(t); left > 0 {
		d.timer = time.AfterFunc(left, func() { close(passed) })
		return
	}
	close(passed)
}
