package netstream

import "errors"

// What callers, callbacks and the stream do in the rig.

// call makes a new message of those pieces.
func (r *queueRig) call(blocking, resumable bool, sizes ...int) *rigMessage {
	m := &rigMessage{id: len(r.messages), resumable: resumable, torn: r.w.tear != nil}
	size := 0
	for _, n := range sizes {
		size += n
	}
	m.p = m.bytes(0, size)
	m.op = newOperation(&r.owner, kindWrite, nil, nil)
	m.op.caller, m.op.begun = callerOf(blocking, resumable), 1
	if len(sizes) > 1 {
		var pieces [][]byte
		for _, n := range sizes {
			pieces = append(pieces, m.p[:n:n])
			m.p = m.p[n:]
		}
		m.p = m.bytes(0, size)
		m.op.size = m.op.lend(pieces)
	} else {
		m.op.buffer[0], m.op.size = m.p, int64(size)
	}
	return m
}

// begin is BeginWrite, without an attempt of its own.
func (r *queueRig) begin(callback bool, sizes ...int) bool {
	if len(r.messages) > 60 {
		return false
	}
	m := r.call(false, false, sizes...)
	if callback {
		m.callback, m.op.callback = true, func(AsyncResult) {}
	}
	var fx writeEffects
	defer r.carryOut(&fx)
	if r.w.tear != nil || !r.admit(m.op.size, &fx) {
		m.op.release(2)
		return true
	}
	m.op.room = roomHeld
	if r.w.fin != finNone {
		m.late, m.op.fate, m.op.rarely().err = true, fateUnsent, errClosing
	}
	r.messages = append(r.messages, m)
	r.w.push(m.op)
	r.wanted = true
	return true
}

// post is Post.
func (r *queueRig) post(size int) bool {
	if r.w.fin != finNone || len(r.messages) > 60 {
		return false
	}
	m := &rigMessage{id: len(r.messages), torn: r.w.tear != nil}
	m.p = m.bytes(0, size)
	var fx writeEffects
	defer r.carryOut(&fx)
	if r.w.tear != nil || !r.admit(int64(size), &fx) {
		return true
	}
	r.messages = append(r.messages, m)
	r.w.post(m.p)
	r.wanted = true
	return true
}

// write is a blocking Write, or a WriteContext, that does not own the direction.
func (r *queueRig) write(resumable bool, size int) bool {
	if r.w.fin != finNone || r.w.tear != nil && !(r.w.tear.resumable && resumable) || len(r.messages) > 60 {
		return false
	}
	m := r.call(true, resumable, size)
	r.messages = append(r.messages, m)
	if r.w.idle() && r.w.roomWrites == 0 {
		r.w.ownBlocking(m.op)
		r.batch = [][]byte{m.p}
		return true
	}
	if r.w.roomHead() == nil && r.w.charge(m.op.size) {
		m.op.room = roomHeld
		r.w.push(m.op)
		r.wanted = true
	} else {
		r.enterRoom(m.op)
	}
	return true
}

// cancel takes a message back. Those that have started are left alone.
func (r *queueRig) cancel(m *rigMessage) bool {
	if m == nil || m.op == nil || m.op.blocking() || m.op.completed() || r.w.started(m.op) {
		return false
	}
	var fx writeEffects
	r.w.take(m.op, errCanceled, &fx)
	m.freed = true
	r.checkWaitEnds(&fx)
	if fx.interrupt && !r.w.empty() {
		r.failf("the engine is to come back for nothing")
	}
	r.carryOut(&fx)
	if !m.op.completed() {
		r.failf("a cancelled write has not completed")
	}
	return true
}

// checkWaitEnds: when what the engine waits for has been taken back, its wait is ended.
func (r *queueRig) checkWaitEnds(fx *writeEffects) {
	if r.w.phase == waiting && r.w.empty() && !fx.interrupt {
		r.failf("the engine waits for nothing")
	}
}

