package netstream

import (
	"math/bits"
	"sync/atomic"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// writeQueue is the writing direction: what is to be sent, in Begin order, how far it has come, what may join it, and what
// has become of the byte stream. It is a value: it has no lock and no engine, calls only the limits of its Group, and
// answers with effects.
//
// Everything is guarded by the stream's mu, except what the owner of the direction does without it: it reads the entries
// in flight and moves the marks taken and done (fill, account). Others change neither meanwhile.
//
//	        done       taken     claimed        next
//	 over    |  started  | to send |   waiting    |
//	---------+-----------+---------+--------------+
//	         |<----- in flight --->|
//
// What is in flight has started, or may have: it is neither cancelled nor dropped. What an engine has taken is never offered
// to it again; what is done is in the kernel. Both marks move together unless the engine holds bytes of its own.
type writeQueue struct {
	// What completions touch comes first, a cache line of its own: the processor that sends would otherwise wait, for each
	// completion, for the one that begins writes, and that one for it. BenchmarkPipelinedWrite shows it.

	// admitted and discharged are running sums of load: of the writes that hold room or did, under mu, and of those whose
	// callback has started or that are over, which callbacks and the owner add to without mu. Their difference is what is
	// pending. It grows under mu only, so a check against the limits holds until mu is given up.
	discharged atomic.Uint64

	// piled counts the writes that are over, whose callback has not started, and that hold no room under
	// OverflowDropOldest. This alone keeps a callback that blocks from letting them pile up without end.
	piled atomic.Int32

	roomWanted  atomic.Bool // something waits for room: whoever frees room has to look
	claimed     uint64      // what has a smaller number is in flight or over. The owner changes it, under mu, and reads it without
	taken, done place       // the owner's; without an owner they are mu's
	joined      *joined     // what the transport is writing, if it ever took one slice; the owner's

	side
	config *Config

	solo    [1]*operation // ahead of all chunks: a write that found the queue empty needs none. An array, so that it is a stretch
	soloSeq uint64        // its number
	chunks  chunkList
	next    uint64 // number of the next entry

	admitted load // see discharged
	seen     load // what discharged was when it was last looked at: as long as the limits allow, Begin does not look again

	roomWrites int32 // how many writes wait for room; no Begin overtakes those
	fin        finPhase
	calling    bool // it waits in calls that send, of a blocking write: not for readiness alone
	unanswered bool // something was read since the last write was begun, see write_sender.go

	tear  *tear         // nil: whole messages only are out, and none is missing in the middle
	clock time.Duration // the time for what is queued until the owner looks again; 0: not read yet
}

// place is a byte of the queue: so many bytes into the first entry that has that number, or a larger one.
type place struct {
	at     uint64
	offset int64
}

// spot is a live entry of the queue; without a chunk it is the solo write.
type spot struct {
	c     *chunk
	index int
}

func (w *writeQueue) seqOf(at spot) uint64 {
	if at.c == nil {
		return w.soloSeq
	}
	return at.c.seq + uint64(at.index)
}

func (w *writeQueue) entryOf(at spot) entry {
	if at.c == nil {
		return entry{op: w.solo[0]}
	}
	return at.c.entry(at.index)
}

func spotOf(op *operation) spot { return spot{op.chunk, int(op.index)} }

func (w *writeQueue) empty() bool { return w.solo[0] == nil && w.chunks.first == nil }

// idle reports whether nothing is queued, in flight or owned.
func (w *writeQueue) idle() bool { return w.phase == resting && w.empty() }

// onlyOnePending reports whether the write that was admitted last is the only one.
func (w *writeQueue) onlyOnePending() bool {
	writes, _ := w.pending()
	return writes+int64(w.piled.Load()) == 1
}

// head returns the first entry that is not over.
func (w *writeQueue) head() (at spot, ok bool) {
	if w.solo[0] != nil {
		return spot{}, true
	}
	if c := w.chunks.first; c != nil {
		return spot{c, c.firstLive()}, true
	}
	return spot{}, false
}

// inFlight reports whether something is in flight.
func (w *writeQueue) inFlight() bool {
	if w.solo[0] != nil {
		return w.soloSeq < w.claimed
	}
	c := w.chunks.first
	return c != nil && c.seq+uint64(c.firstLive()) < w.claimed
}

// waits reports whether something is not in flight yet.
func (w *writeQueue) waits() bool {
	switch {
	case w.chunks.last != nil:
		return w.lastSeq() >= w.claimed
	default:
		return w.solo[0] != nil && w.soloSeq >= w.claimed
	}
}

// lastSeq is the number of the last entry in the chunks, of which there are some.
func (w *writeQueue) lastSeq() uint64 {
	c := w.chunks.last
	return c.seq + uint64(bits.Len32(c.live)) - 1
}

// push adds a write, whose room is counted.
func (w *writeQueue) push(op *operation) {
	if w.empty() {
		w.solo[0], w.soloSeq = op, w.next
	} else {
		w.chunks.push(op, w.next)
	}
	w.next++
}

// post adds a message that nobody waits for; its room is counted.
func (w *writeQueue) post(p []byte) {
	w.chunks.post(p, w.next, w.beginTime())
	w.next++
}

// beginTime is the time of a write that is queued now. Reading the clock for each took an eighth of all CPU in
// BenchmarkPipelinedWrite, so those queued between two looks of an owner at work share one reading.
func (w *writeQueue) beginTime() time.Duration {
	if w.phase == waiting || w.clock == 0 {
		w.clock = engine.SinceStart()
	}
	return w.clock
}

// oldest is when the first write that is not over was begun, of a post about when; 0: there is none, or it is in its first
// attempt.
func (w *writeQueue) oldest() time.Duration {
	if w.solo[0] != nil {
		return w.solo[0].begun
	}
	c := w.chunks.first
	if c == nil {
		return 0
	}
	if op := c.ops[c.firstLive()]; op != nil {
		return op.begun
	}
	return c.headBegun()
}

// oldestAge is how long ago that was; 0: never.
func (w *writeQueue) oldestAge() time.Duration {
	begun := w.oldest()
	if begun == 0 {
		return 0
	}
	return max(engine.SinceStart()-begun, 1)
}

// liveFrom returns the first entry from that number on that is neither a hole nor over.
func (w *writeQueue) liveFrom(from uint64) (at spot, ok bool) {
	if w.solo[0] != nil && w.soloSeq >= from {
		return spot{}, true
	}
	for c := w.chunks.first; c != nil; c = c.next {
		live := c.live
		if from > c.seq {
			live &^= 1<<min(from-c.seq, 32) - 1
		}
		if live != 0 {
			return spot{c, bits.TrailingZeros32(live)}, true
		}
	}
	return spot{}, false
}

// after returns the live entry behind that one.
func (w *writeQueue) after(at spot) (next spot, ok bool) {
	c := w.chunks.first
	if at.c != nil {
		if live := at.c.live >> at.index >> 1; live != 0 {
			return spot{at.c, at.index + 1 + bits.TrailingZeros32(live)}, true
		}
		c = at.c.next
	}
	if c == nil {
		return spot{}, false
	}
	return spot{c, c.firstLive()}, true
}

// claim puts what is queued in flight. Under OverflowDropOldest that is half of what the limits allow, at least one and no
// more than one send takes, so that there is always something to drop.
func (w *writeQueue) claim() {
	switch {
	case w.config.Overflow == OverflowDropOldest:
		w.claimHalf()
	case w.chunks.last != nil:
		w.claimed = w.lastSeq() + 1
	case w.solo[0] != nil:
		w.claimed = w.soloSeq + 1
	}
}

func (w *writeQueue) claimHalf() {
	writes, bytes := w.config.leastLimits()
	writes, bytes = min(writes/2, maxVectors), bytes/2
	first := true
	for at, ok := w.head(); ok; at, ok = w.after(at) {
		e := w.entryOf(at)
		writes, bytes = writes-1, bytes-e.size()
		if !first && (writes < 0 || bytes < 0) {
			return
		}
		first = false
		w.claimed = max(w.claimed, w.seqOf(at)+1)
	}
}

// unclaim gives back what is in flight from the number end on, so that it can be cancelled again. An entry of which the engine
// has taken some stays in flight.
func (w *writeQueue) unclaim(end uint64) {
	behind := w.taken.at // the number behind the last entry of which the engine has taken some
	if w.taken.offset > 0 {
		behind++
	}
	w.claimed = min(w.claimed, max(end, behind))
	if w.claimed == w.taken.at && w.done != w.taken {
		w.endInFlight()
	}
}

// endInFlight has what is in flight end with a live entry. The engine has taken all of it and still holds some; the last
// entries may have been cut meanwhile, and nothing would move claimed past them.
func (w *writeQueue) endInFlight() {
	end := w.done.at
	for at, ok := w.head(); ok && w.seqOf(at) < w.claimed; at, ok = w.after(at) {
		end = w.seqOf(at) + 1
	}
	w.claimed, w.taken = end, place{end, 0}
}

// started reports whether some of op, which is in the queue, may be out.
func (w *writeQueue) started(op *operation) bool { return w.seqOf(spotOf(op)) < w.claimed }

// writeStep is what the owner of the direction does next.
type writeStep uint8

const (
	stepRest     writeStep = iota // nothing: the direction was given up
	stepSend                      // make an attempt with what is in flight
	stepShutdown                  // send the end
	stepPark                      // nothing: the direction stands still for a move
	stepMove                      // make the move: the other direction stands still as well
	stepYield                     // nothing: the direction was given up, and the loop is to go on
)

// decide ends and admits what is due, and says what the owner does next. moving says that the stream is changing its engine,
// over that the turn is over. held says that the engine holds bytes that are not in the kernel: until they are, the owner goes
// on sending. Behind a tear after which nobody may go on it does not: half a message is out, and what is held would follow it.
func (w *writeQueue) decide(moving, over, held bool, fx *writeEffects) writeStep {
	if w.cutting() {
		w.applyCuts(fx)
	}
	held = held && (w.tear == nil || w.tear.resumable)
	w.clock = 0
	if w.empty() && !moving && !held && w.fin == finNone && w.roomHead() == nil { // the way of a write that was alone
		w.rest(&fx.effects)
		w.tidy(fx)
		return stepRest
	}
	if moving {
		w.park(fx)
		return stepPark
	}
	w.failHeads(fx)
	for w.more(fx) { // all that is claimed may have to fail, and then there may be more
		w.claim()
		w.failHeads(fx)
		if w.inFlight() {
			break
		}
	}
	next, busy := stepSend, held || w.inFlight()
	switch {
	case busy && over: // let the others of the loop have a turn
		w.unclaim(0)
		w.phase = resting
		next = stepYield
	case busy:
	case w.finAhead(): // nobody waits for room either, who would have been let in
		w.fin.send()
		w.phase = waiting
		next = stepShutdown
	default:
		w.rest(&fx.effects)
		next = stepRest
	}
	if op := w.solo[0]; op != nil && op.begun == 0 { // Begin's own attempt has not finished it: from now on it has an age
		op.begun = engine.SinceStart()
	}
	w.tidy(fx)
	return next
}

// more reports whether something is to be claimed. When nothing is on its way any more, whoever waits for room is let in.
func (w *writeQueue) more(fx *writeEffects) bool {
	if w.roomWanted.Load() {
		w.serveRoom(fx)
	}
	return w.waits() || !w.inFlight() && w.letIn(fx)
}

// own makes the caller the owner of the idle direction, with op in flight.
func (w *writeQueue) own(op *operation, as phase) {
	w.solo[0], w.soloSeq = op, w.next
	w.next++
	w.claimed, w.phase = w.next, as
}

// ownBlocking makes the caller the owner of the idle direction, with the blocking write op in flight, which needs no room.
func (w *writeQueue) ownBlocking(op *operation) {
	w.forceCharge(op.size)
	op.room = roomHeld
	w.calling = true
	w.own(op, waiting)
}

// returned notes that the engine has come back, if it has.
func (w *writeQueue) returned() {
	if w.phase != waiting {
		return
	}
	w.side.returned()
	w.calling = false
	w.fin.returned()
}

// await has the owner give the direction to the engine, which waits, or keeps what is in flight before the number end.
// Nothing in flight is to be cut.
func (w *writeQueue) await(end uint64) {
	w.unclaim(end)
	w.phase = waiting
}

// park stops the direction for a move. What is queued can be taken back meanwhile.
func (w *writeQueue) park(fx *writeEffects) {
	w.phase = parked
	w.unclaim(0)
	w.tidy(fx)
}

// moved gives the direction up after a move. What was to stop meanwhile ends here: a cut that is left would hit the next
// write.
func (w *writeQueue) moved(fx *writeEffects) {
	w.phase = resting
	if w.cutting() {
		w.applyCuts(fx)
	}
}
