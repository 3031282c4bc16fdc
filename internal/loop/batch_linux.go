package loop

// held is the part of a batch that is for loops.
type held struct {
	shares []share // by the loops' numbers
}

// share is what is held back for one loop.
type share struct {
	queue
	loop *Loop // constant once something was held back for it
}

// Add holds t back, which is to run on l.
func (b *Batch) Add(l *Loop, t Task) {
	for int(l.number) >= len(b.shares) {
		b.shares = append(b.shares, share{})
	}
	s := &b.shares[l.number]
	s.loop = l
	s.push(t, 0)
	b.count++
}

func (h *held) handOver() {
	for i := range h.shares {
		if s := &h.shares[i]; s.count > 0 {
			s.loop.postAll(&s.queue)
		}
	}
}

// postAll is Post for the tasks of q, of which there are some.
func (l *Loop) postAll(q *queue) {
	q.restamp(l.dog.now()) // not under the lock
	l.mu.Lock()
	l.tasks.splice(q)
	if l.permits == 0 {
		l.startRunnersLocked(1)
	}
	l.mu.Unlock()
	l.dog.wake()
}

// restamp gives all tasks one stamp.
func (q *queue) restamp(stamp uint32) {
	for b := q.first; b != nil; b = b.next {
		for i := b.from; i < b.to; i++ {
			b.tasks[i].stamp = stamp
		}
	}
}
