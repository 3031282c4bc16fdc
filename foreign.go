package netstream

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A connection that is only a net.Conn is code of somebody else. It may break every rule and harm nobody but itself: it
// is called on goroutines that may block, never under a lock; what it answers is checked; a call that ends its
// goroutine, or panics for somebody further up to recover, gives its direction back; and what does not come back is
// closed after a while. A panic that nobody recovers stays the program's.

// foreign is what the portable transport knows of such a connection.
type foreign struct {
	handshake *handshake // nil: it has none
	joins     joining
	once      sync.Once     // the connection is closed once
	ended     chan struct{} // closed when its Close is over

	// Guarded by the transport's mu.
	broken *SocketError     // why it was ended: it broke the rules
	pokes  [2]*poke         // by direction: the interrupt whose deadline may still be set
	woken  [2]chan struct{} // by direction: closed by the cancel of whoever waits for the handshake; nil: nobody does
	full   bool             // b is the byte that a zero-byte read took to know that there is one

	// These belong to the owner of the reading; b as long as full is false.
	b    [1]byte
	late error // came beside data and is the next read's
}

var (
	errBadRead       = errors.New("the connection's Read returned an impossible count")
	errBadWrite      = errors.New("the connection's Write returned an impossible count")
	errVanished      = errors.New("a method of the connection ended its goroutine or panicked")
	errStuckDeadline = errors.New("the connection's SetDeadline does not return")
	errNoLook        = errors.New("a zero-byte read would take a byte that the owner of a connection left open could not get back")
)

const (
	// foreignPatience is how long Close waits for a foreign connection: for a call that its deadlines do not end before
	// it closes the connection under it, and for its Close before that is left alone.
	foreignPatience = time.Second
	// maxEmptyReads is how many reads in a row may bring nothing, as in package bufio.
	maxEmptyReads = 100
)

func newForeign(conn net.Conn, gather bool) *foreign {
	f := &foreign{handshake: handshakeOf(conn), joins: joinPieces, ended: make(chan struct{})}
	switch conn.(type) {
	case *tls.Conn, *net.TCPConn, *net.UnixConn: // a byte stream for certain
		f.joins = joinAll
	}
	if gather {
		f.joins = joinAll
	}
	return f
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

// tryReadForeign answers what can be answered without the connection.
func (t *portable) tryReadForeign(p []byte) (int, error) {
	if n, ok := t.takeAhead(p); ok {
		return n, nil
	}
	if len(p) == 0 && t.stream.config.LeaveOpen {
		return 0, codeError(CodeOperationNotSupported, errors.Join(errNoLook, errors.ErrUnsupported))
	}
	if err := t.brokenError(); err != nil {
		return 0, err
	}
	return 0, errWouldBlock
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

func (t *portable) readForeign(turn uint32, p []byte) (n int, err error) {
	if n, ok := t.takeAhead(p); ok {
		return n, nil
	}
	if err := t.beginForeign(dirRead, turn, 0); err != nil {
		return 0, err
	}
	returned := false
	defer func() { t.ifVanished(dirRead, returned) }()
	if len(p) > 0 {
		n, err = t.readSome(p)
	} else if n, err = t.readSome(t.foreign.b[:]); n == 1 {
		t.mu.Lock()
		t.foreign.full = true
		t.mu.Unlock()
		n = 0
	}
	returned = true
	return n, t.endForeignCall(dirRead, n, err)
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
			if timeout, _ := asTimeout(err); !timeout { // one that lasts comes again
				f.late = err
			}
			return n, nil
		case err != nil:
			return 0, err
		case t.half[dirRead].word.Load()&callPoked != 0:
			return 0, errInterrupted
		}
	}
	return 0, t.breakOff(io.ErrNoProgress)
}

// writeForeign makes one Write. One that is short without an error is against the rules but exact, so the stream goes on
// from there, unless it took nothing.
func (t *portable) writeForeign(turn uint32, p []byte) (n int, err error) {
	if err := t.beginForeign(dirWrite, turn, 0); err != nil {
		return 0, err
	}
	returned := false
	defer func() { t.ifVanished(dirWrite, returned) }()
	n, err = t.conn.Write(p)
	switch {
	case n < 0 || n > len(p):
		n, err = 0, t.breakOff(errBadWrite)
	case n == 0 && err == nil && len(p) > 0:
		err = t.breakOff(io.ErrShortWrite)
	}
	returned = true
	return n, t.endForeignCall(dirWrite, n, err)
}

