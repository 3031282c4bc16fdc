package netstream

// writeEffects is what the writing queue answers.
type writeEffects struct {
	effects
	over  opList // have completed; their holder is to be released when mu has been given up
	spent *chunk // to be given back when mu has been given up
	freed freed  // room of posts that are over, on the way to the counts

	// With rare:
	drained  opList        // Drain calls that wait for nothing any more
	failures writeFailures // of writes that were begun, and posts
	lost     int64         // bytes not sent of writes and posts that failed, without those taken back
	canceled int64         // bytes of writes that were taken back
	shutOut  int64         // bytes of blocking writes that were ended while they waited for room
	dropped  int32         // writes and posts that were dropped
	flush    bool          // something is to be sent: somebody has to own the direction
	roomLeft bool          // nobody waits for room any more

	alone bool // the write that was alone in flight has gone out: settle is to end it
}

// spend takes chunks, linked by next, out of use.
func (fx *writeEffects) spend(c *chunk) {
	for c != nil {
		next := c.next
		c.next, fx.spent = fx.spent, c
		c = next
	}
}

// complete completes op, whose result has been written and which is in no list. What refers to it may do so until mu has
// been given up.
func (fx *writeEffects) complete(op *operation) {
	fx.keep(op)
	op.complete()
}

// keep notes what is to be done about op, which the caller completes.
func (fx *writeEffects) keep(op *operation) {
	if op.callback != nil {
		fx.ready.pushBack(op)
	} else {
		fx.over.pushBack(op)
	}
}

// release is for when mu has been given up.
func (fx *writeEffects) release() {
	if fx.over.head != nil {
		fx.releaseOver()
	}
	if fx.spent != nil {
		giveBackChunks(fx.spent)
		fx.spent = nil
	}
}

func (fx *writeEffects) releaseOver() {
	for op := fx.over.head; op != nil; {
		next := op.next
		op.next, op.prev = nil, nil
		op.release(1)
		op = next
	}
	fx.over = opList{}
}
