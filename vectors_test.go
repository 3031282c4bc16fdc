package netstream

import (
	"bytes"
	"math/rand/v2"
	"testing"
)

// What one send takes is the beginning of what is queued, in order, within the limits, and what a transport may keep is
// the lent memory itself.
func TestVectorsAreTheBeginningOfTheQueue(t *testing.T) {
	c := &vectorsCheck{T: t, rng: rand.New(rand.NewPCG(1, 2)), memory: make([]byte, 400<<10), v: &vectors{run: -1}}
	for i := range c.memory {
		c.memory[i] = byte(c.rng.Uint32())
	}
	for range 3000 {
		queue := c.queue()
		c.fill(queue)
		c.fillKept(queue)
		c.fillBytes(queue.head)
		c.v.reset()
		for _, slot := range c.v.slots {
			if slot != nil {
				t.Fatal("lent memory is kept alive")
			}
		}
	}
}

type vectorsCheck struct {
	*testing.T
	rng    *rand.Rand
	memory []byte
	v      *vectors
}

// piece is lent memory of a size that likes the limits.
func (c *vectorsCheck) piece() []byte {
	size := c.rng.IntN(400)
	switch c.rng.IntN(12) {
	case 0:
		size = 0
	case 1:
		size = gatherBytes + c.rng.IntN(3) - 1
	case 2:
		size = c.rng.IntN(100 << 10)
	case 3:
		size = c.rng.IntN(300<<10) * c.rng.IntN(2)
	}
	at := c.rng.IntN(len(c.memory) - size + 1)
	return c.memory[at : at+size]
}

func (c *vectorsCheck) operation() *operation {
	op := new(operation)
	if c.rng.IntN(3) != 0 {
		op.buffer[0] = c.piece()
		op.size = int64(len(op.buffer[0]))
		return op
	}
	var pieces [][]byte
	for range 2 + c.rng.IntN(6) {
		if p := c.piece(); len(p) > 0 {
			pieces = append(pieces, p)
			op.size += int64(len(p))
		}
	}
	switch {
	case len(pieces) > 1:
		op.vectors, op.vectored = &pieces, true
	case len(pieces) == 1:
		op.buffer[0] = pieces[0]
	}
	return op
}

// queue is one to 3,000 operations, the first of which may have a part out.
func (c *vectorsCheck) queue() (l opList) {
	n := 1 + c.rng.IntN(20)
	if c.rng.IntN(8) == 0 {
		n = 1 + c.rng.IntN(3000)
	}
	for i := range n {
		op := c.operation()
		if i == 0 && op.size > 1 && c.rng.IntN(2) == 0 {
			op.sent(1 + c.rng.Int64N(op.size-1))
		}
		op.doomed = i > 0 && c.rng.IntN(40) == 0
		l.pushBack(op)
	}
	return l
}

// rest is what op still has to send.
func rest(op *operation) []byte {
	if op.vectored {
		return bytes.Join(*op.vectors, nil)
	}
	return op.buffer[0][op.done:]
}

// queued is what the queue still has to send before a doomed operation, and after how many operations.
func queued(l opList) (all []byte, operations int) {
	for op := l.head; op != nil && !op.doomed && len(all) <= 2*batchBytes; op = op.next {
		all = append(all, rest(op)...)
		operations++
	}
	return all, operations
}

// begins checks that got is the beginning of want, without empty slots.
func (c *vectorsCheck) begins(name string, got [][]byte, want []byte, limit int) (n int) {
	c.Helper()
	joined := bytes.Join(got, nil)
	if len(joined) > limit || !bytes.HasPrefix(want, joined) {
		c.Fatalf("%s: %d bytes of %d, limit %d, the same: %t", name, len(joined), len(want), limit, bytes.HasPrefix(want, joined))
	}
	for i, p := range got {
		if len(p) == 0 && len(got) != 1 {
			c.Fatalf("%s: slot %d of %d is empty", name, i, len(got))
		}
	}
	return len(joined)
}

