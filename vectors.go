package netstream

import "sync"

// maxVectors is the most one vectored send takes (IOV_MAX on Linux and the BSDs).
const maxVectors = 1024

// vectors is what one attempt to send hands to the transport. It is rebuilt for each attempt and belongs to a
// pool, so an idle stream holds none.
type vectors struct {
	used  int
	slots [maxVectors][]byte
}

var vectorPool = sync.Pool{New: func() any { return new(vectors) }}

func takeVectors() *vectors { return vectorPool.Get().(*vectors) }

func (v *vectors) giveBack() {
	clear(v.slots[:v.used]) // the pool must not keep the callers' buffers alive
	v.used = 0
	vectorPool.Put(v)
}

// fill returns what is left of the operations from op on, as far as one send takes it.
func (v *vectors) fill(op *operation, most int) [][]byte {
	batch, _ := v.fillCount(op, most)
	return batch
}

// fillCount also returns how many operations have a part in the batch.
func (v *vectors) fillCount(op *operation, most int) (batch [][]byte, operations int) {
	n, bytes := 0, 0
	for ; op != nil && !op.doomed && n < most && bytes < batchBytes; op = op.next {
		operations++
		switch {
		case op.vectored():
			n, bytes = v.addPieces(op, n, bytes, most)
		case op.size == 0:
			if n == 0 { // a zero-length send goes out alone; behind others it is part of the send
				v.slots[0] = nil
				v.used = max(v.used, 1)
				return v.slots[:1], operations
			}
		default:
			v.slots[n] = op.buffer[0][op.done:]
			bytes += len(v.slots[n])
			n++
		}
	}
	v.used = max(v.used, n)
	if n > 0 && bytes > batchBytes { // cut the last one: the rest follows with the next batch
		last := v.slots[n-1]
		v.slots[n-1] = last[:len(last)-(bytes-batchBytes)]
	}
	return v.slots[:n], operations
}

// vectored reports whether what op lent is in several pieces.
func (op *operation) vectored() bool { return op.buffer[0] == nil && op.size > 0 }

func (v *vectors) addPieces(op *operation, n, bytes, most int) (int, int) {
	skip := op.done
	for _, p := range *op.vectors {
		if int64(len(p)) <= skip {
			skip -= int64(len(p))
			continue
		}
		if n == most || bytes >= batchBytes {
			break
		}
		v.slots[n] = p[skip:]
		skip = 0
		bytes += len(v.slots[n])
		n++
	}
	return n, bytes
}

// fillBytes returns the beginning of op, at most that many bytes.
func (v *vectors) fillBytes(op *operation, most int) [][]byte {
	if op.vectored() {
		v.used, _ = v.addPieces(op, 0, 0, maxVectors)
	} else {
		v.slots[0], v.used = op.buffer[0], 1
	}
	for i, p := range v.slots[:v.used] {
		if len(p) >= most {
			v.slots[i] = p[:most]
			return v.slots[:i+1]
		}
		most -= len(p)
	}
	return v.slots[:v.used]
}
