package netstream

import (
	"context"
	"math"
)

// fitsLocked reports whether a write of that size would be admitted. A write larger than a limit is admitted to
// an empty queue.
func (s *NetworkStream) fitsLocked(size int64) bool {
	writes, bytes := s.write.pendingLocked()
	return s.config.admits(writes, bytes, size)
}

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

// pendingLocked returns the writes that count against the limits, and their bytes.
func (w *writeQueue) pendingLocked() (writes, bytes int64) {
	d := uint64(w.begun) - w.discharged.Load()
	return int64(d >> loadBytes), int64(d & (1<<loadBytes - 1))
}

// chargeLocked counts op as pending if there is room for it, here and in the group.
func (s *NetworkStream) chargeLocked(op *operation) bool {
	if !s.fitsLocked(op.size) {
		return false
	}
	if g := s.config.Group; g != nil && !g.charge(op.size) {
		return false
	}
	s.countLocked(op)
	return true
}

// forceChargeLocked counts op as pending whatever the limits say: nothing is ahead of it.
func (s *NetworkStream) forceChargeLocked(op *operation) {
	if g := s.config.Group; g != nil {
		g.force(op.size)
	}
	s.countLocked(op)
}

func (s *NetworkStream) countLocked(op *operation) {
	op.charged = true
	s.write.begun += loadOf(op.size)
}

// discharge takes op off the count and lets in whoever waits for the room. The caller does not hold mu.
func (s *NetworkStream) discharge(op *operation) {
	if !op.charged {
		return
	}
	s.uncount(op)
	if s.write.roomWanted.Load() {
		s.mu.Lock()
		s.serveRoomLocked()
		s.unlock()
	}
}

func (s *NetworkStream) unchargeLocked(op *operation) {
	s.uncount(op)
	if s.write.roomWanted.Load() {
		s.serveRoomLocked()
	}
}

func (s *NetworkStream) uncount(op *operation) {
	op.charged = false
	s.write.discharged.Add(uint64(loadOf(op.size)))
	if g := s.config.Group; g != nil {
		g.discharge(op.size)
	}
}

// serveRoomLocked admits those who wait for room, first come first served.
func (s *NetworkStream) serveRoomLocked() {
	w := &s.write
	for op := w.room.head; op != nil; op = w.room.head {
		if op.kind == kindRoom {
			if !s.fitsLocked(op.size) || s.config.Group != nil && !s.config.Group.fits(op.size) {
				return
			}
			s.leaveRoomLocked(op)
			s.finishLocked(&w.opQueue, op, nil)
			continue
		}
		if !s.chargeLocked(op) {
			return
		}
		s.leaveRoomLocked(op)
		w.enqueueLocked(op)
		s.wantFlushLocked()
	}
}

// letInLocked queues the first blocking write that waits for room, although there is none: nothing is on its way
// any more, so it is as if it came now and found nothing ahead. What holds the room are callbacks that have not
// started, and the one that they stand behind may be the one that waits for this very write.
func (s *NetworkStream) letInLocked() bool {
	for op := s.write.room.head; op != nil; op = op.next {
		if op.kind != kindRoom {
			s.leaveRoomLocked(op)
			s.forceChargeLocked(op)
			s.write.enqueueLocked(op)
			return true
		}
	}
	return false
}

func (s *NetworkStream) enterRoomLocked(op *operation) {
	w := &s.write
	op.inRoom = true
	w.room.pushBack(op)
	if op.kind != kindRoom {
		w.roomWrites++
	}
	w.roomWanted.Store(true)
	if g := s.config.Group; g != nil {
		g.want(s)
	}
	s.serveRoomLocked() // room may have come between the look and the store
}

func (s *NetworkStream) leaveRoomLocked(op *operation) {
	w := &s.write
	op.inRoom = false
	w.room.remove(op)
	if op.kind != kindRoom {
		w.roomWrites--
	}
	if w.room.empty() {
		w.roomWanted.Store(false)
		if g := s.config.Group; g != nil {
			g.unwant(s)
		}
	}
}

// roomForLocked makes room by dropping, if that is the overflow policy, and reports whether op was admitted.
func (s *NetworkStream) roomForLocked(op *operation) bool {
	w, drop := &s.write, s.config.Overflow == OverflowDropOldest
	if drop && w.piled.Load() >= maxPiled {
		return false
	}
	if w.roomWrites == 0 && s.chargeLocked(op) {
		return true
	}
	if !drop || !s.dropHelpsLocked(op.size) {
		return false
	}
	for old := w.queued.head; old != nil; {
		next := old.next
		if !old.blocking {
			s.dropLocked(old)
			if w.roomWrites == 0 && s.chargeLocked(op) {
				return true
			}
		}
		old = next
	}
	return false
}

