package netstream

import (
	"errors"
	"math/bits"
)

// check compares the queue, at rest between two events, with what the rig knows.
func (r *queueRig) check() {
	if r.quiet {
		return
	}
	r.findPending()
	r.checkShape()
	r.checkRoom()
	r.checkDrains()
	r.checkWanted()
}

// checkStopped: the owner has looked, so what was cut in flight is over.
func (r *queueRig) checkStopped() {
	for _, m := range r.messages {
		if m.stops && !m.op.completed() {
			r.failf("message %d was cut, and the owner goes on with it", m.id)
		}
	}
}

// checkWanted: when nobody works and there is something to do, the loop is to go on.
func (r *queueRig) checkWanted() {
	if r.w.phase == resting && !r.wanted && (!r.w.empty() || r.w.finAhead()) {
		r.failf("something is to be done, and nobody will")
	}
}

// checkShape: no chunk without a live entry, no hole that holds memory, what is in flight ends with a live entry.
func (r *queueRig) checkShape() {
	w := &r.w
	var prev *chunk
	for c := w.chunks.first; c != nil; c = c.next {
		switch {
		case c.live == 0:
			r.failf("a chunk without a live entry is kept")
		case c.prev != prev:
			r.failf("the chunks are linked wrongly")
		case c.next != nil && int(c.used) != len(c.ops):
			r.failf("a chunk that is not the last one is not filled")
		case c.next != nil && c.next.seq < c.end(), c.end() < w.next && c.next == nil && int(c.used) < len(c.ops) && c.seq+uint64(c.used) != w.next:
			r.failf("the numbers overlap")
		}
		for i := range c.ops {
			if live := c.live&(1<<i) != 0; live == c.entry(i).hole() {
				r.failf("entry %d: live=%t, hole=%t", i, live, !live)
			}
		}
		prev = c
	}
	if w.chunks.last != prev {
		r.failf("the last chunk is not the last one")
	}
	r.checkHalf()
	if head, ok := w.head(); (w.oldest() != 0) != ok {
		r.failf("head %v, %t; begun at %d", head, ok, w.oldest())
	}
	if w.phase == resting || w.phase == parked {
		r.checkGivenBack()
	}
	if w.phase == resting && w.cutting() {
		r.failf("nobody owns the direction, and a cut is left")
	}
	if w.claimed > w.next || w.done.at > w.claimed || w.taken.at > w.claimed ||
		w.taken.at < w.done.at || w.taken.at == w.done.at && w.taken.offset < w.done.offset {
		r.failf("done %v, taken %v, claimed %d, next %d", w.done, w.taken, w.claimed, w.next)
	}
	if w.inFlight() {
		last := w.soloSeq
		for c := w.chunks.first; c != nil && c.seq < w.claimed; c = c.next {
			if live := c.live & (1<<min(w.claimed-c.seq, 32) - 1); live != 0 {
				last = c.seq + uint64(bits.Len32(live)) - 1
			}
		}
		if last+1 != w.claimed {
			r.failf("what is in flight does not end with a live entry")
		}
	} else if w.phase != waiting && (w.done.offset != 0 || w.taken.offset != 0) {
		r.failf("a mark stands in nothing")
	}
}

// checkGivenBack: where nobody works, only what has started is in flight. The rest can be taken back.
func (r *queueRig) checkGivenBack() {
	started := r.w.taken.at
	if r.w.taken.offset > 0 {
		started++
	}
	if r.w.inFlight() && r.w.claimed > started {
		r.failf("up to %d is in flight, and %d has started", r.w.claimed, started)
	}
}

// checkHalf: under OverflowDropOldest half of what the limits allow is in flight at most, and at least one.
func (r *queueRig) checkHalf() {
	if r.config.Overflow != OverflowDropOldest {
		return
	}
	var writes, bytes int64
	for at, ok := r.w.head(); ok && r.w.seqOf(at) < r.w.claimed; at, ok = r.w.after(at) {
		e := r.w.entryOf(at)
		writes, bytes = writes+1, bytes+e.size()
	}
	over := func(mostWrites, mostBytes int64) bool {
		return mostWrites > 0 && writes > max(mostWrites/2, 1) || mostBytes > 0 && writes > 1 && bytes > mostBytes/2
	}
	g := r.config.Group
	if over(int64(r.config.MaxPendingWrites), r.config.MaxPendingBytes) || g != nil && over(int64(g.MaxPendingWrites), g.MaxPendingBytes) {
		r.failf("%d writes of %d bytes are in flight", writes, bytes)
	}
}

// checkDrains: a Drain is served when everything called before it is over, and the end is sent if there is one, and not
// before.
func (r *queueRig) checkDrains() {
	for _, d := range r.drains {
		due := r.w.fin != finSending && !r.w.finAhead() && (r.held == 0 || r.held > d.op.rarely().seq)
		for _, m := range r.messages[:d.behind] {
			due = due && !m.pending
		}
		if d.served && d.when != len(r.events) {
			continue // checked then
		}
		if due != d.served {
			r.failf("a Drain behind %d messages: served=%t, want %t", d.behind, d.served, due)
		}
	}
}

