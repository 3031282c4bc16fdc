package netstream

import (
	"sync"
	"sync/atomic"
)

// uncommon is what few operations need. It comes from a pool of its own at the first need and goes back with the end of the
// operation's life: an operation may be the pending read of an idle stream next.
type uncommon struct {
	err      error          // if fateFailed: io.EOF or an *IOError; if fateUnsent: why. Written like fate
	cut      *SocketError   // if stopping: why it has to, although its bytes may be on their way. Written like stage
	vectors  [][]byte       // if vectored: what was lent and is not taken. Set before publication, then the writing owner's
	accepted *NetworkStream // of an accept or connect. Written by whoever completes the operation
	seq      uint64         // of a Drain: the number of the first write that it does not wait for. Guarded by the stream's mu
	wake     *wakeup        // taken by the one waiter before it sets opWaiting, signalled by the completion
	handle   atomic.Pointer[ManualResetEvent]
}

var uncommons = sync.Pool{New: func() any { return new(uncommon) }}

// rarely returns what few operations need, and takes it from the pool at the first call. Any holder may call it.
func (op *operation) rarely() *uncommon {
	if u := op.uncommon.Load(); u != nil {
		return u
	}
	u := uncommons.Get().(*uncommon)
	if !op.uncommon.CompareAndSwap(nil, u) {
		uncommons.Put(u)
		u = op.uncommon.Load()
	}
	return u
}

// giveBack is for the end of a life. No operation that is recycled has a handle.
func (u *uncommon) giveBack() {
	u.err, u.cut, u.accepted, u.seq, u.wake = nil, nil, nil, 0, nil
	u.clearVectors()
	uncommons.Put(u)
}

func (u *uncommon) clearVectors() {
	clear(u.vectors)
	u.vectors = u.vectors[:0]
	if cap(u.vectors) > maxVectors { // rare: not to be kept for the next one
		u.vectors = nil
	}
}

// trim takes the first n bytes, which the engine has taken, off the vectors: looking for the rest behind thousands of pieces
// at each attempt would be quadratic. Only the owner of the writing direction calls it.
func (op *operation) trim(n int64) {
	u := op.uncommon.Load()
	pieces := u.vectors
	for n > 0 && n >= int64(len(pieces[0])) {
		n -= int64(len(pieces[0]))
		pieces[0] = nil
		pieces = pieces[1:]
	}
	if n > 0 {
		pieces[0] = pieces[0][n:]
	}
	u.vectors = pieces
}
