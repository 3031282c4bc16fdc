package netstream

import (
	"sync/atomic"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// The owner of the writing direction asks the queue for its next step and does it: send, wait, shut down, stand still for
// a move, or give the direction up.

const (
	// directBytes is the most that Begin's own attempt hands to the kernel: one send of 4 MiB takes almost 1 ms
	// inline and holds a P all that time.
	directBytes = 64 << 10
	// batchBytes bounds one vectored send.
	batchBytes = 512 << 10
)

// attempt is what an engine has answered: bytes that it has taken, bytes that are in the kernel, and why not more.
type attempt struct {
	taken, done int
	err         error
}

// nothing is an answer without an outcome: go on from the exact byte.
var nothing = attempt{err: engine.ErrInterrupted}

// moved is the answer of a call that holds no bytes back.
func moved(n int, err error) attempt { return attempt{n, n, err} }

// counts reports whether the answer changes anything in the queue.
func (a *attempt) counts() bool { return a.taken > 0 || a.done > 0 || a.err == nil }

// helpFlush lets a goroutine that is about to wait send what is queued, if nobody is sending.
func (s *NetworkStream) helpFlush() {
	s.mu.Lock()
	w := &s.write
	if w.phase != resting || w.empty() {
		s.mu.Unlock()
		return
	}
	w.phase = owned
	s.mu.Unlock()
	s.flush(nothing)
}

// flush goes on after the last answer: it sends what is queued until nothing is left, the connection takes no more, or
// the turn is over. The caller owns the direction.
func (s *NetworkStream) flush(last attempt) {
	t := s.goOn(last, false)
	if t == nil {
		return
	}
	var v batch
	defer v.giveBack()
	for left := turnBytes; t != nil; t = s.goOn(last, left <= 0) {
		last = nothing
		if t.Traits().TriesWrite { // else filling in the vectors would be in vain
			taken, done, err := t.TryWrite(v.of(&s.write))
			last = attempt{taken, done, err}
			left -= max(taken, attemptCost)
			if err != engine.ErrWouldBlock {
				continue
			}
			if last.counts() {
				if t = s.goOn(last, false); t == nil {
					return
				}
			}
			last = nothing
		}
		if s.awaitRoom(t) {
			return
		}
	}
}

// goOn accounts for the last answer and has the queue decide what the owner does next. It returns what to send with, nil
// when there is nothing more to be done here. over says that the turn is over.
func (s *NetworkStream) goOn(last attempt, over bool) engine.Connection {
	w := &s.write
	w.joined.giveBack()
	if last.err != nil {
		last.err = outcome(callWrite, last.err)
	}
	if last.done > 0 {
		atomic.AddUint64(&s.counters.bytesWritten, uint64(last.done))
	}
	var fx writeEffects
	if taken, done := int64(last.taken), int64(last.done); last.counts() && !w.accountAlone(taken, done, last.err, &fx) {
		w.account(taken, done, last.err, &fx)
	}
	s.mu.Lock()
	next := s.decideWriteLocked(&last, over, &fx)
	id, t := w.id, s.transport
	s.carryOutLocked(&fx)
	s.unlock()
	fx.release()
	switch next {
	case stepSend:
		return t
	case stepMove:
		s.move()
	case stepShutdown: // the direction is still the caller's, or the engine's, so the connection cannot go away
		if !t.StartCloseWrite(id) {
			s.noteFinSent(t.CloseWrite())
			return s.goOn(nothing, over)
		}
	}
	return nil
}

func (s *NetworkStream) decideWriteLocked(last *attempt, over bool, fx *writeEffects) writeStep {
	w := &s.write
	w.returned()
	if last.counts() {
		w.settle(int64(last.taken), fx)
	}
	if f, failed := last.err.(*failure); failed {
		s.note(f)
		w.fail(f.err, fx)
	}
	next := w.decide(s.residence == moving, over, s.transport.Held() && !s.life.down(), fx) // Close decides about what is held
	switch next {
	case stepYield:
		s.wantFlushLocked()
	case stepPark:
		if s.parkOtherLocked(&s.read.side, todoCancelRead) {
			return stepMove
		}
	}
	return next
}

// carryOutLocked does what the writing queue's effects say. Their release is for when mu has been given up, or at once
// where that is rare.
func (s *NetworkStream) carryOutLocked(fx *writeEffects) {
	if fx.ready.head != nil {
		s.todo |= s.write.callbacks.add(&fx.ready)
	}
	if fx.rare {
		s.carryOutRareLocked(fx)
	}
}

func (s *NetworkStream) carryOutRareLocked(fx *writeEffects) {
	if fx.failures.first != nil {
		s.counters.noteFailures(s, &fx.failures)
	}
	for op := fx.drained.popFront(); op != nil; op = fx.drained.popFront() {
		op.fail(s.firstFailureLocked())
		fx.complete(op)
	}
	s.counters.countLost(fx)
	s.life.countLost(fx)
	if fx.flush {
		s.wantFlushLocked()
	}
	if fx.interrupt {
		s.todo |= todoCancelWrite
	}
	if fx.roomLeft {
		if g := s.config.Group; g != nil {
			g.unwant(s)
		}
	}
}

// awaitRoom has the engine wait until it takes more. False: something has changed, go on.
func (s *NetworkStream) awaitRoom(t engine.Connection) bool {
	w, traits := &s.write, t.Traits()
	batch, end := w.keep(traits)
	s.mu.Lock()
	// A write that nobody waits for in a blocking call, and that has to wait, begins the move to a loop: leave says so.
	if s.residence == moving || w.cutting() || !w.headBlocks() && s.residence.leave() {
		s.mu.Unlock()
		return false
	}
	w.await(end)
	id := w.id
	s.unlock()
	return t.StartWrite(id, batch)
}

// keep returns what an engine goes on using while it works, and the number behind the last entry that has a part in it;
// nothing for one that only waits.
func (w *writeQueue) keep(traits *engine.Traits) (batch [][]byte, end uint64) {
	if traits.OnlyWaits[engine.Write] {
		return nil, 0
	}
	return w.join(traits.Joining)
}

// headBlocks reports whether a blocking call waits for what is to be sent first.
func (w *writeQueue) headBlocks() bool {
	at, ok := w.head()
	if !ok {
		return false
	}
	return w.entryOf(at).blocks()
}

// nextBlocks is the same of what is not in flight yet.
func (w *writeQueue) nextBlocks() bool {
	at, ok := w.liveFrom(w.claimed)
	if !ok {
		return false
	}
	return w.entryOf(at).blocks()
}