// windUp lets everything go its way to the end, and checks what came of it.
func (r *queueRig) windUp() {
	r.Helper()
	r.events = append(r.events, "wind up")
	for range 1000 {
		if r.moved() || r.take() || r.attempt(1<<20, true, nil) || r.comeBack(1<<20, nil) || r.start() {
			r.check()
			continue
		}
		break
	}
	if !r.w.idle() || r.w.roomHead() != nil || len(r.ready) > 0 {
		r.failf("it does not come to rest: phase %d", r.w.phase)
	}
	if writes, bytes := r.w.pending(); writes != 0 || bytes != 0 {
		r.failf("%d writes of %d bytes are pending at the end", writes, bytes)
	}
	if sent := r.w.fin == finSent; r.w.finAhead() || sent != r.finSent {
		r.failf("the end was sent: %t; it stands at %d", r.finSent, r.w.fin)
	}
	for _, d := range r.drains {
		if !d.served {
			r.failf("a Drain was not served")
		}
		d.op.release(2)
	}
	if half := len(r.wire) > 0 && r.halfOut(); r.asked && !half && !r.undoneEver && !r.finSent {
		r.failf("the end was asked for, and not sent")
	}
	r.checkWire()
	r.checkTold()
	for _, c := range r.rooms {
		c.op.release(1)
	}
	for _, m := range r.messages {
		if m.op != nil {
			if held := m.op.word.Load() & opHolderMask / opHolder; held != 1 && !m.callback || held > 2 {
				r.failf("%d hold message %d", held, m.id)
			}
			m.op.release(m.op.word.Load() & opHolderMask / opHolder)
		}
	}
}

// checkWire: messages are out in the order of their calls, whole, and never twice; what failed says how much of it is out;
// nothing follows half a message, or a post that was lost, but the next blocking Write behind one.
func (r *queueRig) checkWire() {
	r.Helper()
	out := make([]int, len(r.messages))
	last := 0
	for _, b := range r.wire {
		id, at := int(b>>2), int(b&3)
		if id < last || at != out[id] {
			r.failf("byte %d of message %d is on the wire behind byte %d of message %d", at, id, out[last]-1, last)
		}
		out[id]++
		last = id
	}
	posts, droppedWrites, cutAt := 0, 0, -1
	for _, m := range r.messages {
		n := out[m.id]
		if n > 0 && cutAt >= 0 {
			half := r.messages[cutAt]
			if half.op == nil || !half.resumable || !m.resumable || !m.torn {
				r.failf("message %d follows message %d, which is not whole", m.id, cutAt)
			}
			cutAt = -1
		}
		if m.op == nil {
			if n == len(m.p) {
				posts++
			} else if r.lost > 0 && (n > 0 || r.dropped == 0) {
				cutAt = m.id
			}
			continue
		}
		r.checkOutcome(m, n)
		if errors.Is(m.op.failure(), ErrDropped) {
			droppedWrites++
		}
		if n > 0 && n < len(m.p) {
			cutAt = m.id
		}
	}
	if len(r.wire) > 0 && out[last] < len(r.messages[last].p) && !r.w.halfOut() {
		r.failf("message %d is half out, and the stream would end in good order", last)
	}
	all := 0
	for _, m := range r.messages {
		if m.op == nil {
			all++
		}
	}
	if !r.undoneEver && all != posts+r.lost+r.dropped-droppedWrites {
		r.failf("of %d posts %d were sent, %d lost and %d dropped", all, posts, r.lost, r.dropped-droppedWrites)
	}
	if r.lost > 0 && (r.w.tear == nil || r.w.tear.resumable) {
		r.failf("a post was lost and the stream may go on")
	}
}

func (r *queueRig) checkOutcome(m *rigMessage, out int) {
	r.Helper()
	err := m.op.failure()
	if err == nil && m.late {
		r.failf("message %d was begun after CloseWrite and has succeeded", m.id)
	}
	if err == nil {
		if out != len(m.p) {
			r.failf("message %d has succeeded with %d of %d bytes on the wire", m.id, out, len(m.p))
		}
		return
	}
	var failure *IOError
	if !errors.As(err, &failure) {
		r.failf("message %d: %v", m.id, err)
	}
	if !m.cut && !failure.Torn && r.lost == 0 && errors.Is(err, errRig) {
		r.failf("message %d ends with a cut from before it was begun", m.id)
	}
	if m.resumable && m.cut && failure.Err == error(errRig) && !r.tornForGood() && failure.N != int64(out) {
		r.failf("message %d was cut and says %d, %d bytes are on the wire: its caller goes on from there", m.id, failure.N, out)
	}
	if r.undoneEver {
		if failure.N > int64(out) {
			r.failf("message %d has failed at %d, %d bytes are on the wire", m.id, failure.N, out)
		}
		return
	}
	if shared := failure.N == 0 && out == 0; !shared && (failure.N != int64(out) || failure.Torn != (out > 0 && out < len(m.p))) {
		r.failf("message %d has failed at %d, torn=%t; %d bytes are on the wire", m.id, failure.N, failure.Torn, out)
	}
	if m.op.done != failure.N {
		r.failf("message %d has failed at %d, and says %d", m.id, failure.N, m.op.done)
	}
}

// depth of a chunk list, for the tests of memory.
func (l *chunkList) count() (chunks, entries int) {
	for c := l.first; c != nil; c = c.next {
		chunks++
		entries += bits.OnesCount32(c.live)
	}
	return chunks, entries
}
