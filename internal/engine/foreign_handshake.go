package engine

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// handshake is that of a *tls.Conn, or of a connection made like one. It is made on a goroutine of its own when the first
// call needs it. crypto/tls keeps the failure of a handshake for ever, also when a deadline caused it. So a call that may be
// interrupted does not make the handshake, it waits for it. A deadline or a cancel ends the call, Close the handshake as well.
type handshake struct {
	conn  shaker
	ctx   context.Context
	stop  context.CancelFunc // ends the handshake, and the connection with it
	start sync.Once
	begun atomic.Bool
	over  atomic.Bool
	err   error         // how it failed; constant once over is set
	done  chan struct{} // closed after over was set
}

type shaker interface {
	HandshakeContext(context.Context) error
}

// handshakeOf returns nil for a connection that has none.
func handshakeOf(conn net.Conn) *handshake {
	c, ok := conn.(shaker)
	if !ok {
		return nil
	}
	h := &handshake{conn: c, done: make(chan struct{})}
	h.ctx, h.stop = context.WithCancel(context.Background())
	return h
}

// awaitHandshake returns when the handshake is over, or the call of that id was cancelled.
func (t *portable) awaitHandshake(d Direction, id uint32) {
	h := t.foreign.handshake
	if h == nil || h.over.Load() {
		return
	}
	h.start.Do(func() {
		h.begun.Store(true)
		go t.shakeHands(h)
	})
	for {
		woken := make(chan struct{})
		t.mu.Lock()
		cancelled := t.half[d].word.Load() == uint64(id)<<32|callAsked
		t.foreign.woken[d] = woken
		t.mu.Unlock()
		if cancelled {
			return
		}
		select {
		case <-h.done:
			return
		case <-woken: // perhaps by the cancel of an earlier call
		}
	}
}

// shakeHands makes the handshake. Its failure is that of every Read and Write from then on.
func (t *portable) shakeHands(h *handshake) {
	returned := false
	defer func() {
		if !returned {
			_ = t.breakOff(errVanished)
		}
		h.over.Store(true)
		close(h.done)
	}()
	h.err = h.conn.HandshakeContext(h.ctx)
	returned = true
}

// wakeLocked has whoever waits for the handshake look for a cancel.
func (f *foreign) wakeLocked(d Direction) {
	if f.woken[d] != nil {
		close(f.woken[d])
		f.woken[d] = nil
	}
}

// awaitOver waits for a handshake that was stopped, but not for ever.
func (h *handshake) awaitOver(late <-chan time.Time) {
	if h == nil || !h.begun.Load() {
		return
	}
	select {
	case <-h.done:
	case <-late:
	}
}
