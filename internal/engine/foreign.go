package engine

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// A connection that is only a net.Conn is somebody else's code. It may break every rule, and must harm nobody but itself:
// it is called on goroutines that may block, never under a lock; its answers are checked; a call that ends its goroutine,
// or panics for somebody further up to recover, gives its direction back; and a connection whose call does not come back
// is closed after a while. A panic that nobody recovers stays the program's.

// foreign is what the portable engine knows of such a connection.
type foreign struct {
	options   Options       // constant
	handshake *handshake    // nil: it has none
	once      sync.Once     // the connection is closed once
	ended     chan struct{} // closed when its Close is over
	final     atomic.Bool   // a call was cancelled because the owner has closed

	// Guarded by the engine's mu.
	broken *BrokenError     // why it was ended: it broke the rules
	pokes  [2]*poke         // by direction: the interrupt whose deadline may still be set
	woken  [2]chan struct{} // by direction: closed by the cancel of whoever waits for the handshake; nil: nobody does
	full   bool             // b is the byte that a zero-byte read took to know that there is one

	// These belong to the owner of the reading; b as long as full is false.
	b    [1]byte
	late error // came together with data: the next read returns it
}

var (
	errBadRead       = errors.New("the connection's Read returned an impossible count")
	errBadWrite      = errors.New("the connection's Write returned an impossible count")
	errVanished      = errors.New("a method of the connection ended its goroutine or panicked")
	errStuckDeadline = errors.New("the connection's SetDeadline does not return")
)

// ErrNoLook is the answer to a zero-byte read that would have to take a byte, which the owner of a connection that is left
// open could not get back.
var ErrNoLook = errors.Join(
	errors.New("a zero-byte read would take a byte that the owner of a connection left open could not get back"),
	errors.ErrUnsupported)

const (
	// foreignPatience is how long Close waits for a foreign connection: first for a call that no deadline ends, under which
	// it then closes the connection, and then for that Close, which it then leaves alone.
	foreignPatience = time.Second
	// maxEmptyReads is how many reads in a row may bring nothing, as in package bufio.
	maxEmptyReads = 100
)

func newForeign(conn net.Conn, o Options) *foreign {
	return &foreign{options: o, handshake: handshakeOf(conn), ended: make(chan struct{})}
}

// foreignTraits are those of a connection that only has net.Conn's methods to move bytes. socket: it is one of net's, on a
// system without direct access to sockets.
func foreignTraits(conn net.Conn, socket bool, o Options) *Traits {
	traits := &Traits{Through: true, Socket: socket, Joining: JoinPieces}
	_, traits.Halves = conn.(writeCloser)
	switch conn.(type) {
	case *tls.Conn, *net.TCPConn, *net.UnixConn: // a byte stream for certain
		traits.Joining = JoinAll
	}
	if o.Gather {
		traits.Joining = JoinAll
	}
	return traits
}

// looked reports whether a zero-byte read has taken a byte that nobody has read yet.
func (t *portable) looked() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.foreign.full
}

// takeAhead serves a read from the byte that was looked at before, if there is one.
func (t *portable) takeAhead(p []byte) (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f := t.foreign
	switch {
	case !f.full:
		return 0, false
	case len(p) == 0:
		return 0, true
	}
	f.full = false
	p[0] = f.b[0]
	return 1, true
}

// lookForeign answers what can be answered without the connection.
func (t *portable) lookForeign(p []byte) (int, error) {
	if n, ok := t.takeAhead(p); ok {
		return n, nil
	}
	if len(p) == 0 && t.foreign.options.LeaveOpen {
		return 0, ErrNoLook
	}
	if err := t.brokenError(); err != nil {
		return 0, err
	}
	return 0, ErrWouldBlock
}

// brokenError is the error of a connection that was ended because it broke the rules, else nil.
func (t *portable) brokenError() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.foreign.broken != nil {
		return t.foreign.broken
	}
	return nil
}

