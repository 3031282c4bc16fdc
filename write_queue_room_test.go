package netstream

import "errors"

// What a rig knows of room: who holds it, who waits for it, and what has to be dropped for a new write.

// roomCall is a WaitRoom.
type roomCall struct {
	op     *operation
	behind int // messages called before it
	served bool
	cut    bool
}

// waitRoom is WaitRoom.
func (r *queueRig) waitRoom(size int64) bool {
	if len(r.rooms) > 3 {
		return false
	}
	c := &roomCall{op: newOperation(&r.owner, kindRoom, nil, nil), behind: len(r.messages)}
	c.op.caller, c.op.size = byBlocking, size
	r.rooms = append(r.rooms, c)
	r.enterRoom(c.op)
	return true
}

// enterRoom has op wait for room, as the stream does.
func (r *queueRig) enterRoom(op *operation) {
	r.line = append(r.line, op)
	r.groupWants = true
	var fx writeEffects
	r.w.enterRoom(op, &fx)
	r.carryOut(&fx)
}

// cutRoom takes the first WaitRoom that waits back.
func (r *queueRig) cutRoom() bool {
	for _, c := range r.rooms {
		if c.op.stage != awaitsRoom {
			continue
		}
		c.cut = true
		var fx writeEffects
		r.w.cut(c.op, errRig, &fx)
		r.carryOut(&fx)
		if !c.op.completed() || c.op.failure() == nil {
			r.failf("a WaitRoom that was taken back has not completed")
		}
		return true
	}
	return false
}

// holding counts the messages that hold room.
func (r *queueRig) holding() (writes, bytes, piled int64) {
	for _, m := range r.messages {
		m.counts = false
		if m.op != nil && m.op.stage == awaitsRoom {
			continue
		}
		waits := !m.pending && m.callback && !m.called && !m.freed
		if waits && r.config.Overflow == OverflowDropOldest {
			piled++
			waits = false
		}
		if m.pending || waits {
			m.counts = true
			writes++
			bytes += int64(len(m.p))
		}
	}
	return writes, bytes, piled
}

// fits reports whether a write of that size may join so many writes of so many bytes. The stream is alone in its group.
func (r *queueRig) fits(writes, bytes, size int64) bool {
	below := func(mostWrites, mostBytes int64) bool {
		return (mostWrites == 0 || writes < mostWrites) && (mostBytes == 0 || size <= mostBytes-bytes)
	}
	g := r.config.Group
	return writes == 0 || below(int64(r.config.MaxPendingWrites), r.config.MaxPendingBytes) &&
		(g == nil || below(int64(g.MaxPendingWrites), g.MaxPendingBytes))
}

// admit is what Begin and Post do first. It checks that just so much is dropped, oldest first, as lets the new write in, or
// nothing.
func (r *queueRig) admit(size int64, fx *writeEffects) bool {
	if r.quiet {
		return r.w.admit(size) || r.w.makeRoom(size, fx)
	}
	r.findPending()
	var waiting []*rigMessage
	for _, m := range r.messages {
		if m.pending && (m.op == nil || m.op.stage != awaitsRoom && !m.op.blocking()) && m.seq >= r.w.claimed {
			waiting = append(waiting, m)
		}
	}
	admitted, drops := r.admission(size, waiting)
	if got := r.w.admit(size) || r.w.makeRoom(size, fx); got != admitted {
		r.failf("a write of %d bytes is admitted: %t, want %t", size, got, admitted)
	}
	r.findPending()
	for i, m := range waiting {
		if m.pending != (i >= drops) {
			r.failf("message %d of %d that could be dropped is still there: %t; %d have to go", i, len(waiting), m.pending, drops)
		}
	}
	return admitted
}

// admission returns whether a new write is to be admitted, and how many of those waiting have to be dropped for it.
func (r *queueRig) admission(size int64, waiting []*rigMessage) (admitted bool, drops int) {
	writes, bytes, _ := r.holding()
	var line []*operation
	ahead := 0 // writes in line
	for _, op := range r.line {
		if op.stage == awaitsRoom {
			line = append(line, op)
			if op.kind != kindRoom {
				ahead++
			}
		}
	}
	if ahead == 0 && r.fits(writes, bytes, size) {
		return true, 0
	}
	if r.config.Overflow != OverflowDropOldest {
		return false, 0
	}
	for i, m := range waiting {
		writes, bytes = writes-1, bytes-int64(len(m.p))
		for len(line) > 0 && r.fits(writes, bytes, line[0].size) {
			if line[0].kind != kindRoom {
				writes, bytes, ahead = writes+1, bytes+line[0].size, ahead-1
			}
			line = line[1:]
		}
		if ahead == 0 && r.fits(writes, bytes, size) {
			return true, i + 1
		}
	}
	return false, 0
}

// before notes who holds room, and who waits for it, before an event.
func (r *queueRig) before() {
	if r.quiet {
		return
	}
	r.findPending()
	r.holding()
	for _, m := range r.messages {
		m.counted = m.counts
	}
	for _, c := range r.rooms {
		c.served = c.op.completed()
	}
}

