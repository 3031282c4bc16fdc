package netstream

import "context"

// WriteBuffers sends all the buffers one after the other as one message and returns when the kernel has accepted every
// byte; otherwise it is [NetworkStream.Write]. What fits into one vectored send goes out in one. It returns the number of
// bytes accepted. The slices are not changed: unlike net.Buffers, nothing is consumed. No bytes at all on an open
// stream is 0, nil.
//
// Use it instead of net.Buffers.WriteTo(stream), which knows a vectored send for the connections of package net only and
// calls Write once for each buffer of any other (golang/go#21676): a system call each, and other writers' messages in
// between.
func (s *NetworkStream) WriteBuffers(buffers [][]byte) (int64, error) {
	return s.writeBlocking(context.Background(), nil, buffers, true)
}

func sizeOf(buffers [][]byte) (size int64) {
	for _, b := range buffers {
		size += int64(len(b))
	}
	return size
}

// lend has op send the buffers, if there are any, and returns their size. The slice of slices is copied.
func (op *operation) lend(buffers [][]byte) (size int64) {
	if buffers == nil {
		return 0
	}
	if op.vectors == nil {
		op.vectors = new([][]byte)
	}
	for _, b := range buffers {
		if len(b) > 0 {
			*op.vectors = append(*op.vectors, b)
			size += int64(len(b))
		}
	}
	switch pieces := *op.vectors; {
	case len(pieces) > 1:
		op.vectored = true
	case len(pieces) == 1:
		op.buffer[0] = pieces[0]
		op.clearVectors()
	}
	return size
}

// writeThrough is the owner's blocking call for op, which alone is in flight.
func (s *NetworkStream) writeThrough(t transport, turn uint32, op *operation) (int, error) {
	if !op.vectored {
		return t.writeThrough(turn, op.buffer[:])
	}
	if t.keeps() == 0 { // it would have the loop send anyway
		return 0, errWouldBlock
	}
	if batch, _ := s.write.join(t.joins()); batch != nil { // nextWrite gives it back
		return t.writeThrough(turn, batch)
	}
	v := takeVectors()
	defer v.giveBack()
	return t.writeThrough(turn, v.fill(op))
}
