package netstream

import (
	"net"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// A stream of EngineAuto starts on the portable transport, which serves blocking calls at net's speed, and moves to
// the loop at its first asynchronous operation that has to wait, or that the loop is to send (write_sender.go), or for its
// TLS handshake: from then on no goroutine waits for it. The move needs both directions. Whoever has work for the old
// transport comes back from it, parks its direction, and the last one to do so makes the move. The old connection is
// closed when nobody uses it any more.

// residence is which engine a stream is on, and why. Only a stream of EngineAuto changes it:
//
//	mayMove -> moving       an asynchronous operation has to wait, the loop is to send, or a TLS handshake begins
//	moving  -> movedToLoop  nobody else was at work on a direction, and the loop has taken the connection over
//	moving  -> stays        the loop could not be had
type residence uint8

const (
	noLoop residence = iota
	chosenPortable
	mayMove
	moving
	stays
	chosenEpoll // this and what follows: it is on a loop
	madeAsynchronous
	movedToLoop
)

// residences are the reasons that Socket.Engine tells.
var residences = [...]string{
	noLoop:           "the connection is not a TCP or Unix socket of a system with a native engine",
	chosenPortable:   "chosen by Config.Engine",
	mayMove:          notYet,
	moving:           notYet,
	stays:            "the loop could not be had: ",
	chosenEpoll:      "chosen by Config.Engine",
	madeAsynchronous: "made for asynchronous use",
	movedToLoop:      "moved to the loop at the first asynchronous operation that had to wait or was left to it, or for its TLS handshake",
}

const notYet = "no asynchronous operation has had to wait yet"

// leave begins the move if the stream may move. Both directions are parked from then on as soon as they can be.
func (r *residence) leave() bool {
	if *r != mayMove {
		return false
	}
	*r = moving
	return true
}

// arrive ends the move.
func (r *residence) arrive(onLoop bool) {
	if *r = stays; onLoop {
		*r = movedToLoop
	}
}

// portableYet reports whether the stream is portable and may yet be on a loop.
func (r residence) portableYet() bool { return r == mayMove || r == moving }

// parkOtherLocked has the other direction park as well, when one has: cancel interrupts its engine. The last one to park
// makes the move when it has given mu up.
func (s *NetworkStream) parkOtherLocked(other *side, cancel todo) (last bool) {
	switch other.phase {
	case resting:
		other.phase = parked
	case waiting:
		s.todo |= cancel
	}
	return other.phase == parked
}

// moveResult is what a move has left behind. Guarded by the stream's mu.
type moveResult struct {
	retired net.Conn // the old connection, as long as somebody may be in a call on it
	failure error    // why the loop could not be had
}

// move replaces the transport and hands both directions, which the caller owns, to the new one's loop: the caller may be
// in a Begin. If the loop cannot be had, the stream stays where it is.
func (s *NetworkStream) move() {
	s.replaceTransport()
	var reads effects
	var writes writeEffects
	s.mu.Lock()
	s.read.moved(&reads)
	s.write.moved(&writes)
	s.carryOutReadsLocked(&reads)
	s.carryOutLocked(&writes)
	s.wantFlushLocked()
	s.wantServeLocked()
	s.unlock()
	writes.release()
}

// replaceTransport has the loop take the connection over. The caller owns both directions, in which nothing is under way, so
// nobody else replaces the transport.
func (s *NetworkStream) replaceTransport() {
	t, handle, old, err := engine.ToLoop(s.transport, s.engineOwner(), s.engineOptions())
	if err == nil {
		s.releaseForgotten(handle)
	}
	s.mu.Lock()
	s.residence.arrive(err == nil)
	switch {
	case err != nil:
		s.moved = &moveResult{failure: err}
	case old != nil:
		s.moved = &moveResult{retired: old}
	}
	if err == nil {
		s.transport = t
	}
	s.todo |= s.moved.closeRetired(s.life.users)
	s.unlock()
}

// closeRetired has unlock close the old connection as soon as nobody is in a call on it.
func (m *moveResult) closeRetired(users int32) todo {
	if m == nil || m.retired == nil || users != 0 {
		return 0
	}
	return todoCloseRetired
}
