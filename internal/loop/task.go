package loop

import "sync"

// A Task is the work of one owner. Run is called once per Post, on a goroutine
// of the loop that holds no lock. It may block for ever, call [runtime.Goexit]
// and post, itself included.
type Task interface{ Run() }

// queue holds tasks, oldest first, in blocks: posting needs no memory in the
// task, and a batch joins a queue as a whole. The zero value is empty. It is
// guarded by whatever guards its owner.
type queue struct {
	first, last *block // an empty queue may keep one, for the next task
	count       int
}

// block is a part of a queue. Those of a queue with tasks all hold some.
type block struct {
	next     *block
	from, to int32 // where its tasks are
	tasks    [blockTasks]queuedTask
}

type queuedTask struct {
	task  Task
	stamp uint32 // the watchdog's tick when it was queued
}

// blockTasks is how many tasks fit into a block of 1 KiB.
const blockTasks = 42

var blocks = sync.Pool{New: func() any { return new(block) }}

func (q *queue) push(t Task, stamp uint32) {
	b := q.last
	if b == nil || b.to == blockTasks {
		b = q.grow()
	}
	b.tasks[b.to] = queuedTask{t, stamp}
	b.to++
	q.count++
}

func (q *queue) grow() *block {
	b := blocks.Get().(*block)
	if q.last == nil {
		q.first = b
	} else {
		q.last.next = b
	}
	q.last = b
	return b
}

// oldest returns the task that pop would take, with its stamp. There is one.
func (q *queue) oldest() *queuedTask { return &q.first.tasks[q.first.from] }

// pop takes the oldest task out. There is one.
func (q *queue) pop() Task {
	b, e := q.first, q.oldest()
	t := e.task
	e.task = nil
	b.from++
	q.count--
	if b.from == b.to {
		b.from, b.to = 0, 0
		if b.next != nil {
			q.first = b.next
			b.release()
		}
	}
	return t
}

func (b *block) release() {
	b.next = nil
	blocks.Put(b)
}

// splice moves all of other, which has tasks, behind q.
func (q *queue) splice(other *queue) {
	if q.count > 0 {
		q.last.next = other.first
	} else {
		if q.first != nil {
			q.first.release()
		}
		q.first = other.first
	}
	q.last = other.last
	q.count += other.count
	*other = queue{}
}
