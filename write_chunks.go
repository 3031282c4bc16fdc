package netstream

import (
	"math/bits"
	"sync"
	"time"
)

// entry is one write in the queue: a write that was begun, or a post. The zero entry is a hole: what was there was taken
// back or dropped.
type entry struct {
	op *operation
	p  []byte // the post, where op is nil
}

// entryAt returns the entry with that index of a stretch.
func entryAt(ops []*operation, posts [][]byte, index int) entry {
	if op := ops[index]; op != nil {
		return entry{op: op}
	}
	return entry{p: posts[index]}
}

func (e entry) hole() bool { return e.op == nil && e.p == nil }

// size is how many bytes the entry stands for.
func (e entry) size() int64 {
	if e.op != nil {
		return e.op.size
	}
	return int64(len(e.p))
}

// bytes is what the entry sends, if that is in one piece.
func (e entry) bytes() []byte {
	if e.op != nil {
		return e.op.buffer[0]
	}
	return e.p
}

// failsUnsent reports whether the entry ends with an error when nothing is ahead of it, without being sent.
func (e entry) failsUnsent() bool { return e.op != nil && e.op.fate == fateUnsent }

// blocks reports whether a blocking call waits for the entry.
func (e entry) blocks() bool { return e.op != nil && e.op.blocking() }

const (
	// bigChunk entries take 1 KiB, with the head of the chunk, and smallChunk entries 256 bytes. The first chunk of a queue is
	// a small one: most queues are short.
	bigChunk   = 29
	smallChunk = 5
)

// chunk is a part of the queue: its entries never move, so the owner of the direction reads those that it has claimed
// without mu, while others are added behind them. Entries are numbered from the stream's first write on.
//
// The two halves of the entries are apart. The processor that begins writes and the one that sends them hand each cache line
// of a chunk over twice, and a line holds eight operations instead of two. With the walk by stretches, BenchmarkPipelinedWrite/64B
// went from 116 to 108 ns on one processor and from 259 to 195 ns on two, beside other work.
type chunk struct {
	next, prev *chunk
	seq        uint64        // of its first entry
	ops        []*operation  // of all entries, filled in or not
	posts      [][]byte      // the same; most queues have operations or posts, so one of the two is not touched
	begun      time.Duration // a time for posts, which have none of their own; see ages
	lateBegun  time.Duration // the same for those from the index late on
	live       uint32        // a bit for each entry that is not a hole and not over
	used       uint8         // entries that have been filled in; entries are added to the last chunk only
	late       uint8         // 0: begun is for all
	posted     bool          // one of them is a post, or was
}

type (
	small struct {
		chunk
		opRoom   [smallChunk]*operation
		postRoom [smallChunk][]byte
	}
	big struct {
		chunk
		opRoom   [bigChunk]*operation
		postRoom [bigChunk][]byte
	}
)

var (
	smallChunks = sync.Pool{New: func() any {
		c := new(small)
		c.ops, c.posts = c.opRoom[:], c.postRoom[:]
		return &c.chunk
	}}
	bigChunks = sync.Pool{New: func() any {
		c := new(big)
		c.ops, c.posts = c.opRoom[:], c.postRoom[:]
		return &c.chunk
	}}
)

// end is the number behind its last entry, filled in or not.
func (c *chunk) end() uint64 { return c.seq + uint64(len(c.ops)) }

// entry returns the entry with that index.
func (c *chunk) entry(index int) entry { return entryAt(c.ops, c.posts, index) }

// clear makes the entries from one index to another holes.
func (c *chunk) clear(from, to int) {
	clear(c.ops[from:to])
	if c.posted {
		clear(c.posts[from:to])
	}
}

// firstLive is the index of its first live entry. A chunk in the queue has one.
func (c *chunk) firstLive() int { return bits.TrailingZeros32(c.live) }

// giveBackChunks gives the chunks from c on to the pool, with nothing in them.
func giveBackChunks(c *chunk) {
	for c != nil {
		next := c.next
		c.clear(0, int(c.used))
		c.next, c.prev, c.live, c.used, c.late, c.posted = nil, nil, 0, 0, 0, false
		if len(c.ops) == smallChunk {
			smallChunks.Put(c)
		} else {
			bigChunks.Put(c)
		}
		c = next
	}
}

// chunkList is the queue's list of chunks, each of which has a live entry. All but the last one have been filled in.
type chunkList struct {
	first, last *chunk
}

// push adds op with the number seq.
func (l *chunkList) push(op *operation, seq uint64) {
	c := l.last
	if c == nil || int(c.used) == len(c.ops) {
		c = l.grow(seq, op.begun)
	}
	op.chunk, op.index = c, c.used
	c.ops[c.used] = op
	c.filled()
}

// post adds a post with the number seq.
func (l *chunkList) post(p []byte, seq uint64, begun time.Duration) {
	c := l.last
	if c == nil || int(c.used) == len(c.posts) {
		c = l.grow(seq, begun)
	} else {
		c.ages(begun)
	}
	c.posts[c.used], c.posted = p, true
	c.filled()
}

// ages notes the time at which a post is queued, if the head has passed the last one that was noted. So a post is taken for
// older than it is by no more than the time that an earlier one has waited, although one time serves many.
func (c *chunk) ages(begun time.Duration) {
	if c.late == 0 || c.firstLive() >= int(c.late) {
		c.begun = c.headBegun()
		c.late, c.lateBegun = c.used, begun
	}
}

// headBegun is when the first live entry was queued, if that is a post, or a little before.
func (c *chunk) headBegun() time.Duration {
	if c.late > 0 && c.firstLive() >= int(c.late) {
		return c.lateBegun
	}
	return c.begun
}

// filled notes that the next entry has been filled in.
func (c *chunk) filled() {
	c.live |= 1 << (c.used % 32)
	c.used++
}

func (l *chunkList) grow(seq uint64, begun time.Duration) *chunk {
	if l.last == nil {
		c := smallChunks.Get().(*chunk)
		c.seq, c.begun = seq, begun
		l.first, l.last = c, c
		return c
	}
	c := bigChunks.Get().(*chunk)
	c.seq, c.begun = seq, begun
	c.prev, l.last.next = l.last, c
	l.last = c
	return c
}

// clear makes an entry a hole. It returns the chunk if that was its last live entry and it has been taken out of the list.
func (l *chunkList) clear(c *chunk, index int) (spent *chunk) {
	c.clear(index, index+1)
	c.live &^= 1 << index
	if c.live != 0 {
		return nil
	}
	l.unlink(c)
	return c
}

func (l *chunkList) unlink(c *chunk) {
	if c.prev == nil {
		l.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		l.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.next, c.prev = nil, nil
}

// clearBefore makes all entries before the number at holes. It returns the chunks without a live entry, linked, which have
// been taken out of the list.
func (l *chunkList) clearBefore(at uint64) (spent *chunk) {
	spent = l.first
	var behind *chunk // of those taken out, the last one
	c := l.first
	for ; c != nil && at > c.seq; c = c.next {
		was, over := c.firstLive(), min(at-c.seq, uint64(len(c.ops)))
		c.live &^= 1<<over - 1
		if c.live != 0 {
			if was < int(over) {
				c.clear(was, int(over))
			}
			break
		}
		behind = c
	}
	if behind == nil {
		return nil
	}
	behind.next, l.first = nil, c
	if c == nil {
		l.last = nil
	} else {
		c.prev = nil
	}
	return spent
}
