package netstream

import (
	"context"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// WriteBuffers sends all the buffers one after the other as one message and returns when the kernel has accepted every
// byte; otherwise it is [NetworkStream.Write]. What fits into one vectored send goes out in one. It returns the number of
// bytes accepted. The slices are not changed: unlike net.Buffers, nothing is consumed. No bytes at all on an open
// stream is 0, nil.
//
// Use it instead of net.Buffers.WriteTo(stream), which knows a vectored send for the connections of package net only and
// calls Write once for each buffer of any other (golang/go#21676): a system call each, and other writers' messages in
// between.
func (s *NetworkStream) WriteBuffers(buffers [][]byte) (int64, error) {
	return s.writeBlocking(context.Background(), nil, buffers, byResumable)
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
	u := op.rarely()
	for _, b := range buffers {
		if len(b) > 0 {
			u.vectors = append(u.vectors, b)
			size += int64(len(b))
		}
	}
	switch pieces := u.vectors; {
	case len(pieces) > 1:
		op.vectored = true
	case len(pieces) == 1:
		op.buffer[0] = pieces[0]
		u.clearVectors()
	}
	return size
}

// writeThrough is the owner's blocking call for op, which alone is in flight.
func (s *NetworkStream) writeThrough(t engine.Connection, id uint32, op *operation) (int, error) {
	if !op.vectored {
		return t.WriteThrough(id, op.buffer[:])
	}
	if traits := t.Traits(); !traits.Through || traits.Holds { // the vectors would be filled in for nothing
		return 0, engine.ErrInterrupted
	}
	if how := t.Traits().Joining; how != engine.JoinNothing { // goOn gives it back
		batch, _ := s.write.join(how)
		return t.WriteThrough(id, batch)
	}
	v := takeVectors()
	defer v.giveBack()
	return t.WriteThrough(id, s.write.fill(v))
}
