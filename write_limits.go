package netstream

import "math"

// admits reports whether a write of that size may join so many writes of so many bytes.
func (c *Config) admits(writes, bytes, size int64) bool {
	if writes == 0 {
		return true
	}
	return writes < int64(c.MaxPendingWrites) && bytes+min(size, maxCounted) <= c.MaxPendingBytes
}

// leastLimits are the smaller limits of the stream's and its group's.
func (c *Config) leastLimits() (writes, bytes int64) {
	writes, bytes = math.MaxInt64, math.MaxInt64
	lower := func(w, b int64) {
		if w > 0 {
			writes = min(writes, w)
		}
		if b > 0 {
			bytes = min(bytes, b)
		}
	}
	lower(int64(c.MaxPendingWrites), c.MaxPendingBytes)
	if g := c.Group; g != nil {
		lower(int64(g.MaxPendingWrites), g.MaxPendingBytes)
	}
	return writes, bytes
}

// load is one write and its bytes in one word, so that one atomic addition counts both:
//
//	bit 63......40 39.......0
//	    writes     bytes
//
// Sums wrap around. A difference is right because what is pending always fits: a limit is at most mostBytes and
// mostWrites, and at most one write beyond it is let in, which counts for at most maxCounted.
type load uint64

const (
	loadBytes  = 40
	mostBytes  = 1 << (loadBytes - 1)
	mostWrites = 1 << (64 - loadBytes - 1)
	maxCounted = 1 << (loadBytes - 2)
)

func loadOf(size int64) load { return 1<<loadBytes + load(min(size, maxCounted)) }

func (l load) split() (writes, bytes int64) {
	return int64(l >> loadBytes), int64(l & (1<<loadBytes - 1))
}

// fits reports whether a write of that size would be admitted. A write larger than a limit is admitted to an empty
// queue.
func (w *writeQueue) fits(size int64) bool {
	if writes, bytes := (w.admitted - w.seen).split(); w.config.admits(writes, bytes, size) {
		return true
	}
	w.seen = load(w.discharged.Load())
	writes, bytes := (w.admitted - w.seen).split()
	return w.config.admits(writes, bytes, size)
}

// hasRoom reports whether Begin would admit a write of that size without dropping, if nobody waited for room.
func (w *writeQueue) hasRoom(size int64) bool {
	g := w.config.Group
	return !w.piledUp() && w.fits(size) && (g == nil || g.fits(size))
}

// pending returns the writes that count against the limits, and their bytes.
func (w *writeQueue) pending() (writes, bytes int64) {
	return (w.admitted - load(w.discharged.Load())).split()
}

// charge counts a write of that size as pending if there is room for it, here and in the group.
func (w *writeQueue) charge(size int64) bool {
	if !w.fits(size) {
		return false
	}
	if g := w.config.Group; g != nil && !g.charge(size) {
		return false
	}
	w.admitted += loadOf(size)
	return true
}

// forceCharge counts a write as pending whatever the limits say: nothing is ahead of it.
func (w *writeQueue) forceCharge(size int64) {
	if g := w.config.Group; g != nil {
		g.force(size)
	}
	w.seen = load(w.discharged.Load()) // fits does not, if no write is begun between the blocking ones
	w.admitted += loadOf(size)
}

// freed is room that writes give up together.
type freed struct {
	load   load
	bytes  int64
	writes int64
}

func (f *freed) add(size int64) {
	f.load += loadOf(size)
	f.bytes += size
	f.writes++
}

// discharge takes writes off the count. It needs no mu; whoever waits for the room is let in by tidy.
func (w *writeQueue) discharge(f freed) {
	w.discharged.Add(uint64(f.load))
	if g := w.config.Group; g != nil {
		g.discharge(f.writes, f.bytes)
	}
}

// uncount takes one write of that size off the count.
func (w *writeQueue) uncount(size int64) { w.uncountIn(w.config.Group, size) }

// uncountIn is uncount for whoever knows the group.
func (w *writeQueue) uncountIn(g *Group, size int64) {
	w.discharged.Add(uint64(loadOf(size)))
	if g != nil {
		g.discharge(1, size)
	}
}

// uncharge takes op off the count.
func (w *writeQueue) uncharge(op *operation) {
	op.room = roomNone
	w.uncount(op.size)
}

// shrink makes n the size of op, which is in flight, and takes the rest off the counts.
func (w *writeQueue) shrink(op *operation, n int64) {
	w.discharged.Add(uint64(op.size - n))
	if g := w.config.Group; g != nil {
		g.shrink(op.size, n)
	}
	op.size = n
}

// giveUpRoom takes op, which is over, off the count, unless it counts until its callback starts. Under
// OverflowDropOldest such a one is piled up instead.
func (w *writeQueue) giveUpRoom(op *operation) {
	if w.roomEnds(op, w.config.Overflow == OverflowDropOldest) {
		w.uncount(op.size)
	}
}

// roomEnds is giveUpRoom up to the count itself, which the caller changes if roomEnds says so.
func (w *writeQueue) roomEnds(op *operation, dropOldest bool) bool {
	switch {
	case op.room != roomHeld:
		return false
	case op.callback == nil:
		op.room = roomNone
		return true
	case dropOldest:
		op.room = roomPiled
		w.piled.Add(1)
		return true
	}
	return false
}