func (t *portable) readForeign(id uint32, p []byte) (n int, err error) {
	if n, ok := t.takeAhead(p); ok {
		return n, nil
	}
	if err := t.beginForeign(Read, id, 0); err != nil {
		return 0, err
	}
	returned := false
	defer func() { t.ifVanished(Read, returned) }()
	if len(p) > 0 {
		n, err = t.readSome(p)
	} else if n, err = t.readSome(t.foreign.b[:]); n == 1 {
		t.mu.Lock()
		t.foreign.full = true
		t.mu.Unlock()
		n = 0
	}
	returned = true
	return n, t.endForeignCall(Read, n, err)
}

// readSome reads at least one byte, or fails.
func (t *portable) readSome(p []byte) (int, error) {
	f := t.foreign
	if err := f.late; err != nil {
		f.late = nil
		return 0, err
	}
	for range maxEmptyReads {
		n, err := t.conn.Read(p)
		switch {
		case n < 0 || n > len(p):
			return 0, t.breakOff(errBadRead)
		case n > 0:
			if !isTimeout(err) { // an error that lasts comes again
				f.late = err
			}
			return n, nil
		case err != nil:
			return 0, err
		case t.half[Read].word.Load()&callPoked != 0:
			return 0, ErrInterrupted
		}
	}
	return 0, t.breakOff(io.ErrNoProgress)
}

// writeForeign makes one Write. One that is short without an error is against the rules but exact, so the owner goes on
// from there, unless it took nothing.
func (t *portable) writeForeign(id uint32, p []byte) (n int, err error) {
	if err := t.beginForeign(Write, id, 0); err != nil {
		return 0, err
	}
	returned := false
	defer func() { t.ifVanished(Write, returned) }()
	n, err = t.conn.Write(p)
	switch {
	case n < 0 || n > len(p):
		n, err = 0, t.breakOff(errBadWrite)
	case n == 0 && err == nil && len(p) > 0:
		err = t.breakOff(io.ErrShortWrite)
	}
	returned = true
	return n, t.endForeignCall(Write, n, err)
}

// endForeignCall is end for a call that may have failed only because the connection was broken off meanwhile.
func (t *portable) endForeignCall(d Direction, n int, err error) error {
	err = t.end(d, err)
	if n == 0 && err != nil && err != ErrInterrupted {
		if broken := t.brokenError(); broken != nil {
			return broken
		}
	}
	return err
}

// StartCloseWrite leaves the end to a goroutine: over TLS it is a message, for which the handshake has to be over and
// the connection has to have room. CloseWrite bounds it (crypto/tls: 5 s), Close by foreignPatience.
func (t *portable) StartCloseWrite(id uint32) bool {
	if t.foreign == nil || t.raw != nil {
		return false
	}
	go t.closeWriteForeign(id)
	return true
}

func (t *portable) closeWriteForeign(id uint32) {
	err := t.beginForeign(Write, id, callEnding)
	for err == ErrInterrupted && !t.foreign.final.Load() { // no deadline interrupts this
		err = t.beginForeign(Write, id, callEnding)
	}
	if err != nil {
		t.owner.WriteReturned(0, err)
		return
	}
	err = errVanished // unless CloseWrite returns
	defer func() {
		if err == errVanished {
			err = t.breakOff(err)
		}
		t.owner.WriteReturned(0, t.end(Write, err))
	}()
	if h := t.foreign.handshake; h != nil && h.err != nil { // crypto/tls says only that it is not over
		err = h.err
		return
	}
	err = t.CloseWrite()
}

// beginForeign prepares a call of that id that may block, and waits for the handshake first.
func (t *portable) beginForeign(d Direction, id uint32, kind uint64) error {
	t.awaitPoke(d)
	t.awaitHandshake(d, id)
	if err := t.brokenError(); err != nil {
		return err
	}
	if !t.begin(d, id, kind) {
		return ErrInterrupted
	}
	return nil
}

// ifVanished is deferred around the calls of the connection. A call that ended its goroutine, or panicked, is over all the
// same, and its caller is not there to go on.
func (t *portable) ifVanished(d Direction, returned bool) {
	if returned {
		return
	}
	err := t.breakOff(errVanished)
	_ = t.end(d, nil)
	t.mu.Lock()
	t.half[d].active = false
	t.mu.Unlock()
	if d == Read {
		t.owner.ReadReturned(0, err)
	} else {
		t.owner.WriteReturned(0, err)
	}
}

