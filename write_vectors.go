package netstream

import "sync"

const (
	// maxVectors is the most one vectored send takes (IOV_MAX on Linux and the BSDs).
	maxVectors = 1024
	// gatherBytes is the longest piece that is copied to its neighbours rather than being a vector of its own. A vector
	// costs the kernel some 10 ns: 512 writes of 64 bytes in one send cost 22 ns each as vectors and 18 ns copied, of 128
	// bytes 51 and 35, of 256 bytes 87 and 75, but of 512 bytes 119 and 155.
	gatherBytes = 256
	// gatherRoom bounds what is copied for one send.
	gatherRoom = 64 << 10
)

// vectors is what one attempt to send hands to the transport. It is rebuilt for each attempt and belongs to a
// pool, so an idle stream holds none.
type vectors struct {
	used     int // slots filled
	gathered int // bytes of scratch filled
	run      int // where in scratch the last slot begins, while it grows; -1: it does not
	slots    [maxVectors][]byte
	scratch  []byte // of gatherRoom bytes, once a short piece has come: few of those at work at once need it
}

var vectorPool = sync.Pool{New: func() any { return &vectors{run: -1} }}

func takeVectors() *vectors { return vectorPool.Get().(*vectors) }

func (v *vectors) giveBack() {
	v.reset()
	vectorPool.Put(v)
}

// reset forgets what was filled in: the pool must not keep the callers' buffers alive.
func (v *vectors) reset() {
	clear(v.slots[:v.used])
	v.used, v.gathered, v.run = 0, 0, -1
}

// batch is what one flush sends with.
type batch struct{ vectors *vectors }

// of returns what the next attempt sends. Vectors are taken from the pool when more than one piece is to be sent: for a lone
// message, as what is pushed mostly is, filling them in would be a sixth of all but the system call.
func (b *batch) of(w *writeQueue) [][]byte {
	if piece := w.onePiece(); piece != nil {
		return piece
	}
	if b.vectors == nil {
		b.vectors = takeVectors()
	}
	return w.fill(b.vectors)
}

func (b *batch) giveBack() {
	if b.vectors != nil {
		b.vectors.giveBack()
	}
}

// onePiece returns what is in flight if that is one entry in one piece, none of which has been taken, and not too long for
// one send; nil: it is not.
func (w *writeQueue) onePiece() (piece [][]byte) {
	at := w.taken.at
	if at+1 != w.claimed || w.taken.offset > 0 {
		return nil
	}
	if op := w.solo[0]; op != nil && w.soloSeq == at {
		return op.onePiece()
	}
	c := w.chunks.first
	if at < c.seq || at >= c.end() {
		return nil
	}
	if op := c.ops[at-c.seq]; op != nil {
		return op.onePiece()
	}
	if piece = c.posts[at-c.seq:][:1]; len(piece[0]) > batchBytes {
		return nil
	}
	return piece
}

// onePiece is that of the queue, for an operation.
func (op *operation) onePiece() [][]byte {
	if op.vectored || op.fate == fateUnsent || op.size > batchBytes {
		return nil
	}
	return op.buffer[:]
}

// fill returns what is left of what is in flight, as far as one send takes it. The slices are good until the next fill. A write
// of no bytes is sent only when it comes first, and then alone: behind others it is part of their send.
func (w *writeQueue) fill(v *vectors) [][]byte {
	v.reset()
	bytes, n := 0, 0         // what is filled in, and of how many entries that is
	offset := w.taken.offset // where the first entry goes on; 0 for the others
	k := w.from(w.taken.at)
entries:
	for ops, posts := k.next(); ops != nil; ops, posts = k.next() {
		for i, op := range ops {
			var p []byte
			switch {
			case v.used == maxVectors || n == maxVectors || bytes >= batchBytes:
				break entries
			case op == nil:
				if p = posts[i]; p == nil {
					continue // a hole
				}
			case op.fate == fateUnsent:
				break entries
			case op.vectored:
				bytes += v.addPieces(op, batchBytes-bytes)
				offset, n = 0, n+1
				continue
			default:
				p = op.buffer[0]
			}
			n++
			if p = p[offset:]; len(p) > 0 {
				v.add(p, gatherBytes)
				bytes += len(p)
			} else if v.used == 0 {
				v.used = 1
				return v.slots[:1]
			}
			offset = 0
		}
	}
	v.endRun()
	if bytes > batchBytes { // shorten the last one, nothing is added behind it: the rest follows with the next batch
		last := &v.slots[v.used-1]
		*last = (*last)[:len(*last)-(bytes-batchBytes)]
	}
	return v.slots[:v.used]
}

// addPieces adds what is left of op's pieces until there are maxVectors or, with the last one, room bytes. It
// returns how many bytes that is.
func (v *vectors) addPieces(op *operation, room int) (bytes int) {
	for _, p := range op.uncommon.Load().vectors {
		if v.used == maxVectors || bytes >= room {
			break
		}
		v.add(p, gatherBytes)
		bytes += len(p)
	}
	return bytes
}

// add adds p, copied to its neighbours if it has no more than gather bytes.
func (v *vectors) add(p []byte, gather int) {
	if len(p) > gather || len(p) > gatherRoom-v.gathered {
		v.endRun()
		v.slots[v.used] = p
		v.used++
		return
	}
	if v.run < 0 {
		v.beginRun()
	}
	v.gathered += copy(v.scratch[v.gathered:], p)
}

// beginRun makes the next slot one of pieces that are copied together. Others may follow until endRun fills it in.
func (v *vectors) beginRun() {
	if v.scratch == nil {
		v.scratch = make([]byte, gatherRoom)
	}
	v.run = v.gathered
	v.used++
}

func (v *vectors) endRun() {
	if v.run >= 0 {
		v.slots[v.used-1] = v.scratch[v.run:v.gathered]
		v.run = -1
	}
}

// fillBytes returns the beginning of op, at most that many bytes.
func (v *vectors) fillBytes(op *operation, most int) [][]byte {
	v.reset()
	if op.vectored {
		v.addPieces(op, most)
	} else {
		v.add(op.buffer[0], 0)
	}
	v.endRun()
	for i, p := range v.slots[:v.used] {
		if len(p) >= most {
			v.slots[i] = p[:most]
			return v.slots[:i+1]
		}
		most -= len(p)
	}
	return v.slots[:v.used]
}
