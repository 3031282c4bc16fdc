package loop

// A Batch holds tasks back and hands all of them over at once: a loop takes its
// share under one lock, and does not begin with the first while the last is not
// known yet. The zero value is ready. It belongs to one goroutine.
type Batch struct {
	held        // by loop
	lone  queue // those that run on goroutines of their own
	count int
}

// AddLone holds t back, which is to run on a goroutine of its own.
func (b *Batch) AddLone(t Task) {
	b.lone.push(t, 0)
	b.count++
}

// Len returns how many tasks are held back.
func (b *Batch) Len() int { return b.count }

// HandOver posts what is held back, in the order of the calls that added it. The
// batch is empty then, and ready for more.
func (b *Batch) HandOver() {
	if b.count == 0 {
		return
	}
	b.held.handOver()
	for b.lone.count > 0 {
		go b.lone.pop().Run()
	}
	b.count = 0
}
