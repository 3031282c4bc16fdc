package netstream

import "math/bits"

// account notes that the engine has taken so many bytes more, that so many more are in the kernel, and the error that came
// with it; what is whole there completes. Only the owner calls it, without mu: a thousand completions under mu would stop
// every Begin meanwhile. settle follows, under mu, before anything else.
//
// Its callers, it and what it calls share the first 2 KiB of a loop's goroutine with flush and decide: their frames are kept
// small, see TestLoopFitsTheFirstStack.
func (w *writeQueue) account(taken, done int64, err error, fx *writeEffects) {
	was, together := w.taken, w.taken == w.done && taken == done
	var op *operation
	if !together { // taken moves first: once done has moved past an operation, that may live another life
		w.taken, op = w.pass(was, taken, err, nil)
	}
	var half *operation
	w.done, half = w.pass(w.done, done, err, fx)
	if half != nil {
		half.done = w.done.offset
	}
	if together {
		w.taken, op = w.done, half
	}
	if op != nil && op.vectored {
		fresh := w.taken.offset
		if was.at == w.taken.at {
			fresh -= was.offset
		}
		op.trim(fresh)
	}
}

// accountAlone is account for what most attempts are: one write is in flight, and some of it has gone out. It reports whether
// this was such an attempt. A write that is whole in the kernel ends in settle then, which takes one atomic step less.
func (w *writeQueue) accountAlone(taken, done int64, err error, fx *writeEffects) bool {
	nothingInFlight := w.done.at >= w.claimed // then what is queued is not the owner's to look at
	if taken != done || w.taken != w.done || nothingInFlight {
		return false
	}
	op := w.solo[0]
	if op == nil || w.soloSeq+1 != w.claimed || done == 0 && err != nil || op.fate == fateUnsent {
		return false
	}
	if rest := op.size - w.done.offset; done != rest {
		if done == 0 || done > rest || op.vectored {
			return false
		}
		op.done = w.done.offset + done
		w.done = place{w.soloSeq, op.done}
		w.taken = w.done
		return true
	}
	fx.alone = true
	return true
}

// endAlone ends the write that was alone in flight and has gone out.
func (w *writeQueue) endAlone(fx *writeEffects) {
	op := w.solo[0]
	w.solo[0], w.done = nil, place{w.claimed, 0}
	w.taken = w.done
	op.done = op.size
	w.giveUpRoom(op)
	fx.end(op)
}

// pass moves a mark on by n bytes. With fx it is the mark done: what it passes is over. If the mark then stands inside an
// operation, pass returns that. A write of no bytes behind the n is passed too, unless the attempt has failed with err: it
// may be that write which has failed.
func (w *writeQueue) pass(mark place, n int64, err error, fx *writeEffects) (now place, inside *operation) {
	var passed overs
	offset := mark.offset
	k := w.from(mark.at)
entries:
	for ops, posts := k.next(); ops != nil; ops, posts = k.next() {
		for i, op := range ops {
			e := entryAt(ops, posts, i)
			if e.hole() {
				continue
			}
			rest := e.size() - offset
			switch {
			case e.failsUnsent() || rest == 0 && n == 0 && err != nil:
				break entries
			case rest > n:
				if offset+n > 0 {
					mark, inside = place{k.seq(ops, i), offset + n}, op
				}
				break entries
			}
			n -= rest
			offset, mark = 0, place{k.seq(ops, i) + 1, 0}
			if fx != nil && passed.add(e, fx) {
				w.over(&passed, fx)
			}
		}
	}
	if fx != nil {
		w.over(&passed, fx)
	}
	return mark, inside
}

// overs are operations that are whole in the kernel. They give their room up together: one atomic addition for all.
type overs struct {
	n   int
	ops [8]*operation
}

// add adds the operation of an entry that is over, and reports whether o is full. A post only gives its room up.
func (o *overs) add(e entry, fx *writeEffects) (full bool) {
	if e.op == nil {
		fx.freed.add(int64(len(e.p)))
		return false
	}
	o.ops[o.n] = e.op
	o.n++
	return o.n == len(o.ops)
}

