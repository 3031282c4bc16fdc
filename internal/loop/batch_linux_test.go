package loop

import (
	"slices"
	"sync"
	"testing"
)

// What is held back runs after HandOver and not before, each task once and those of a loop in order, on whatever loops.
func TestBatchHoldsBackUntilHandOver(t *testing.T) {
	const tasks = 1000
	loops := []*Loop{testLoop(t, eventBatch), testLoop(t, eventBatch), testLoop(t, eventBatch)}
	var b Batch
	for range 3 { // a batch is used again
		var mu sync.Mutex
		var handed bool
		ran := make([][]int, len(loops)+1) // by loop; the last one: on goroutines of their own
		var all sync.WaitGroup
		all.Add(tasks)
		for i := range tasks {
			where := i * 7 % len(ran)
			task := job(func() {
				defer all.Done()
				mu.Lock()
				defer mu.Unlock()
				if !handed {
					t.Errorf("task %d has run before it was handed over", i)
				}
				ran[where] = append(ran[where], i)
			})
			if where < len(loops) {
				b.Add(loops[where], task)
			} else {
				b.AddLone(task)
			}
			if b.Len() != i+1 {
				t.Errorf("Len is %d, want %d", b.Len(), i+1)
			}
		}
		mu.Lock()
		handed = true
		mu.Unlock()
		b.HandOver()
		if b.Len() != 0 {
			t.Errorf("%d are left", b.Len())
		}
		b.HandOver() // of nothing
		waitGroup(t, &all, "end of the tasks")
		count := 0
		for where, list := range ran {
			if count += len(list); where < len(loops) && !slices.IsSorted(list) {
				t.Errorf("loop %d: out of order: %v", where, list)
			}
		}
		if count != tasks {
			t.Errorf("%d runs of %d tasks", count, tasks)
		}
	}
}

// What a batch hands over goes behind what was posted, and ahead of what is posted later.
func TestBatchTakesItsPlaceInTheQueue(t *testing.T) {
	l := quietLoop(t, eventBatch)
	l.permits = 1 // nobody starts: the queue stays to be looked at
	want := 0
	add := func(f func(t Task)) {
		f(numbered(want))
		want++
	}
	var b Batch
	add(l.Post)
	add(func(t Task) { b.Add(l, t) })
	add(func(t Task) { b.Add(l, t) })
	b.HandOver()
	add(l.Post)
	add(func(t Task) { b.Add(l, t) })
	b.HandOver()
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := range want {
		if l.tasks.count != want-i || l.tasks.pop() != numbered(i) {
			t.Fatalf("another task is at place %d of %d", i, want)
		}
	}
}

// A task may be posted from the moment it runs, so a batch that hands over looks at no task twice.
func TestBatchTasksPostThemselvesAgain(t *testing.T) {
	l := testLoop(t, eventBatch)
	var all sync.WaitGroup
	var b Batch
	for i := range 200 {
		all.Add(10)
		var task job
		left := 10
		task = job(func() {
			if left--; left > 0 {
				l.Post(task)
			}
			all.Done()
		})
		if i%4 == 0 {
			b.AddLone(task)
		} else {
			b.Add(l, task)
		}
	}
	b.HandOver()
	waitGroup(t, &all, "end of the tasks")
}

// Handing over a round of 1,000 tasks, one by one and at once. An operation is a task; nobody runs them.
func BenchmarkPostRound(b *testing.B) {
	const round = 1000
	l := quietLoop(b, eventBatch)
	l.permits = 1
	l.dog.running.Store(true)
	empty := func() {
		for l.tasks.count > 0 {
			l.tasks.pop()
		}
	}
	b.Run("one by one", func(b *testing.B) {
		for i := range b.N {
			l.Post(numbered(0))
			if i%round == round-1 {
				empty()
			}
		}
	})
	empty()
	b.Run("batch", func(b *testing.B) {
		var batch Batch
		for i := range b.N {
			batch.Add(l, numbered(0))
			if i%round == round-1 {
				batch.HandOver()
				empty()
			}
		}
		batch.HandOver()
	})
}
