package netstream

import (
	"sync"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// A connection that is only a net.Conn takes one slice at a time. So what is short is copied together for it: a Write
// costs a system call, over TLS a record as well. The memory comes from a pool and is held while the Write lasts.

const (
	// recordBytes is the most that operations share: one record of TLS.
	recordBytes = 16 << 10
	// messageBytes is the longest operation whose pieces are joined to one Write.
	messageBytes = 64 << 10
)

var (
	records  = sync.Pool{New: func() any { return new([recordBytes]byte) }}
	messages = sync.Pool{New: func() any { return new([messageBytes]byte) }}
)

// joined is what one Write takes. It belongs to the owner of the direction.
type joined struct {
	vector  [1][]byte           // it: lent bytes, or those copied
	record  *[recordBytes]byte  // if the bytes are copied: where
	message *[messageBytes]byte // the same, for more than recordBytes
}

// join returns what the next Write takes of what is in flight, and the number behind the last entry that has a part in
// it. Only the owner calls it, without mu.
func (w *writeQueue) join(how engine.Joining) (batch [][]byte, end uint64) {
	if w.joined == nil {
		w.joined = new(joined)
	}
	return w.joined.fill(w, how)
}

// fill returns what the next Write takes, and the number behind it. The bytes are good until giveBack. Of an entry other
// than the first it takes all or nothing.
func (j *joined) fill(w *writeQueue, how engine.Joining) (batch [][]byte, end uint64) {
	offset, limit, n := w.taken.offset, 0, 0
	k := w.from(w.taken.at)
	end = w.taken.at
entries:
	for ops, posts := k.next(); ops != nil; ops, posts = k.next() {
		for i := range ops {
			e := entryAt(ops, posts, i)
			switch {
			case e.hole():
				continue
			case e.failsUnsent() || n == maxVectors:
				break entries
			case n == 0:
				limit = joinLimit(how, e.size()-offset)
			case how != engine.JoinAll || e.blocks() || int64(len(j.vector[0]))+e.size() > int64(limit):
				break entries
			}
			end = k.seq(ops, i) + 1
			if !j.addEntry(e, offset, limit) {
				break entries
			}
			offset, n = 0, n+1
		}
	}
	if how == engine.JoinAll {
		j.vector[0] = j.vector[0][:min(len(j.vector[0]), batchBytes)]
	}
	return j.vector[:], end
}

// joinLimit is how much is joined behind a first entry of that size.
func joinLimit(how engine.Joining, first int64) int {
	if how == engine.JoinAll || first <= recordBytes {
		return recordBytes
	}
	return messageBytes
}

// addEntry adds what is left of e, and reports whether that was within the limit.
func (j *joined) addEntry(e entry, offset int64, limit int) bool {
	if e.op == nil || !e.op.vectored {
		return j.add(e.bytes()[offset:], limit)
	}
	for _, p := range e.op.uncommon.Load().vectors {
		if !j.add(p, limit) {
			return false
		}
	}
	return true
}

// add adds p. The first one is taken as it is, however long: it is copied when another one follows.
func (j *joined) add(p []byte, limit int) bool {
	have := j.vector[0]
	switch {
	case len(have) == 0:
		j.vector[0] = p
		return true
	case len(have)+len(p) > limit:
		return false
	case j.record == nil && j.message == nil:
		have = append(j.take(limit), have...)
	}
	j.vector[0] = append(have, p...)
	return true
}

// take returns memory for limit bytes, empty.
func (j *joined) take(limit int) []byte {
	if limit == recordBytes {
		j.record = records.Get().(*[recordBytes]byte)
		return j.record[:0]
	}
	j.message = messages.Get().(*[messageBytes]byte)
	return j.message[:0]
}

// giveBack is called when the Write is over.
func (j *joined) giveBack() {
	if j == nil {
		return
	}
	j.vector[0] = nil
	if j.record != nil {
		records.Put(j.record)
		j.record = nil
	}
	if j.message != nil {
		messages.Put(j.message)
		j.message = nil
	}
}