// over completes operations that are whole in the kernel. The queue lets go of them in settle. Their room is free before
// anybody can see that they have completed.
//
// The first loop writes to both cache lines of every operation, so that they are fetched together: another processor was
// the last to write them. An atomic step waits for its line.
func (w *writeQueue) over(passed *overs, fx *writeEffects) {
	ops := passed.ops[:passed.n]
	dropOldest := w.config.Overflow == OverflowDropOldest
	for _, op := range ops {
		op.done = op.size
		if w.roomEnds(op, dropOldest) {
			fx.freed.add(op.size)
		}
		fx.keep(op)
	}
	if fx.freed.writes > 0 {
		w.discharge(fx.freed)
		fx.freed = freed{}
	}
	for _, op := range ops {
		op.complete()
	}
	passed.n = 0
}

// settle lets go of what account found to be over. taken is what account was told. decide follows.
func (w *writeQueue) settle(taken int64, fx *writeEffects) {
	if taken > 0 && w.tear != nil && w.tear.resumable {
		w.tear = nil // not before the next blocking Write goes out: if it failed, others would follow half a message
	}
	switch {
	case fx.alone:
		w.endAlone(fx)
	case w.solo[0] != nil && w.soloSeq < w.done.at:
		w.solo[0] = nil
	}
	if c := w.chunks.first; c != nil && c.seq < w.done.at {
		fx.spend(w.chunks.clearBefore(w.done.at))
	}
}

// tidy serves whoever waits for room or for the queue to drain. Every change to the queue ends with it.
func (w *writeQueue) tidy(fx *writeEffects) {
	if w.roomWanted.Load() {
		w.serveRoom(fx)
	}
	if w.drainsHead() != nil {
		w.serveDrains(fx)
	}
}

// remove takes out an entry that was not sent.
func (w *writeQueue) remove(at spot, fx *writeEffects) {
	if at.c == nil {
		w.solo[0] = nil
		return
	}
	fx.spend(w.chunks.clear(at.c, at.index))
}

// removeStarted is remove for what is in flight. done moves on if it stood there, so does taken, and what is in flight ends
// with a live entry.
func (w *writeQueue) removeStarted(at spot, fx *writeEffects) {
	seq := w.seqOf(at)
	before, ok := w.before(at)
	if !ok {
		w.done = place{seq + 1, 0}
	}
	if w.taken.at == seq || w.taken.at < w.done.at {
		w.taken = place{seq + 1, 0}
	}
	if ok && seq+1 == w.claimed {
		w.claimed = w.seqOf(before) + 1
		if w.taken.at > w.claimed {
			w.taken = place{w.claimed, 0}
		}
	}
	w.remove(at, fx)
}

// before returns the live entry before that one.
func (w *writeQueue) before(at spot) (before spot, ok bool) {
	if at.c == nil {
		return spot{}, false
	}
	if live := at.c.live & (1<<at.index - 1); live != 0 {
		return spot{at.c, bits.Len32(live) - 1}, true
	}
	if c := at.c.prev; c != nil {
		return spot{c, bits.Len32(c.live) - 1}, true
	}
	return spot{}, w.solo[0] != nil
}

// cursor goes through what is in flight, a stretch of entries at a time. Only the owner has one, and needs no mu for it: what
// is behind the last entry in flight may change at any time and is not looked at.
type cursor struct {
	w  *writeQueue
	at uint64 // number behind the stretch
	c  *chunk // where that is; nil: before the chunks
}

func (w *writeQueue) from(at uint64) cursor { return cursor{w: w, at: at} }

// seq is the number of an entry of the stretch.
func (k *cursor) seq(ops []*operation, index int) uint64 { return k.at - uint64(len(ops)-index) }

// next returns the next stretch, as a chunk has it; nil at the end of what is in flight.
func (k *cursor) next() (ops []*operation, posts [][]byte) {
	w, at := k.w, k.at
	if at >= w.claimed {
		return nil, nil
	}
	switch {
	case k.c != nil:
		k.c = k.c.next
	case w.solo[0] != nil && at <= w.soloSeq:
		k.at = w.soloSeq + 1
		return w.solo[:], nil
	default:
		k.c = w.chunks.first
		for at >= k.c.end() {
			k.c = k.c.next
		}
	}
	c := k.c // some entry in flight is still to come, so there is one
	k.at = min(c.end(), w.claimed)
	from, to := max(at, c.seq)-c.seq, k.at-c.seq
	return c.ops[from:to], c.posts[from:to]
}