// maxPiled bounds the writes that hold no room and whose callbacks wait to start. It is far above what a callback that
// runs leaves behind, whatever the limits are.
const maxPiled = DefaultMaxPendingWrites

// pile counts op, which OverflowDropOldest lets give its room up before its callback has started.
func (s *NetworkStream) pile(op *operation) {
	op.piled = true
	s.write.piled.Add(1)
}

// dropHelpsLocked reports whether a write of that size would be admitted if queued ones were dropped, behind the
// blocking writes that wait for room already. Nothing is dropped in vain. It looks no further than it has to.
func (s *NetworkStream) dropHelpsLocked(size int64) bool {
	w, g := &s.write, s.config.Group
	pendingWrites, pendingBytes := w.pendingLocked()
	var writes, bytes int64 // that come with it, less those that go
	for op := w.room.head; op != nil; op = op.next {
		if op.kind != kindRoom {
			writes, bytes = writes+1, bytes+op.size
		}
	}
	for old := w.queued.head; old != nil; old = old.next {
		if old.blocking {
			continue
		}
		writes, bytes = writes-1, bytes-old.size
		if s.config.admits(pendingWrites+writes, pendingBytes+bytes, size) &&
			(g == nil || g.within(g.pendingBytes.Load()+bytes+size, g.pendingWrites.Load()+writes+1)) {
			return true
		}
	}
	return false
}

func (s *NetworkStream) dropLocked(op *operation) {
	s.counters.dropped++
	s.write.queued.remove(op)
	s.failWriteLocked(op, &IOError{Err: ErrDropped})
}

// WaitRoom returns nil when a Begin of a write of that many bytes would be admitted, as far as can be known
// while others write too. It waits in line with blocking writes. Errors: ctx.Err, a closed stream.
func (s *NetworkStream) WaitRoom(ctx context.Context, bytes int64) error {
	if ctx == nil {
		return &ArgumentNullError{ParamName: "ctx"}
	}
	if bytes < 0 {
		return &ArgumentOutOfRangeError{ParamName: "bytes", ActualValue: bytes}
	}
	if err := ctx.Err(); err != nil {
		return s.opError("write", &IOError{Err: canceledError(err)})
	}
	s.mu.Lock()
	if err := s.writableLocked(); err != nil {
		s.mu.Unlock()
		return s.opError("write", err)
	}
	op := newOperation(&s.owner, kindRoom, nil, nil)
	op.size, op.blocking = bytes, true
	s.enterRoomLocked(op)
	s.unlock()
	return s.waitBlocking(ctx, op, 0)
}

// Pending returns the writes that were begun and whose callback has not started (or which have not completed,
// when they have none, and under [OverflowDropOldest]), and their bytes, of which one write counts for 256 GiB at most. It
// may be called from any goroutine at any time.
func (s *NetworkStream) Pending() (writes int, bytes int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w, b := s.write.pendingLocked()
	return int(w), b
}

// Drain waits until every write begun before the call has completed. It returns nil when all writes begun so
// far have succeeded, else the first failure. After CloseWrite it waits until the end has been sent as well, and returns
// why it could not be. It does not wait for callbacks, so a callback may call it.
func (s *NetworkStream) Drain(ctx context.Context) error {
	if ctx == nil {
		return &ArgumentNullError{ParamName: "ctx"}
	}
	if err := ctx.Err(); err != nil {
		return s.opError("write", &IOError{Err: canceledError(err)})
	}
	s.helpFlush()
	s.mu.Lock()
	op := newOperation(&s.owner, kindDrain, nil, nil)
	op.seq, op.blocking = s.write.nextSeq+uint64(s.write.roomWrites), true
	s.write.drains.pushBack(op)
	s.serveDrainsLocked()
	s.unlock()
	return s.waitBlocking(ctx, op, 0)
}

// finAheadLocked reports whether the end behind the last write is still to be sent.
func (s *NetworkStream) finAheadLocked() bool {
	w := &s.write
	return w.finAsked && !w.finSent && w.torn == nil && s.disposedLocked() == nil
}

// serveDrainsLocked completes the Drain calls that wait for nothing any more.
func (s *NetworkStream) serveDrainsLocked() {
	w := &s.write
	if w.drains.empty() || w.finBusy || s.finAheadLocked() {
		return
	}
	first := w.firstSeq
	if op := w.queued.head; op != nil {
		first = min(first, op.seq)
	}
	if w.roomWrites > 0 {
		first = min(first, w.nextSeq)
	}
	for op := w.drains.head; op != nil; {
		next := op.next
		if first >= op.seq {
			w.drains.remove(op)
			s.finishLocked(&w.opQueue, op, s.firstFailureLocked())
		}
		op = next
	}
}
