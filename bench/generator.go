//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// generator is the peer of the process under test: one thread that makes as few system calls as it can. It counts
// what arrives at its end of the connections, so a contender cannot count what it has not done.
type generator struct {
	workload
	fds      []int
	secured  []*secured // likewise, with their TLS; nil: they are plain
	peer     *unix.SockaddrInet4
	message  []byte
	bytes    atomic.Int64 // that arrived, from fast peers
	stopping atomic.Bool
	inbox    []byte
	offsets  []int64 // bytes that arrived, by connection, when every byte is checked; else nil
	verify   bool    // every byte is checked
	hub      *hubLoad
}

const (
	drainBytes = 256 << 10 // the most one receive of a reading peer takes
	slowBytes  = 1 << 10   // what a slow peer takes each time
	slowEvery  = 50 * time.Millisecond
	slowBuffer = 8 << 10 // its receive buffer
)

func connectAll(w workload, words *dialect, address string, verify bool) (*generator, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if !to.Addr().IsLoopback() {
		return nil, fmt.Errorf("%s is not on the loopback interface", address)
	}
	g := &generator{workload: w, message: makeMessage(w.Size), inbox: make([]byte, drainBytes), verify: verify}
	g.peer = &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	if w.Shape == shapeGreet { // connections are what is measured
		return g, g.greeting(make([]byte, w.Size))
	}
	if err := g.open(words); err != nil {
		return nil, err
	}
	if w.Shape == shapeHub {
		return g, g.connectPublisher(words)
	}
	return g, nil
}

// open makes the workload's connections. The echoes are all accepted and served when it returns.
func (g *generator) open(words *dialect) error {
	g.fds = make([]int, g.Conns)
	if g.TLS != 0 {
		if err := g.openSecured(); err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
	} else if err := g.openPlain(words); err != nil {
		return err
	}
	if g.verify {
		g.offsets = make([]int64, g.Conns)
	}
	if g.echoes() {
		for i := range g.fds {
			if err := g.pingPong(i); err != nil {
				return err
			}
		}
	}
	for _, s := range g.secured {
		s.wire.waits = g.alone()
	}
	return nil
}

// openPlain makes the connections one after the other.
func (g *generator) openPlain(words *dialect) (err error) {
	for i := range g.fds {
		g.fds[i], err = g.connect(g.slow(i))
		if err == nil && words != nil {
			err = words.greet(g.fds[i], words.subscribe)
		}
		if err != nil {
			return fmt.Errorf("connection %d: %w", i, err)
		}
	}
	return nil
}

// connect makes a connection. A slow one has little room for what it does not read.
func (g *generator) connect(slow bool) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if slow {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, slowBuffer); err != nil {
			return 0, err
		}
	}
	for err = unix.EINTR; err == unix.EINTR; {
		err = unix.Connect(fd, g.peer)
	}
	if err != nil {
		return 0, err
	}
	return fd, unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
}

// alone reports whether there is one connection with one message under way, for which one waits in a read.
func (g *generator) alone() bool { return g.Shape == shapeEcho && g.Conns == 1 }

// slow reports whether connection i has a slow or deaf peer: the last ones have.
func (g *generator) slow(i int) bool { return i >= g.Conns-g.Slow-g.Deaf }

func (g *generator) count() int64 { return g.bytes.Load() / int64(g.Size) }

func (g *generator) run() error {
	switch {
	case g.Shape == shapeIdle:
		return nil
	case g.Shape == shapeHub:
		return g.hub.run()
	case g.Shape == shapeGreet:
		return g.greetings()
	case g.alone():
		for {
			if err := g.pingPong(0); err != nil {
				return err
			}
			g.bytes.Add(int64(g.Size))
		}
	case g.Shape == shapeEcho:
		return g.echo()
	}
	return g.sink()
}

// pingPong sends one message on a connection and waits until it is back.
func (g *generator) pingPong(i int) error {
	if err := g.send(i); err != nil {
		return err
	}
	for got := 0; got < g.Size; {
		n, err := g.await(i, g.inbox[got:g.Size])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			return errEnded
		}
		got += n
	}
	return g.check(g.inbox[:g.Size])
}

// await waits for bytes.
func (g *generator) await(i int, p []byte) (int, error) {
	if g.secured == nil {
		return unix.Read(g.fds[i], p)
	}
	return g.receive(i, p)
}

var errEnded = errors.New("generator: the server has ended a connection")

func (g *generator) check(message []byte) error {
	if !bytes.Equal(message, g.message) {
		return errors.New("generator: what came back is not what was sent")
	}
	return nil
}

func (g *generator) send(i int) error {
	if g.secured != nil {
		_, err := g.secured[i].Write(g.message)
		return err
	}
	n, err := rawWrite(g.fds[i], g.message)
	if err == nil && n < len(g.message) {
		err = errors.New("generator: short write")
	}
	return err
}

