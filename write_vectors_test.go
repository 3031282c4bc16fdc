package netstream

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// What one send takes is the beginning of what is queued, in order, within the limits.
func TestVectorsAreTheBeginningOfTheQueue(t *testing.T) {
	c := &vectorsCheck{T: t, rng: rand.New(rand.NewPCG(1, 2)), memory: make([]byte, 1<<20), v: &vectors{run: -1}}
	for i := range c.memory {
		c.memory[i] = byte(c.rng.Uint32())
	}
	for range 3000 {
		w := c.queue()
		c.fill(w)
		if op := c.entries[0].op; op != nil {
			c.fillBytes(op)
		}
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

	entries []entry // of the queue at hand, from the first one that is not over
	offset  int64   // of the first one this much is out
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
		size = c.rng.IntN(700<<10) * c.rng.IntN(2)
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
		op.rarely().vectors, op.vectored = pieces, true
	case len(pieces) == 1:
		op.buffer[0] = pieces[0]
	}
	return op
}

// queue is one to 3,000 writes and posts, the first of which may have a part out, all of them in flight.
func (c *vectorsCheck) queue() *writeQueue {
	n := 1 + c.rng.IntN(20)
	if c.rng.IntN(8) == 0 {
		n = 1 + c.rng.IntN(3000)
	}
	if c.rng.IntN(4) == 0 {
		n = 1
	}
	w := &writeQueue{config: &Config{}}
	c.entries, c.offset = c.entries[:0], 0
	for i := range n {
		if p := c.piece(); len(p) > 0 && c.rng.IntN(3) == 0 {
			w.post(p)
			c.entries = append(c.entries, entry{p: p})
			continue
		}
		op := c.operation()
		if i > 0 && c.rng.IntN(40) == 0 {
			op.fate = fateUnsent
		}
		if c.rng.IntN(20) == 0 {
			op.caller = byBlocking
		}
		w.push(op)
		c.entries = append(c.entries, entry{op: op})
	}
	w.claim()
	if size := c.entries[0].size(); size > 1 && c.rng.IntN(2) == 0 {
		var fx writeEffects
		c.offset = 1 + c.rng.Int64N(size-1)
		w.accounted(c.offset, c.offset, nil, &fx)
		w.settle(c.offset, &fx)
	}
	return w
}

// rest is what the entry with that index still has to send.
func (c *vectorsCheck) rest(i int) []byte {
	e := &c.entries[i]
	if e.op != nil && e.op.vectored {
		return bytes.Join(e.op.rarely().vectors, nil)
	}
	if i == 0 {
		return e.bytes()[c.offset:]
	}
	return e.bytes()
}