// cut is a limit of that message's own.
func (r *queueRig) cut(m *rigMessage) bool {
	if m == nil || m.op == nil || m.op.completed() {
		return false
	}
	started := m.op.stage != awaitsRoom && r.w.started(m.op)
	alone := r.w.phase == resting
	waited := m.op.stage == awaitsRoom
	m.cut, m.leftRoom, m.stops = true, waited, started
	var fx writeEffects
	r.w.cut(m.op, errRig, &fx)
	if waited && !fx.flush {
		r.failf("nobody looks whether the end was waiting for it")
	}
	if !waited && !started {
		r.checkWaitEnds(&fx)
	}
	r.carryOut(&fx)
	if m.op.completed() != (!started || alone) {
		r.failf("started=%t, alone=%t, completed=%t: what has started is asked, else it ends", started, alone, m.op.completed())
	}
	return true
}

func (r *queueRig) cutAll(e error) bool {
	for _, m := range r.messages {
		m.cut = true
		m.stops = m.stops || m.op != nil && m.op.stage != awaitsRoom && !m.op.completed() && r.w.started(m.op)
		m.shutOut = m.shutOut || m.op != nil && m.op.stage == awaitsRoom
	}
	for _, c := range r.rooms {
		c.cut = c.cut || c.op.stage == awaitsRoom
	}
	var fx writeEffects
	r.w.cutEverything(e, &fx)
	r.carryOut(&fx)
	if r.w.waits() || r.w.roomHead() != nil {
		r.failf("something waits although everything was cut")
	}
	if r.w.phase == resting {
		r.checkStopped()
	}
	return true
}

// close is the abort of what a stream has; calls after it would be refused.
func (r *queueRig) close() bool {
	if r.w.fin == finNone {
		r.w.fin = finAsked
	}
	r.w.fin.cancel()
	r.asked, r.closed = false, true
	return r.cutAll(&ObjectDisposedError{ObjectName: "NetworkStream"})
}

func (r *queueRig) drain() bool {
	if len(r.drains) > 3 {
		return false
	}
	d := &drainCall{op: newOperation(&r.owner, kindDrain, nil, nil), behind: len(r.messages)}
	d.op.caller = byBlocking
	r.drains = append(r.drains, d)
	var fx writeEffects
	r.w.drain(d.op, &fx)
	r.carryOut(&fx)
	return true
}

// cutDrain is the context of the first Drain that waits.
func (r *queueRig) cutDrain() bool {
	for i, d := range r.drains {
		if d.served {
			continue
		}
		r.drains = append(r.drains[:i], r.drains[i+1:]...)
		var fx writeEffects
		r.w.cut(d.op, errRig, &fx)
		r.carryOut(&fx)
		if !errors.Is(d.op.failure(), errRig) {
			r.failf("a Drain that gives up says %v", d.op.failure())
		}
		for op := r.w.drainsHead(); op != nil; op = op.next {
			if op == d.op {
				r.failf("a Drain that has given up waits")
			}
		}
		d.op.release(1)
		return true
	}
	return false
}

func (r *queueRig) closeWrite() bool {
	if r.w.fin != finNone {
		return false
	}
	r.w.fin = finAsked
	r.asked, r.wanted = r.w.tear == nil, true
	return true
}

// start starts the callback that is ready first.
func (r *queueRig) start() bool {
	if len(r.ready) == 0 {
		return false
	}
	op := r.ready[0]
	r.ready = r.ready[1:]
	for _, m := range r.messages {
		if m.op == op {
			if m.called {
				r.failf("a callback is called twice")
			}
			m.called = true
		}
	}
	if op.room == roomHeld {
		r.w.uncharge(op)
	}
	if op.room == roomPiled {
		r.w.piled.Add(-1)
	}
	var fx writeEffects
	r.w.tidy(&fx)
	r.carryOut(&fx)
	return true
}

func callerOf(blocking, resumable bool) caller {
	switch {
	case resumable:
		return byResumable
	case blocking:
		return byBlocking
	}
	return byBegin
}
