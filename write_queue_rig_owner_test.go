package netstream

import "github.com/seed-9ac8cf60/netstream/internal/engine"

// What the owner of the direction does in the rig, and what the engine answers.

// decide is the owner asking for its next step.
func (r *queueRig) decide(over bool, fx *writeEffects) {
	r.sending, r.batch = false, nil
	r.w.joined.giveBack()
	held, hard := (r.undone > 0 || r.own) && !r.closed, r.tornForGood()
	next := r.w.decide(r.moving, over, held, fx)
	r.checkStopped()
	if r.closed {
		if r.findPending(); r.held > 0 {
			r.failf("what the engine holds keeps a closed stream busy")
		}
	}
	if r.moving != (next == stepPark) {
		r.failf("moving=%t, parked=%t", r.moving, next == stepPark)
	}
	switch next {
	case stepSend:
		if !r.w.inFlight() && (!held || hard) {
			r.failf("there is nothing to send")
		}
		r.sending = true
	case stepShutdown:
		if r.w.inFlight() || r.w.waits() || r.w.roomWrites > 0 || r.w.halfOut() {
			r.failf("the end is sent with something ahead, or behind half a message")
		}
	case stepPark:
		r.moving = false
	case stepYield, stepRest:
		r.wanted = next == stepYield || fx.flush // a turn that was wanted before finds nothing to do
		if r.w.phase == owned {
			r.failf("the direction was not given up")
		}
		if next == stepRest && r.w.roomWrites > 0 && r.w.empty() {
			r.failf("a write waits for room, and nothing is on its way")
		}
		if next == stepRest && (r.w.waits() && !fx.flush || r.w.inFlight()) {
			r.failf("the owner rests with something to do")
		}
		if next == stepRest && held && !r.tornForGood() {
			r.failf("the owner rests with bytes that are not in the kernel")
		}
	}
}

// take makes the caller the owner.
func (r *queueRig) take() bool {
	if r.w.phase != resting || r.w.empty() && !r.w.finAhead() && (!r.own || r.tornForGood() || r.closed) {
		return false
	}
	var fx writeEffects
	r.w.phase, r.wanted = owned, false
	r.decide(false, &fx)
	r.carryOut(&fx)
	return true
}

// answer is what an attempt brings: so many bytes taken, so many in the kernel, and an error.
func (r *queueRig) answer(batch [][]byte, taken, done int, err error, over bool) {
	left := taken
	for _, p := range batch {
		n := min(left, len(p))
		r.wire = append(r.wire, p[:n]...)
		left -= n
	}
	if left > 0 {
		r.failf("the engine takes more than it was given")
	}
	r.undone += taken - done
	r.undoneEver = r.undoneEver || taken != done
	var fx writeEffects
	failed := err != nil && err != engine.ErrInterrupted && err != engine.ErrWouldBlock
	head := r.headOperation()
	r.w.accounted(int64(taken), int64(done), err, &fx)
	r.w.returned()
	r.w.settle(int64(taken), &fx)
	if failed {
		r.w.fail(err, &fx)
		if head != nil && done == 0 && head.failure() == nil {
			r.failf("the connection has failed, and the first write has not")
		}
	}
	r.decide(over, &fx)
	r.carryOut(&fx)
}

// headOperation is the operation that is in flight first, nil if it is a post or there is none.
func (r *queueRig) headOperation() *operation {
	at, ok := r.w.head()
	if !ok || r.w.seqOf(at) >= r.w.claimed {
		return nil
	}
	return r.w.entryOf(at).op
}

// attempt makes one with up to most bytes taken; all the bytes the engine holds are done if push is set.
func (r *queueRig) attempt(most int, push bool, err error) bool {
	if !r.sending {
		return false
	}
	batch := (&batch{r.v}).of(&r.w)
	all := 0
	for _, p := range batch {
		all += len(p)
	}
	taken := min(most, all)
	done := taken + r.undone
	if !push {
		done = 0
	}
	r.own = r.own && !push
	if taken == 0 && done == 0 && err == nil && all > 0 { // an engine says so
		return false
	}
	r.answer(batch, taken, done, err, false)
	return true
}

// wait is an owner that can do nothing now.
func (r *queueRig) wait() bool {
	if !r.sending {
		return false
	}
	var fx writeEffects
	end, batch := uint64(0), [][]byte(nil)
	if r.canKeep {
		batch, end = r.w.join(engine.JoinAll)
	}
	if r.moving || r.w.cutting() {
		r.decide(false, &fx)
	} else {
		r.w.await(end)
		r.sending, r.batch = false, batch
		if !r.canKeep {
			r.checkGivenBack()
		}
	}
	r.carryOut(&fx)
	return true
}

// comeBack ends a wait or a call, with up to most bytes.
func (r *queueRig) comeBack(most int, err error) bool {
	if r.w.phase != waiting {
		return false
	}
	if r.w.fin == finSending {
		r.finSent = true
	}
	all := 0
	for _, p := range r.batch {
		all += len(p)
	}
	n := min(most, all)
	if n == 0 && err == nil {
		err = engine.ErrInterrupted
	}
	r.answer(r.batch, n, n, err, false)
	return true
}

// yield is an owner whose turn is over.
func (r *queueRig) yield() bool {
	if !r.sending {
		return false
	}
	var fx writeEffects
	r.decide(true, &fx)
	r.carryOut(&fx)
	return true
}

func (r *queueRig) move() bool {
	if r.moving || r.w.phase == parked {
		return false
	}
	r.moving = true
	if r.w.phase == resting {
		r.moving = false
		r.w.phase = parked
	}
	return true
}

func (r *queueRig) moved() bool {
	if r.w.phase != parked {
		return false
	}
	var fx writeEffects
	r.w.moved(&fx)
	r.wanted = true
	r.checkStopped()
	r.carryOut(&fx)
	return true
}

// accounted is what goOn does with what an engine has answered.
func (w *writeQueue) accounted(taken, done int64, err error, fx *writeEffects) {
	if !w.accountAlone(taken, done, err, fx) {
		w.account(taken, done, err, fx)
	}
}