// checkRoom: what counts is what is in the queue, and what has completed and waits for its callback.
func (r *queueRig) checkRoom() {
	for _, m := range r.messages {
		if m.op != nil && m.pending == m.op.completed() {
			r.failf("message %d: in the queue=%t, completed=%t", m.id, m.pending, !m.pending)
		}
	}
	writes, bytes, piled := r.holding()
	if w, b := r.w.pending(); w != writes || b != bytes {
		r.failf("%d writes of %d bytes are pending, want %d of %d", w, b, writes, bytes)
	}
	if g := r.config.Group; g != nil && (g.limits.writes.Load() != writes || g.limits.bytes.Load() != bytes) {
		r.failf("the group counts %d of %d", g.limits.writes.Load(), g.limits.bytes.Load())
	}
	var head *operation
	inLine, room := 0, 0
	for _, op := range r.line {
		if op.stage != awaitsRoom {
			continue
		}
		if head == nil {
			head = op
		}
		inLine++
		if op.kind != kindRoom {
			room++
		}
	}
	if int64(r.w.piled.Load()) != piled || int(r.w.roomWrites) != room || r.w.roomWanted.Load() != (inLine > 0) {
		r.failf("%d are piled, want %d; %d writes wait for room, want %d", r.w.piled.Load(), piled, r.w.roomWrites, room)
	}
	if r.groupWants != (inLine > 0) {
		r.failf("%d wait for room, and the group thinks that somebody does: %t", inLine, r.groupWants)
	}
	if queued, queuedBytes := r.inQueue(); queued > 1 && (queued > int64(r.config.MaxPendingWrites) || queuedBytes > r.config.MaxPendingBytes) {
		r.failf("%d writes of %d bytes are queued, more than there is room for", queued, queuedBytes)
	}
	if head != nil && r.fits(writes, bytes, head.size) {
		r.failf("somebody waits for room that there is")
	}
	r.checkRoomCalls()
}

// checkRoomCalls: a WaitRoom returns when there is room for it. Those behind it may have taken that at once.
func (r *queueRig) checkRoomCalls() {
	for _, c := range r.rooms {
		if c.served || !c.op.completed() {
			continue
		}
		c.served = true
		err := c.op.failure()
		if err != nil && !c.cut { // a cut may have let it in
			r.failf("WaitRoom: %v", err)
		}
		var writes, bytes int64
		for _, m := range r.messages {
			if m.counts && (m.id < c.behind || m.counted) {
				writes++
				bytes += int64(len(m.p))
			}
		}
		if err == nil && !r.fits(writes, bytes, c.op.size) {
			r.failf("a WaitRoom of %d bytes returns behind %d writes of %d", c.op.size, writes, bytes)
		}
	}
}

// inQueue counts what is in the queue and holds room, without what only waits for its callback.
func (r *queueRig) inQueue() (writes, bytes int64) {
	for at, ok := r.w.head(); ok; at, ok = r.w.after(at) {
		if e := r.w.entryOf(at); e.op == nil || e.op.room == roomHeld {
			writes, bytes = writes+1, bytes+e.size()
		}
	}
	return writes, bytes
}

// told is what the effects of a rig's queue have added up to.
type told struct {
	lost, canceled, shutOut, bytes int64
	posts, dropped                 int
	failed                         uint64
	first, cause                   error
}

func (t *told) add(fx *writeEffects) {
	t.lost += fx.lost
	t.canceled += fx.canceled
	t.shutOut += fx.shutOut
	t.bytes += int64(fx.failures.bytes)
	t.posts += int(fx.failures.posts)
	t.dropped += int(fx.dropped)
	t.failed += fx.failures.count
	if t.first == nil {
		t.first = fx.failures.first
	}
	if t.cause == nil {
		t.cause = fx.failures.lost
	}
}

// checkTold: what is lost, cancelled and dropped is counted to the byte, and each begun write that failed once.
func (r *queueRig) checkTold() {
	r.Helper()
	var want told
	var noted, caused, posts bool
	for i, m := range r.messages {
		switch {
		case m.op == nil:
			n := int64(len(m.p) - r.out(i))
			want.bytes += n
			posts = posts || n > 0
			continue
		case m.op.failure() == nil || m.leftRoom:
			continue
		case m.shutOut:
			want.shutOut += m.op.size
			continue
		}
		var failure *IOError
		errors.As(m.op.failure(), &failure)
		left := m.op.size - m.op.done
		canceled, dropped := failure.Err == errCanceled, failure.Err == ErrDropped
		switch {
		case canceled:
			want.canceled += left
		default:
			want.lost += left
		}
		if m.op.blocking() {
			continue
		}
		noted = true
		if !canceled && !dropped {
			want.failed++
			caused = true
		}
	}
	got := r.told
	if !r.undoneEver && got.dropped == 0 && got.bytes != want.bytes {
		r.failf("%d bytes of posts are lost, want %d", got.bytes, want.bytes)
	}
	lost, wantLost := got.lost+got.shutOut, want.lost+want.shutOut+got.bytes // the cut itself may have let a write in
	if lost != wantLost && !(r.undoneEver && lost > wantLost) || got.shutOut > want.shutOut || got.canceled != want.canceled {
		r.failf("lost %d, cancelled %d, shut out %d bytes; want %d, %d, %d", got.lost, got.canceled, got.shutOut,
			want.lost+got.bytes, want.canceled, want.shutOut)
	}
	if got.failed != want.failed {
		r.failf("%d begun writes have failed, want %d", got.failed, want.failed)
	}
	if (got.first != nil) != (noted || got.posts > 0) || (got.cause != nil) != (caused || got.posts > 0) {
		r.failf("told are %v and %v", got.first, got.cause)
	}
	if posts && got.posts == 0 && got.dropped == 0 {
		r.failf("a post is missing")
	}
}

// out returns how much of a message is on the wire.
func (r *queueRig) out(id int) (n int) {
	for _, b := range r.wire {
		if int(b>>2) == id {
			n++
		}
	}
	return n
}

// halfOut reports whether the wire ends with half a message.
func (r *queueRig) halfOut() bool {
	last := int(r.wire[len(r.wire)-1] >> 2)
	return r.out(last) < len(r.messages[last].p)
}