func (c *vectorsCheck) fill(l opList) {
	want, operations := queued(l)
	got := c.v.fill(l.head)
	n := c.begins("fill", got, want, batchBytes)
	switch {
	case l.head.size == 0:
		if n != 0 || len(got) != 1 {
			c.Fatalf("a zero-length write is sent with %d bytes", n)
		}
	case len(got) < maxVectors && operations <= maxVectors && n < min(len(want), batchBytes):
		c.Fatalf("fill: %d of %d bytes in %d vectors", n, len(want), len(got))
	}
}

func (c *vectorsCheck) fillKept(l opList) {
	want, _ := queued(l)
	most := []int{0, 1, 64}[c.rng.IntN(3)]
	got, operations := c.v.fillKept(l.head, most)
	n := c.begins("fillKept", got, want, batchBytes)
	if len(got) > most {
		c.Fatalf("%d vectors, not more than %d were asked for", len(got), most)
	}
	for _, p := range got {
		if at := gatherRoom - cap(p); len(p) > 0 && at >= 0 && c.v.scratch != nil && &p[0] == &c.v.scratch[at] {
			c.Fatal("a transport is to keep memory that is not lent")
		}
	}
	op, bytes := l.head, 0
	for i := range operations { // all but the last have all they have in the batch
		if i == operations-1 && bytes > n || i < operations-1 && bytes+len(rest(op)) > n {
			c.Fatalf("%d operations have a part in %d bytes", operations, n)
		}
		bytes += len(rest(op))
		op = op.next
	}
	if n > bytes {
		c.Fatalf("%d operations have %d bytes, %d were taken", operations, bytes, n)
	}
}

func (c *vectorsCheck) fillBytes(op *operation) {
	if op.size == 0 || op.done != 0 {
		return
	}
	want := rest(op)
	if n := c.begins("fillBytes", c.v.fillBytes(op, directBytes), want, directBytes); n != min(directBytes, len(want)) {
		c.Fatalf("fillBytes: %d of %d bytes", n, len(want))
	}
}

// What is copied together for a connection that takes one slice is the beginning of the queue as well, and of operations
// other than the first it is all or nothing. Nothing is held afterwards.
func TestJoinedIsTheBeginningOfTheQueue(t *testing.T) {
	c := &vectorsCheck{T: t, rng: rand.New(rand.NewPCG(3, 4)), memory: make([]byte, 400<<10)}
	for i := range c.memory {
		c.memory[i] = byte(c.rng.Uint32())
	}
	var j joined
	for range 3000 {
		queue := c.queue()
		how := joinPieces + joining(c.rng.IntN(2))
		batch, operations := j.fill(queue.head, how)
		c.joined(queue, batch[0], operations, how)
		j.giveBack()
		if j.vector[0] != nil || j.record != nil || j.message != nil {
			t.Fatal("memory is held after the Write")
		}
	}
}

func (c *vectorsCheck) joined(l opList, got []byte, operations int, how joining) {
	var want []byte
	for op, i := l.head, 0; i < operations; op, i = op.next, i+1 {
		want = append(want, rest(op)...)
	}
	if !bytes.HasPrefix(want, got) {
		c.Fatalf("%d bytes of %d operations are not the beginning of their %d", len(got), operations, len(want))
	}
	first := l.head
	switch {
	case how == joinPieces && operations != 1:
		c.Fatalf("%d operations share a message", operations)
	case how == joinPieces && len(want) <= messageBytes && len(got) < len(want), how == joinPieces && !first.vectored && len(got) < len(want):
		c.Fatalf("a message of %d bytes is cut after %d", len(want), len(got))
	case operations > 1 && (len(got) != len(want) || len(got) > recordBytes):
		c.Fatalf("%d operations of %d bytes share a Write of %d", operations, len(want), len(got))
	case len(got) == 0 && len(want) > 0:
		c.Fatal("nothing is sent")
	case how == joinAll && operations > 1:
		next := l.head
		for range operations {
			next = next.next
		}
		if next != nil && !next.doomed && operations < maxVectors && len(got)+len(rest(next)) <= recordBytes {
			c.Fatalf("%d bytes are left out of %d", len(rest(next)), len(got))
		}
	}
}
