package engine

import (
	"sync/atomic"
	"time"
)

// closePatience is how long an orderly Close goes on sending what is held and close_notify, before the connection is reset.
const closePatience = 2 * time.Second

// ending is what the waits of the writing are for when they are no longer the owner's.
type ending struct {
	stage     atomic.Uint32
	cancelled atomic.Uint64 // the write that was cancelled last: set<<32 | id. One id stands for several waits below
	told      bool          // Closed was called before the connection was given up
	timer     *time.Timer
}

// The stages.
const (
	endingNot   uint32 = iota
	endingWrite        // close_notify is on its way, the FIN follows
	endingFIN          // the transport below sends it
	endingAll          // close_notify is on its way, and then the connection is given up
)

func (e *ending) cancel(id uint32) { e.cancelled.Store(1<<32 | uint64(id)) }

func (e *ending) wasCancelled(id uint32) bool { return e.cancelled.Load() == 1<<32|uint64(id) }

// sealCloseNotify ends the writing: nothing follows, not even an answer to the peer.
func (t *TLS) sealCloseNotify() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ready && t.fatal == nil && !t.mute {
		_ = t.conn.CloseWrite() // writing to memory does not fail
	}
	t.mute = true
}

// StartCloseWrite implements Endpoint: close_notify behind what is held, then the end of the half below, if that has one.
func (t *TLS) StartCloseWrite(id uint32) bool {
	t.ids[Write] = id
	t.sealCloseNotify()
	t.ending.stage.Store(endingWrite)
	waits, err := t.pushEnding(id)
	if waits {
		return true
	}
	t.ending.stage.Store(endingFIN)
	if err == nil && t.lower.Traits().Halves && t.lower.StartCloseWrite(id) {
		return true
	}
	t.ending.stage.Store(endingNot)
	return false
}

// CloseWrite implements Endpoint, behind a StartCloseWrite that returned false.
func (t *TLS) CloseWrite() error {
	switch {
	case t.writeErr != nil:
		return t.writeErr
	case t.Held(): // it was cancelled
		return ErrInterrupted
	case t.lower.Traits().Halves:
		return t.lower.CloseWrite()
	}
	return nil
}

// pushEnding sends what is held, or has the transport below wait for room, and reports whether it does.
func (t *TLS) pushEnding(id uint32) (waits bool, err error) {
	for {
		if err := t.push(); err != ErrWouldBlock {
			return false, err
		}
		if t.ending.wasCancelled(id) {
			return false, ErrInterrupted
		}
		if t.startHeld(id) {
			return true, nil
		}
	}
}

// goOnEnding goes on after a wait of the writing that was not the owner's, and reports whether it was one.
func (t *TLS) goOnEnding(err error) bool {
	switch t.ending.stage.Load() {
	case endingNot:
		return false
	case endingFIN:
		t.ending.stage.Store(endingNot)
		t.owner.WriteReturned(0, err)
	case endingWrite:
		t.goOnEndingWrite()
	case endingAll:
		if waits, err := t.pushEnding(t.ids[Write]); !waits {
			t.closeBelow(err)
		}
	}
	return true
}

func (t *TLS) goOnEndingWrite() {
	id := t.ids[Write]
	waits, err := t.pushEnding(id)
	if waits {
		return
	}
	if err == nil && t.lower.Traits().Halves {
		t.ending.stage.Store(endingFIN)
		if t.lower.StartCloseWrite(id) {
			return
		}
		err = t.lower.CloseWrite()
	}
	t.ending.stage.Store(endingNot)
	t.owner.WriteReturned(0, err)
}

// Close implements Transport. Orderly sends close_notify. If the connection takes no more, that goes on in the background
// for closePatience.
func (t *TLS) Close(how Ending) {
	if how == Reset {
		t.discard()
		t.lower.Close(Reset)
		return
	}
	t.sealCloseNotify()
	if err := t.push(); err != ErrWouldBlock {
		t.lower.Close(how)
		return
	}
	t.closeLater()
}

// closeLater goes on with an orderly Close. For the owner it is over.
func (t *TLS) closeLater() {
	t.ids[Write] += 1 << 16 // behind every id that the owner has cancelled
	id := t.ids[Write]
	e := &t.ending
	e.told = true
	e.stage.Store(endingAll)
	e.timer = time.AfterFunc(closePatience, func() {
		if e.stage.Load() == endingAll {
			t.Cancel(Write, id, true)
		}
	})
	waits, err := t.pushEnding(id)
	if !waits {
		t.closeBelow(err)
	}
	t.owner.Closed()
}

// closeBelow ends a Close that went on in the background.
func (t *TLS) closeBelow(err error) {
	t.ending.timer.Stop()
	t.ending.stage.Store(endingNot)
	if err == ErrInterrupted {
		t.discard()
		t.lower.Close(Reset)
		return
	}
	t.lower.Close(Orderly)
}

// discard forgets what is held.
func (t *TLS) discard() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mute = true
	if t.out != nil {
		t.emptiedLocked()
	}
}

// Closed implements Owner.
func (o *tlsOwner) Closed() {
	if !o.ending.told {
		o.owner.Closed()
	}
}
