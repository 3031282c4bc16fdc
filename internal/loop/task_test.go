package loop

import (
	"math/rand/v2"
	"testing"
)

type numbered int

func (numbered) Run() {}

// Whatever is pushed, taken and moved from queue to queue, each comes out in the order in which it went in, and an empty
// queue holds on to no task.
func TestQueueKeepsItsOrder(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	var queues [2]queue
	var want [2][]int
	next := 0
	for range 20_000 {
		i := r.IntN(2)
		q, w := &queues[i], &want[i]
		switch r.IntN(8) {
		case 0:
			if other := &queues[1-i]; other.count > 0 {
				q.splice(other)
				*w, want[1-i] = append(*w, want[1-i]...), nil
			}
		case 1, 2, 3:
			for range r.IntN(3 * blockTasks) {
				q.push(numbered(next), uint32(next))
				*w, next = append(*w, next), next+1
			}
		default:
			for range min(r.IntN(3*blockTasks), len(*w)) {
				stamp := q.oldest().stamp
				if got := q.pop(); got != numbered((*w)[0]) || stamp != uint32((*w)[0]) {
					t.Fatalf("got task %v with stamp %d, want %d", got, stamp, (*w)[0])
				}
				*w = (*w)[1:]
			}
		}
		if q.count != len(*w) {
			t.Fatalf("%d tasks are counted, want %d", q.count, len(*w))
		}
		if q.count == 0 && q.first != nil && (q.first != q.last || holdsTask(q.first)) {
			t.Fatal("an empty queue holds on to tasks")
		}
	}
}

func holdsTask(b *block) bool {
	for _, e := range b.tasks {
		if e.task != nil {
			return true
		}
	}
	return false
}