// breakOff ends a connection that has broken the rules, with a reset if it can: nobody knows how much of what was
// written is out.
func (t *portable) breakOff(why error) error {
	t.mu.Lock()
	f := t.foreign
	if f.broken == nil {
		f.broken = &BrokenError{why}
	}
	err := f.broken
	t.mu.Unlock()
	t.endForeign(true)
	return err
}

// poke is the interrupt of one call: a deadline that has passed. Setting it and taking it away again is foreign code
// too, so a goroutine of its own does both, and the next call of the direction waits until that is done.
type poke struct {
	over chan struct{} // closed when the call is over
	done chan struct{} // closed when the deadline is taken away
}

func (t *portable) pokeLocked(d Direction) {
	p := &poke{over: make(chan struct{}), done: make(chan struct{})}
	t.foreign.pokes[d] = p
	go func() {
		returned := false
		defer func() {
			close(p.done)
			if !returned {
				_ = t.breakOff(errVanished)
			}
		}()
		_ = t.setDeadline(d, longAgo)
		<-p.over
		_ = t.setDeadline(d, time.Time{})
		returned = true
	}()
}

// awaitPoke waits until the interrupt of an earlier call cannot hit the next one.
func (t *portable) awaitPoke(d Direction) {
	t.mu.Lock()
	p := t.foreign.pokes[d]
	t.mu.Unlock()
	if p == nil {
		return
	}
	late := time.NewTimer(foreignPatience)
	defer late.Stop()
	select {
	case <-p.done:
	case <-late.C:
		_ = t.breakOff(errStuckDeadline)
	}
	t.mu.Lock()
	t.foreign.pokes[d] = nil
	t.mu.Unlock()
}

// closeIfStuck closes the connection under the call of that id, if it has not come back. If that does not help
// either, Close stops waiting for it.
func (t *portable) closeIfStuck(d Direction, id uint32) {
	if !t.inCall(d, id) {
		return
	}
	w := t.half[Write].word.Load()
	t.endForeign(w&callRunning != 0 && w&callEnding == 0) // a write that does not come back is cut
	time.AfterFunc(foreignPatience, func() {
		if t.inCall(d, id) {
			t.owner.Abandoned()
		}
	})
}

// inCall reports whether the call of that id is on the connection.
func (t *portable) inCall(d Direction, id uint32) bool {
	w := t.half[d].word.Load()
	return w&callRunning != 0 && uint32(w>>32) == id
}

// endForeign closes the connection, on a goroutine of its own and only once.
func (t *portable) endForeign(reset bool) {
	f := t.foreign
	f.once.Do(func() {
		if f.handshake != nil {
			f.handshake.stop()
		}
		go func() {
			defer close(f.ended)
			if tcp, ok := t.conn.(*net.TCPConn); ok && !reset { // a system without direct access to sockets
				closeTCP(tcp, t.raw)
				return
			}
			defer t.conn.Close() // also when a connection below does not return
			if reset {
				resetBelow(t.conn, f.options.ResetOnClose)
			} else if t.half[Write].word.Load()&callEnding != 0 {
				closeBelow(t.conn)
			}
		}()
	})
}

// closeBelow closes the connection that conn wraps, if it shows one. The Close of a *tls.Conn itself would wait, for up to
// 5 s, for a lock that a stuck CloseWrite holds.
func closeBelow(conn net.Conn) {
	wrapper, ok := conn.(interface{ NetConn() net.Conn })
	if !ok {
		return
	}
	if below := wrapper.NetConn(); !IsNil(below) {
		below.Close()
	}
}

// closeForeign gives the connection up. Its Close may block for long (that of TLS sends an alert, for which it has 5 s),
// so it is left alone after foreignPatience.
func (t *portable) closeForeign(how Ending) {
	go func() {
		defer t.owner.Closed()
		late := time.After(foreignPatience)
		t.awaitPoke(Read) // a late one would take away the deadline that crypto/tls sets for its alert
		t.awaitPoke(Write)
		if how == Keep {
			return
		}
		t.endForeign(how == Reset)
		select {
		case <-t.foreign.ended:
		case <-late:
			return
		}
		t.foreign.handshake.awaitOver(late)
	}()
}