// maxPiled bounds the writes that hold no room and whose callbacks wait to start. It is far above what a callback that
// runs leaves behind, whatever the limits are.
const maxPiled = DefaultMaxPendingWrites

// piledUp reports whether no write is begun before more callbacks have started.
func (w *writeQueue) piledUp() bool {
	return w.config.Overflow == OverflowDropOldest && w.piled.Load() >= maxPiled
}

// admit counts a write of that size as pending if that needs no dropping. Nobody overtakes those who wait for room.
func (w *writeQueue) admit(size int64) bool {
	return !w.piledUp() && w.roomWrites == 0 && w.charge(size)
}

// makeRoom is admit for a queue that is full: it drops what was begun first and has not started, if that is the
// policy and it helps.
func (w *writeQueue) makeRoom(size int64, fx *writeEffects) (admitted bool) {
	if w.config.Overflow != OverflowDropOldest || w.piledUp() || !w.dropHelps(size) {
		return false
	}
	for at, ok := w.liveFrom(w.claimed); ok; {
		next, more := w.after(at)
		if admitted = w.drop(at, fx) && w.admit(size); admitted {
			break
		}
		at, ok = next, more
	}
	w.serveDrains(fx)
	return admitted
}

// dropHelps reports whether dropping queued writes would make room for one of that size, so that nothing is dropped in vain. The
// blocking writes that wait for room are let in first, so their room has to be made as well. It stops at the first entry that
// would be enough.
func (w *writeQueue) dropHelps(size int64) bool {
	g := w.config.Group
	pendingWrites, pendingBytes := w.pending()
	var writes, bytes int64 // of the blocking writes that are let in first, less those that are dropped
	// A WaitRoom reserves nothing, but holds up those behind it until there is the room that it asks for. asked is the most that
	// there has to be room for because of one so far, ahead the same of those that stand ahead of a blocking write.
	var asked, ahead int64
	for op := w.roomHead(); op != nil; op = op.next {
		if op.kind == kindRoom {
			asked = max(asked, bytes+min(op.size, maxCounted))
			continue
		}
		writes, bytes, ahead = writes+1, bytes+op.size, asked
	}
	size = max(size, ahead-bytes)
	for at, ok := w.liveFrom(w.claimed); ok; at, ok = w.after(at) {
		e := w.entryOf(at)
		if e.blocks() {
			continue
		}
		writes, bytes = writes-1, bytes-e.size()
		if w.config.admits(pendingWrites+writes, pendingBytes+bytes, size) &&
			(g == nil || g.within(g.limits.bytes.Load()+bytes+size, g.limits.writes.Load()+writes+1)) {
			return true
		}
	}
	return false
}

// drop drops an entry that has not started, if nobody waits for it.
func (w *writeQueue) drop(at spot, fx *writeEffects) bool {
	e := w.entryOf(at)
	if e.blocks() {
		return false
	}
	w.remove(at, fx)
	fx.dropped++
	fx.rare = true
	if e.op == nil {
		w.uncount(int64(len(e.p)))
	} else {
		w.endFailed(e.op, &IOError{Err: ErrDropped}, fx)
	}
	if w.roomWanted.Load() {
		w.serveRoom(fx)
	}
	return true
}

// enterRoom has op wait for room. Its group, if there is one, knows already that somebody does.
func (w *writeQueue) enterRoom(op *operation, fx *writeEffects) {
	op.stage = awaitsRoom
	w.rarely().waiters.room.pushBack(op)
	if op.kind != kindRoom {
		w.roomWrites++
	}
	w.roomWanted.Store(true)
	w.serveRoom(fx) // room may have come between the look and the store
}

func (w *writeQueue) leaveRoom(op *operation, fx *writeEffects) {
	op.stage = queued
	w.uncommon.waiters.room.remove(op)
	if op.kind != kindRoom {
		w.roomWrites--
	}
	if w.roomHead() == nil {
		w.roomWanted.Store(false)
		fx.roomLeft, fx.rare = true, true
	}
}

// serveRoom admits those who wait for room, first come first served.
func (w *writeQueue) serveRoom(fx *writeEffects) {
	for op := w.roomHead(); op != nil; op = w.roomHead() {
		if op.kind == kindRoom {
			if !w.hasRoom(op.size) {
				return
			}
			w.leaveRoom(op, fx)
			w.end(op, nil, fx)
			continue
		}
		if !w.charge(op.size) {
			return
		}
		op.room = roomHeld
		w.leaveRoom(op, fx)
		w.push(op)
		fx.flush, fx.rare = true, true
	}
}

// letIn queues the first blocking write that waits for room, although there is none: nothing is on its way any more, so
// it is as if it came now and found nothing ahead. What holds the room are callbacks that have not started, and the one
// that they stand behind may be the one that waits for this very write.
func (w *writeQueue) letIn(fx *writeEffects) bool {
	for op := w.roomHead(); op != nil; op = op.next {
		if op.kind != kindRoom {
			w.leaveRoom(op, fx)
			w.forceCharge(op.size)
			op.room = roomHeld
			w.push(op)
			return true
		}
	}
	return false
}
