package engine

import "sync"

const (
	// recordBytes is the most data that one record takes.
	recordBytes = 16 << 10
	// burstRecords is how many of them one send takes while sends are taken whole.
	burstRecords = 4
	// sealedBytes has room for them with what a record adds: at most 5 + 16 + 256 + 64 bytes, and most add 22.
	sealedBytes = burstRecords * (recordBytes + 512)
)

// sealed is what crypto/tls has written and the kernel has not taken. Its memory comes from a pool; a rest that has to wait
// moves to one of its size. Guarded by the mu of the TLS, except that whoever sends reads bytes that are there
// already, which nobody changes.
type sealed struct {
	bytes []byte
	sent  int    // of bytes: in the kernel
	marks []mark // where records of data end
	first int    // of marks: not in the kernel
}

// mark is the end of a record of data.
type mark struct {
	end  int // in bytes
	data int // how many more bytes of data are in the kernel when the record is; until countData, the record's length
}

var sealedPool = sync.Pool{New: func() any {
	return &sealed{bytes: make([]byte, 0, sealedBytes), marks: make([]mark, 0, 64)}
}}

// rest is the number of bytes that are not in the kernel.
func (o *sealed) rest() int {
	if o == nil {
		return 0
	}
	return len(o.bytes) - o.sent
}

// account notes that n more bytes are in the kernel, and returns how many bytes of data that makes.
func (o *sealed) account(n int) (data int) {
	o.sent += n
	for ; o.first < len(o.marks) && o.marks[o.first].end <= o.sent; o.first++ {
		data += o.marks[o.first].data
	}
	return data
}

// giveBack is called when nobody has a use for the bytes any more.
func (o *sealed) giveBack() {
	if cap(o.bytes) != sealedBytes {
		return
	}
	o.bytes, o.marks, o.sent, o.first = o.bytes[:0], o.marks[:0], 0, 0
	sealedPool.Put(o)
}

// shrunk returns the rest in memory of its size.
func (o *sealed) shrunk() *sealed {
	if cap(o.bytes) != sealedBytes {
		return o
	}
	small := &sealed{bytes: append([]byte(nil), o.bytes[o.sent:]...)}
	for _, m := range o.marks[o.first:] {
		small.marks = append(small.marks, mark{m.end - o.sent, m.data})
	}
	o.giveBack()
	return small
}

// keep takes what crypto/tls writes.
func (t *TLS) keep(p []byte) {
	if t.mute {
		return
	}
	if t.out == nil && t.sealing {
		t.out = sealedPool.Get().(*sealed)
	} else if t.out == nil {
		t.out = new(sealed)
	}
	o := t.out
	o.bytes = append(o.bytes, p...)
	if t.sealing {
		o.marks = append(o.marks, mark{end: len(o.bytes), data: len(p)})
	} else {
		t.control += len(p)
	}
	t.held.Store(true)
}

// gather turns vectors into pieces of one record each.
type gather struct {
	vectors [][]byte
	used    int // of the first one
	plain   *[recordBytes]byte
}

var plains = sync.Pool{New: func() any { return new([recordBytes]byte) }}

// next returns up to limit bytes, nil at the end. They are good until the next call. Pieces are copied together; one that
// fills the record, or is the last, is not copied.
func (g *gather) next(limit int) []byte {
	g.skipEmpty()
	if len(g.vectors) == 0 {
		return nil
	}
	first := g.vectors[0][g.used:]
	if len(first) >= limit || len(g.vectors) == 1 {
		n := min(limit, len(first))
		g.used += n
		return first[:n]
	}
	if g.plain == nil {
		g.plain = plains.Get().(*[recordBytes]byte)
	}
	n := 0
	for n < limit && len(g.vectors) > 0 {
		m := copy(g.plain[n:limit], g.vectors[0][g.used:])
		g.used, n = g.used+m, n+m
		g.skipEmpty()
	}
	return g.plain[:n]
}

func (g *gather) skipEmpty() {
	for len(g.vectors) > 0 && g.used == len(g.vectors[0]) {
		g.vectors, g.used = g.vectors[1:], 0
	}
}

func (g *gather) giveBack() {
	if g.plain != nil {
		plains.Put(g.plain)
		g.plain = nil
	}
}