// queued is what the queue still has to send before an operation that fails unsent, and in how many entries.
func (c *vectorsCheck) queued() (all []byte, entries int) {
	for entries < len(c.entries) && !c.entries[entries].failsUnsent() && len(all) <= 2*batchBytes {
		all = append(all, c.rest(entries)...)
		entries++
	}
	return all, entries
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

func (c *vectorsCheck) fill(w *writeQueue) {
	want, entries := c.queued()
	c.onePiece(w.onePiece(), want)
	got := w.fill(c.v)
	n := c.begins("fill", got, want, batchBytes)
	switch {
	case c.entries[0].size() == 0:
		if n != 0 || len(got) != 1 {
			c.Fatalf("a zero-length write is sent with %d bytes", n)
		}
	case len(got) < maxVectors && entries <= maxVectors && n < min(len(want), batchBytes):
		c.Fatalf("fill: %d of %d bytes in %d vectors", n, len(want), len(got))
	}
}

// onePiece checks that a lone entry in one piece is sent as it is, and nothing else.
func (c *vectorsCheck) onePiece(got [][]byte, want []byte) {
	e := c.entries[0]
	lone := len(c.entries) == 1 && c.offset == 0 && e.size() <= batchBytes && !(e.op != nil && e.op.vectored)
	if lone != (got != nil) {
		c.Fatalf("one piece: %t, of %d entries, with %d bytes of the first out", got != nil, len(c.entries), c.offset)
	}
	if lone && (len(got) != 1 || !bytes.Equal(got[0], want)) {
		c.Fatalf("one piece: %d of %d bytes", len(got[0]), len(want))
	}
}

func (c *vectorsCheck) fillBytes(op *operation) {
	if op.size == 0 || op.done != 0 {
		return
	}
	want := c.rest(0)
	if n := c.begins("fillBytes", c.v.fillBytes(op, directBytes), want, directBytes); n != min(directBytes, len(want)) {
		c.Fatalf("fillBytes: %d of %d bytes", n, len(want))
	}
}

// What is copied together for a connection that takes one slice is the beginning of the queue as well, and of entries
// other than the first it is all or nothing. Nothing is held afterwards.
func TestJoinedIsTheBeginningOfTheQueue(t *testing.T) {
	c := &vectorsCheck{T: t, rng: rand.New(rand.NewPCG(3, 4)), memory: make([]byte, 1<<20)}
	for i := range c.memory {
		c.memory[i] = byte(c.rng.Uint32())
	}
	for range 3000 {
		w := c.queue()
		how := engine.JoinPieces + engine.Joining(c.rng.IntN(2))
		batch, entries := w.join(how)
		c.joined(batch[0], int(entries), how)
		j := w.joined
		c.memoryOf(j, int(entries))
		j.giveBack()
		if j.vector[0] != nil || j.record != nil || j.message != nil {
			t.Fatal("memory is held after the Write")
		}
	}
}

func (c *vectorsCheck) joined(got []byte, entries int, how engine.Joining) {
	var want []byte
	for i := range entries {
		want = append(want, c.rest(i)...)
	}
	if !bytes.HasPrefix(want, got) {
		c.Fatalf("%d bytes of %d entries are not the beginning of their %d", len(got), entries, len(want))
	}
	for i := 1; i < entries; i++ { // a Write that is waited for shares with nobody: cutting it must cut no other
		if e := &c.entries[i]; e.blocks() || e.failsUnsent() {
			c.Fatalf("entry %d is not to be joined: it blocks, or fails", i)
		}
	}
	pieces := c.entries[0].op != nil && c.entries[0].op.vectored
	switch {
	case how == engine.JoinPieces && entries != 1:
		c.Fatalf("%d entries share a message", entries)
	case how == engine.JoinPieces && (len(want) <= messageBytes || !pieces) && len(got) < len(want):
		c.Fatalf("a message of %d bytes is cut after %d", len(want), len(got))
	case entries > 1 && (len(got) != len(want) || len(got) > recordBytes):
		c.Fatalf("%d entries of %d bytes share a Write of %d", entries, len(want), len(got))
	case len(got) == 0 && len(want) > 0:
		c.Fatal("nothing is sent")
	case how == engine.JoinAll && len(got) == len(want) && entries < min(len(c.entries), maxVectors) && !c.entries[entries].failsUnsent() && !c.entries[entries].blocks():
		if left := len(c.rest(entries)); len(got)+left <= recordBytes {
			c.Fatalf("%d bytes are left out of %d", left, len(got))
		}
	}
}

// memoryOf checks that what is copied lies in the pool's memory, and in no more than it needs.
func (c *vectorsCheck) memoryOf(j *joined, entries int) {
	got := j.vector[0]
	first := c.entries[0].size() - c.offset
	switch {
	case j.record != nil && j.message != nil:
		c.Fatal("memory for a record and for a message")
	case j.record != nil && &got[0] != &j.record[0], j.message != nil && &got[0] != &j.message[0]:
		c.Fatalf("%d bytes do not lie in the memory that is held", len(got))
	case j.message != nil && (entries > 1 || first <= recordBytes):
		c.Fatalf("%d bytes of %d entries take the memory of a message", len(got), entries)
	}
}

// The limits of what is copied together are met exactly.
func TestJoined_LimitsAreExact(t *testing.T) {
	long := make([]byte, 2*batchBytes)
	for _, k := range []struct {
		how    engine.Joining
		writes [][]int // sizes of the pieces
		bytes  int     // of the Write
		behind uint64  // the number behind the last write that has a part in it
	}{
		{engine.JoinAll, [][]int{{recordBytes - 3}, {3}, {1}}, recordBytes, 2},
		{engine.JoinAll, [][]int{{recordBytes - 3}, {4}}, recordBytes - 3, 1},
		{engine.JoinAll, [][]int{{recordBytes - 3, 3}, {1}}, recordBytes, 1},
		{engine.JoinAll, [][]int{{recordBytes - 3, 4}, {1}}, recordBytes - 3, 1}, // the other piece follows
		{engine.JoinAll, [][]int{{batchBytes + 1}, {1}}, batchBytes, 1},
		{engine.JoinPieces, [][]int{{batchBytes + 1}, {1}}, batchBytes + 1, 1}, // a message is not cut
		{engine.JoinPieces, [][]int{{recordBytes - 3, 3}, {1}}, recordBytes, 1},
		{engine.JoinPieces, [][]int{{recordBytes - 3, 4}, {1}}, recordBytes + 1, 1},
		{engine.JoinPieces, [][]int{{messageBytes - 3, 3}, {1}}, messageBytes, 1},
		{engine.JoinPieces, [][]int{{messageBytes - 3, 4}, {1}}, messageBytes - 3, 1},
	} {
		w := &writeQueue{config: &Config{}}
		for _, sizes := range k.writes {
			op := new(operation)
			var pieces [][]byte
			for _, n := range sizes {
				pieces = append(pieces, long[:n])
			}
			op.size = op.lend(pieces)
			w.push(op)
		}
		w.claim()
		if batch, behind := w.join(k.how); len(batch[0]) != k.bytes || behind != k.behind {
			t.Errorf("of %v a Write takes %d bytes of %d, want %d of %d", k.writes, len(batch[0]), behind, k.bytes, k.behind)
		}
		(&vectorsCheck{T: t, entries: []entry{entry{op: w.solo[0]}}}).memoryOf(w.joined, 1)
		w.joined.giveBack()
	}
}

// A write that is not to be sent stays where it is, also alone behind what an engine holds: its error waits for that.
func TestVectorsLeaveOutWhatFailsUnsent(t *testing.T) {
	for _, alone := range []bool{false, true} {
		w := &writeQueue{config: &Config{}}
		for i := range 3 {
			op := new(operation)
			op.buffer[0], op.size = make([]byte, 4), 4
			if i > 0 {
				op.fate = fateUnsent
			}
			if i < 2 || !alone {
				w.push(op)
			}
		}
		w.claim()
		w.taken = place{1, 0}
		var b batch
		if got := b.of(w); len(got) != 0 {
			t.Errorf("alone=%t: %d bytes are sent", alone, len(got[0]))
		}
		b.giveBack()
	}
}