// endForeignCall is end for a call that may have failed only because the connection was broken off meanwhile.
func (t *portable) endForeignCall(d direction, n int, err error) error {
	err = t.end(d, err)
	if n == 0 && err != nil && err != errInterrupted {
		if broken := t.brokenError(); broken != nil {
			return broken
		}
	}
	return err
}

// startCloseWrite leaves the end to a goroutine: over TLS it is a message, for which the handshake has to be over and
// the connection has to have room. CloseWrite bounds it (crypto/tls: 5 s), Close by foreignPatience.
func (t *portable) startCloseWrite(turn uint32) bool {
	if t.foreign == nil || t.raw != nil {
		return false
	}
	go func() {
		err := t.beginForeign(dirWrite, turn, callEnding)
		for err == errInterrupted && !t.stream.isClosed() { // a deadline is not for this
			err = t.beginForeign(dirWrite, turn, callEnding)
		}
		if err == nil {
			err = errVanished
			defer func() {
				if err == errVanished {
					err = t.breakOff(err)
				}
				t.stream.writeEnded(t.end(dirWrite, err))
			}()
			if h := t.foreign.handshake; h != nil && h.err != nil { // crypto/tls says only that it is not over
				err = h.err
				return
			}
			err = t.closeWrite()
			return
		}
		t.stream.writeEnded(err)
	}()
	return true
}

// beginForeign prepares a call of that turn that may block, and waits for the handshake first.
func (t *portable) beginForeign(d direction, turn uint32, kind uint64) error {
	t.awaitPoke(d)
	t.awaitHandshake(d, turn)
	if err := t.brokenError(); err != nil {
		return err
	}
	if !t.begin(d, turn, kind) {
		return errInterrupted
	}
	return nil
}

// ifVanished is deferred around the calls of the connection. One that did not return is over all the same, and whoever
// would have gone on after it is not there to do so.
func (t *portable) ifVanished(d direction, returned bool) {
	if returned {
		return
	}
	err := t.breakOff(errVanished)
	_ = t.end(d, nil)
	t.mu.Lock()
	t.half[d].active = false
	t.mu.Unlock()
	if d == dirRead {
		t.stream.readReturned(0, err)
	} else {
		t.stream.writeReturned(0, err)
	}
}

// breakOff ends a connection that has broken the rules, by a reset if it knows that: how much of what was written is
// out cannot be known.
func (t *portable) breakOff(why error) error {
	t.mu.Lock()
	f := t.foreign
	if f.broken == nil {
		f.broken = codeError(CodeConnectionAborted, why)
	}
	err := f.broken
	t.mu.Unlock()
	t.stream.noteBroken(err)
	t.endForeign(true)
	return err
}

// poke is the interrupt of one call: a deadline that has passed. Setting it and taking it away again is foreign code
// too, so a goroutine of its own does both, and the next call of the direction waits until that is done.
type poke struct {
	over chan struct{} // closed when the call is over
	done chan struct{} // closed when the deadline is taken away
}

func (t *portable) pokeLocked(d direction) {
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
func (t *portable) awaitPoke(d direction) {
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

// closeIfStuck closes the connection under the call of that turn, if it has not come back. If that does not help
// either, Close stops waiting for it.
func (t *portable) closeIfStuck(d direction, turn uint32) {
	if !t.inCall(d, turn) {
		return
	}
	w := t.half[dirWrite].word.Load()
	t.endForeign(w&callRunning != 0 && w&callEnding == 0) // a write that does not come back is cut
	time.AfterFunc(foreignPatience, func() {
		if t.inCall(d, turn) {
			t.stream.abandon()
		}
	})
}

// inCall reports whether the call of that turn is on the connection.
func (t *portable) inCall(d direction, turn uint32) bool {
	w := t.half[d].word.Load()
	return w&callRunning != 0 && uint32(w>>32) == turn
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
				resetBelow(t.conn)
			}
		}()
	})
}

// closeForeign gives the connection up. Its Close may block for long (that of TLS sends an alert, for which it has 5 s),
// so it is left alone after foreignPatience.
func (t *portable) closeForeign(how ending) {
	go func() {
		defer t.stream.transportClosed()
		late := time.After(foreignPatience)
		t.awaitPoke(dirRead) // one that is late would take the deadline away that crypto/tls sets for its alert
		t.awaitPoke(dirWrite)
		if how == endKeep {
			return
		}
		t.endForeign(how == endReset)
		select {
		case <-t.foreign.ended:
		case <-late:
			return
		}
		t.foreign.handshake.awaitOver(late)
	}()
}
