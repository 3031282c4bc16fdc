package netstream

// opList is a list of operations, linked through them. It is guarded by whatever guards its owner.
type opList struct {
	head, tail *operation
}

func (l *opList) empty() bool { return l.head == nil }

func (l *opList) pushBack(op *operation) {
	op.prev, op.next = l.tail, nil
	if l.tail == nil {
		l.head = op
	} else {
		l.tail.next = op
	}
	l.tail = op
}

func (l *opList) remove(op *operation) {
	if op.prev == nil {
		l.head = op.next
	} else {
		op.prev.next = op.next
	}
	if op.next == nil {
		l.tail = op.prev
	} else {
		op.next.prev = op.prev
	}
	op.prev, op.next = nil, nil
}

func (l *opList) popFront() *operation {
	op := l.head
	if op != nil {
		l.remove(op)
	}
	return op
}

// cutBefore takes everything ahead of op, which is in l, out of l and returns it; nil stands for the end.
func (l *opList) cutBefore(op *operation) (front opList) {
	switch {
	case op == nil:
		front, *l = *l, opList{}
	case op.prev != nil:
		front = opList{l.head, op.prev}
		op.prev.next, op.prev = nil, nil
		l.head = op
	}
	return front
}

// splice moves all of other behind l.
func (l *opList) splice(other *opList) {
	switch {
	case other.head == nil:
		return
	case l.head == nil:
		*l = *other
	default:
		l.tail.next, other.head.prev = other.head, l.tail
		l.tail = other.tail
	}
	*other = opList{}
}

// opQueue is one direction of a stream: its operations in Begin order, who works on them, and the callbacks of
// those that have completed. All fields are guarded by the stream's mu, but for inflight.
//
// One goroutine or transport at a time owns the direction (busy). Taking the ownership happens before the first
// system call and giving it up after the last completion was posted, so completions cannot overtake each other.
type opQueue struct {
	queued   opList // not started: may be cancelled, dropped or cut at once
	inflight opList // partly or wholly out, or about to be; belongs to the owner, without one to mu

	nextSeq    uint64 // of the next operation begun
	claimedSeq uint64 // operations before it are in flight or completed

	turn    uint32 // names one wait or blocking call of the transport, so that a late cancel cannot hit the next
	busy    bool   // somebody owns the direction
	waiting bool   // the owner is the transport: one completion call is to come
	parked  bool   // the owner waits for the other direction, to move to another transport
	cutOne  bool   // some operation in flight has been asked to stop
	cutAll  error  // why everything in flight has to stop; cleared when the owner has looked

	turns opList // raw calls that wait for the direction to be idle, see rawconn.go; it has an owner while there are any

	deadline  *deadline // nil until the first one is set
	callbacks callbackQueue
}

// idle reports whether nothing is queued, in flight or owned.
func (q *opQueue) idleLocked() bool { return !q.busy && q.queued.empty() && q.inflight.empty() }

func (q *opQueue) enqueueLocked(op *operation) {
	op.seq = q.nextSeq
	q.nextSeq++
	q.queued.pushBack(op)
}

// claimLocked moves up to max queued operations in flight (max < 0: all of them).
func (q *opQueue) claimLocked(max int) {
	if max < 0 {
		q.inflight.splice(&q.queued)
		q.claimedSeq = q.nextSeq
		return
	}
	for ; max > 0 && !q.queued.empty(); max-- {
		op := q.queued.popFront()
		q.claimedSeq = op.seq + 1
		q.inflight.pushBack(op)
	}
}

// unclaimLocked gives back what is in flight behind the first keep operations, so that it can be cancelled
// again. An operation that has bytes out is always kept.
func (q *opQueue) unclaimLocked(keep int) {
	op := q.inflight.head
	for ; op != nil && (keep > 0 || op.done > 0); op = op.next {
		keep--
	}
	if op == nil {
		return
	}
	kept := q.inflight.cutBefore(op)
	q.claimedSeq = op.seq
	q.inflight.splice(&q.queued)
	q.queued, q.inflight = q.inflight, kept
}

// restLocked gives the direction up when nothing is left to do, or hands it to a raw call that waits for that.
func (q *opQueue) restLocked() {
	q.busy = false
	if op := q.turns.popFront(); op != nil {
		q.busy, q.waiting = true, true
		op.complete()
		op.release(1)
	}
}

// startedLocked reports whether some of op may be out or taken.
func (q *opQueue) startedLocked(op *operation) bool { return op.seq < q.claimedSeq }

// endTurnLocked notes that the transport's wait or blocking call is over.
func (q *opQueue) endTurnLocked() {
	q.turn++
	q.waiting = false
}
