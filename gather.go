package netstream

import "sync"

// A connection that is only a net.Conn takes one slice at a time. So what is short is copied together for it: a Write
// costs a system call, over TLS a record as well. The memory comes from a pool and is held while the Write lasts.

// joining says what may share one Write.
type joining uint8

const (
	joinNothing joining = iota // the transport takes vectors
	joinPieces                 // the pieces of one operation: a Write may be a message
	joinAll                    // whatever is queued
)

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

// join returns what the next Write takes of what is in flight, nil if the transport takes vectors. Only the owner calls it,
// without mu.
func (w *writeQueue) join(how joining) (batch [][]byte, operations int) {
	if how == joinNothing {
		return nil, 0
	}
	if w.joined == nil {
		w.joined = new(joined)
	}
	return w.joined.fill(w.inflight.head, how)
}

// fill returns what the next Write takes of the operations from head on, and how many of them have a part in it. The
// bytes are good until giveBack. Of an operation other than the first it takes all or nothing.
func (j *joined) fill(head *operation, how joining) (batch [][]byte, operations int) {
	limit := messageBytes
	if how == joinAll || head.size-head.done <= recordBytes {
		limit = recordBytes
	}
	for op := head; op != nil && !op.doomed && operations < maxVectors; op = op.next {
		if op != head && (how != joinAll || op.blocking || int64(len(j.vector[0]))+op.size > int64(limit)) {
			break
		}
		operations++
		if !j.addOperation(op, limit) {
			break
		}
	}
	if how == joinAll {
		j.vector[0] = j.vector[0][:min(len(j.vector[0]), batchBytes)]
	}
	return j.vector[:], operations
}

// addOperation adds what is left of op, and reports whether that was within the limit.
func (j *joined) addOperation(op *operation, limit int) bool {
	if !op.vectored {
		return j.add(op.buffer[0][op.done:], limit)
	}
	for _, p := range *op.vectors {
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

// take returns room for limit bytes.
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
