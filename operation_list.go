package netstream

// opList is a list of operations, linked through them. It is guarded by what guards the value it is part of.
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

func (l *opList) pushFront(op *operation) {
	op.prev, op.next = nil, l.head
	if l.head == nil {
		l.tail = op
	} else {
		l.head.prev = op
	}
	l.head = op
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
	if op == nil {
		return nil
	}
	l.head, op.next = op.next, nil
	if l.head == nil {
		l.tail = nil
	} else {
		l.head.prev = nil
	}
	return op
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
