package netstream

import (
	"math/bits"
	"sync"
	"time"
)

// entry is one write in the queue: {p, nil} a post, {p, op} a write of one piece, {nil, op} one of several pieces, of
// none, or one that will not be sent. The zero entry is a hole: what was there was taken back or dropped. The operation is
// touched when it is begun and when it completes, not in between.
type entry struct {
	p  []byte
	op *operation
}

func (e *entry) hole() bool { return e.op == nil && e.p == nil }

// size is how many bytes the entry stands for.
func (e *entry) size() int64 {
	if e.op != nil && e.p == nil {
		return e.op.size
	}
	return int64(len(e.p))
}

// failsUnsent reports whether the entry ends with an error when nothing is ahead of it, without being sent.
func (e *entry) failsUnsent() bool { return e.p == nil && e.op.fate == fateUnsent }

// blocks reports whether a blocking call waits for the entry.
func (e *entry) blocks() bool { return e.op != nil && e.op.blocking() }

const (
	// bigChunk entries take 1 KiB, with the head of the chunk, and smallChunk entries 256 bytes. The first chunk of a queue is
	// a small one: most queues are short.
	bigChunk   = 30
	smallChunk = 6
)

// chunk is a part of the queue: its entries never move, so the owner of the direction reads those that it has claimed
// without mu, while others are added behind them. Entries are numbered from the stream's first write on.
type chunk struct {
	next, prev *chunk
	seq        uint64        // of its first entry
	entries    []entry       // all of them, filled in or not
	begun      time.Duration // when its first entry was queued; a post has no time of its own
	live       uint32        // a bit for each entry that is not a hole and not over
	used       uint8         // entries that have been filled in; entries are added to the last chunk only
}

type (
	small struct {
		chunk
		room [smallChunk]entry
	}
	big struct {
		chunk
		room [bigChunk]entry
	}
)

var (
	smallChunks = sync.Pool{New: func() any {
		c := new(small)
		c.entries = c.room[:]
		return &c.chunk
	}}
	bigChunks = sync.Pool{New: func() any {
		c := new(big)
		c.entries = c.room[:]
		return &c.chunk
	}}
)

// end is the number behind its last entry, filled in or not.
func (c *chunk) end() uint64 { return c.seq + uint64(len(c.entries)) }

// firstLive is the index of its first live entry. A chunk in the queue has one.
func (c *chunk) firstLive() int { return bits.TrailingZeros32(c.live) }

// giveBackChunks gives the chunks from c on to the pool, with nothing in them.
func giveBackChunks(c *chunk) {
	for c != nil {
		next := c.next
		clear(c.entries[:c.used])
		c.next, c.prev, c.live, c.used = nil, nil, 0, 0
		if len(c.entries) == smallChunk {
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

// push adds an entry with the number seq and returns its chunk and its index there.
func (l *chunkList) push(e entry, seq uint64, begun time.Duration) (c *chunk, index int) {
	c = l.last
	if c == nil || int(c.used) == len(c.entries) {
		c = l.grow(seq, begun)
	}
	index = int(c.used)
	c.entries[index] = e
	c.live |= 1 << index
	c.used++
	return c, index
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
	c.entries[index] = entry{}
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
		was, over := c.firstLive(), min(at-c.seq, uint64(len(c.entries)))
		c.live &^= 1<<over - 1
		if c.live != 0 {
			if was < int(over) {
				clear(c.entries[was:over])
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