// poll makes an epoll descriptor that watches the fast connections.
func (g *generator) poll() (int, error) {
	epfd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return 0, err
	}
	for i, fd := range g.fds {
		if g.slow(i) {
			continue
		}
		if err := unix.EpollCtl(epfd, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(i)}); err != nil {
			return 0, err
		}
	}
	return epfd, nil
}

// wait returns the connections that have something.
func (g *generator) wait(epfd int, events []unix.EpollEvent) (int, error) {
	timeout := -1
	if g.Slow > 0 {
		timeout = int(slowEvery / time.Millisecond)
	}
	return rawEpollWait(epfd, events, timeout)
}

// echo keeps one message going on each of many connections.
func (g *generator) echo() error {
	epfd, err := g.poll()
	if err != nil {
		return err
	}
	parts := make([][]byte, len(g.fds)) // of messages that have not come back whole
	for i := range g.fds {
		if err := g.send(i); err != nil {
			return err
		}
	}
	events := make([]unix.EpollEvent, 1024)
	for {
		n, err := g.wait(epfd, events)
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			if err := g.bounce(int(e.Fd), parts); err != nil {
				return err
			}
		}
	}
}

// bounce takes what has come back on connection i and, if that is the whole message, sends the next one.
func (g *generator) bounce(i int, parts [][]byte) error {
	had := copy(g.inbox, parts[i])
	n, err := g.receive(i, g.inbox[had:g.Size])
	if err == unix.EAGAIN { // a part of a record
		return nil
	}
	if err != nil {
		return err
	}
	if n == 0 {
		return errEnded
	}
	if had+n < g.Size {
		parts[i] = append(parts[i], g.inbox[had:had+n]...)
		return nil
	}
	parts[i] = parts[i][:0]
	if err := g.check(g.inbox[:g.Size]); err != nil {
		return err
	}
	g.bytes.Add(int64(g.Size))
	return g.send(i)
}

// sink takes what comes on many connections. Slow peers are served by the clock.
func (g *generator) sink() error {
	epfd, err := g.poll()
	if err != nil {
		return err
	}
	events := make([]unix.EpollEvent, 1024)
	next := time.Now().Add(slowEvery)
	for {
		n, err := g.wait(epfd, events)
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			n, err := g.drain(int(e.Fd))
			if err != nil {
				return err
			}
			g.bytes.Add(int64(n))
		}
		if g.Slow > 0 && time.Now().After(next) {
			next = time.Now().Add(slowEvery)
			if err := g.readSlowly(); err != nil {
				return err
			}
		}
	}
}

func (g *generator) readSlowly() error {
	for _, fd := range g.fds[g.Conns-g.Slow:] {
		_, _, err := unix.Recvfrom(fd, g.inbox[:slowBytes], unix.MSG_DONTWAIT)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			return err
		}
	}
	return nil
}

// drain receives and discards on connection i, and returns what is to be counted: with MSG_TRUNC, TCP does not even copy (tcp(7)), which leaves the
// generator time. When every byte is checked, and for the headers of TLS's records, it does copy.
func (g *generator) drain(i int) (int, error) {
	if g.secured != nil && g.verify {
		return 0, g.drainSecured(i)
	}
	flags := unix.MSG_TRUNC
	if g.verify || g.secured != nil {
		flags = 0
	}
	n, _, err := unix.Recvfrom(g.fds[i], g.inbox, flags)
	switch {
	case err == unix.EINTR:
		return 0, nil
	case err != nil:
		return 0, err
	case n == 0:
		return 0, errEnded
	case g.verify:
		return n, g.checkNext(i, g.inbox[:n])
	case g.secured != nil:
		return g.secured[i].records.count(g.inbox[:n]), nil
	}
	return n, nil
}

// drainSecured takes and counts all that the connection and its TLS hold. A server that is faster than the checks may
// hold it up for long.
func (g *generator) drainSecured(i int) error {
	for {
		n, err := g.receive(i, g.inbox)
		switch {
		case err == unix.EAGAIN:
			return nil
		case err != nil:
			return err
		case n == 0:
			return errEnded
		}
		if err := g.checkNext(i, g.inbox[:n]); err != nil {
			return err
		}
		g.bytes.Add(int64(n))
	}
}

// checkNext checks what came next on connection i.
func (g *generator) checkNext(i int, p []byte) error {
	for _, b := range p {
		if b != g.message[g.offsets[i]%int64(g.Size)] {
			return fmt.Errorf("generator: connection %d: byte %d is not what was sent", i, g.offsets[i])
		}
		g.offsets[i]++
	}
	return nil
}
