package netstream

import (
	"iter"
	"sync"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// Broadcast posts p to each stream of the sequence and returns how many took it. It is [NetworkStream.Post] for each of
// them, only cheaper: the loops are woken together. p must never change again.
//
// Streams may close or join meanwhile; one that is named twice gets p twice. Streams of different groups may be mixed.
// Overlapping Broadcasts may arrive in different orders on different streams; those of [Group.Broadcast] do not.
//
// refused is called with each stream that did not take p, and with what Post returned, after the sequence has ended. A nil
// stream in the sequence is refused with an [*ArgumentNullError] named "streams". A nil sequence panics. No lock of this
// package is held while the sequence or refused runs, so both may call anything. A sequence that panics or ends its
// goroutine leaves the streams before that point with p, and nobody is told of those that refused.
//
// The streams begin to send when the sequence has ended, or after some thousands of them. So it should not wait for anything.
func Broadcast(p []byte, streams iter.Seq[*NetworkStream], refused ...func(*NetworkStream, error)) int {
	if streams == nil {
		panic("netstream: Broadcast to a nil sequence")
	}
	b := takeBroadcast(p)
	defer b.giveBack()
	for s := range streams {
		b.post(s)
	}
	return b.finish(refused)
}

// Broadcast posts p to the streams that are in the group when it begins, the caller's own included, and returns how many
// took it. It is [NetworkStream.Post] for each of them, only cheaper. p must never change again. A stream that joins meanwhile
// gets it or not, and one in the middle of its handshake does not. One that has yet to begin its handshake gets it in the
// clear; with [Config].TLS none of the members is in that state. Broadcasts of one group arrive in the same order on all its
// streams.
//
// refused is called with each stream that did not take p, and with what Post returned, with no lock of this package held.
// While the members are visited, some hundred nanoseconds for each, no stream joins or leaves the group.
//
// The group's limits count the bytes that are to be sent, not the memory: 64 KiB that wait for 2,000 streams are 128 MiB of
// MaxPendingBytes and 64 KiB of memory.
func (g *Group) Broadcast(p []byte, refused ...func(*NetworkStream, error)) int {
	b := takeBroadcast(p)
	defer b.giveBack()
	b.postAll(g)
	return b.finish(refused)
}

// postAll posts to the members of g.
func (b *broadcast) postAll(g *Group) {
	b.members = true
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, m := range g.streams {
		if s := m.stream.Value(); s != nil {
			b.post(s)
		}
	}
}

// broadcast is one message on its way to many streams. It belongs to one goroutine.
type broadcast struct {
	p       []byte
	held    engine.Batch // what the streams want to be run
	members bool         // of a group: one in the middle of its handshake is not up yet, and refuses nothing
	taken   int
	refused []refusal
}

type refusal struct {
	s   *NetworkStream
	err error
}

// mostHeld is how many wake-ups are held back at once. With them held to the end, messages that come in bursts gather, because
// no loop begins to send the first one while the publisher still posts the last.
const mostHeld = 4096

var broadcasts = sync.Pool{New: func() any { return new(broadcast) }}

func takeBroadcast(p []byte) *broadcast {
	b := broadcasts.Get().(*broadcast)
	b.p = p
	return b
}

// giveBack hands over what is held back, if finish has not: the sequence may have panicked.
func (b *broadcast) giveBack() {
	b.end()
	b.p, b.taken, b.members = nil, 0, false
	clear(b.refused)
	b.refused = b.refused[:0]
	broadcasts.Put(b)
}

// post posts to s. A Group's mu may be held: what is left to do for the stream is held back, so nothing runs here.
func (b *broadcast) post(s *NetworkStream) {
	if s == nil {
		b.refused = append(b.refused, refusal{nil, &ArgumentNullError{ParamName: "streams"}})
		return
	}
	s.mu.Lock()
	err := s.postLocked(b.p)
	s.holdLocked(&b.held)
	s.mu.Unlock()
	switch {
	case err == nil:
		b.taken++
	case b.members && err == errAuthenticating:
	default:
		b.refused = append(b.refused, refusal{s, err})
	}
	if b.held.Len() >= mostHeld {
		b.held.HandOver()
	}
}

// holdLocked puts what a post leaves to do into the batch.
func (s *NetworkStream) holdLocked(held *engine.Batch) {
	if s.todo == 0 {
		return
	}
	hold := func(bit todo, task engine.Task) {
		if s.todo&bit != 0 {
			s.transport.Hold(held, task)
			s.todo &^= bit
		}
	}
	hold(todoTurn, (*turnRunner)(s))
	hold(todoWriteCallbacks, (*writeCallbacks)(s)) // of those that were dropped, or have waited for their room
}

// end wakes the loops, and closes the streams whose policy that is.
func (b *broadcast) end() {
	b.held.HandOver()
	for _, r := range b.refused {
		if r.s != nil {
			r.s.closeIfFull(r.err)
		}
	}
}

// finish ends the broadcast and tells of those that refused.
func (b *broadcast) finish(refused []func(*NetworkStream, error)) (taken int) {
	b.end()
	list := b.refused
	b.refused = nil // the list is only for refused now, however long that runs
	for _, f := range refused {
		if f == nil {
			continue
		}
		for _, r := range list {
			f(r.s, r.err)
		}
	}
	return b.taken
}
