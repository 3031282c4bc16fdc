package netstream

import (
	"context"
	"io"
	"os"
	"sync"
)

var (
	_ io.ReaderFrom = (*NetworkStream)(nil)
	_ io.WriterTo   = (*NetworkStream)(nil)
)

// copyBuffer is what WriteTo and ReadFrom move at a time.
const copyBuffer = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// sendfileChunk is how much of a file goes out before other writes get their turn. Chunks are not mixed with
// other writes.
const sendfileChunk = 1 << 20

// WriteTo writes everything up to the end of the stream to w; it implements io.WriterTo.
func (s *NetworkStream) WriteTo(w io.Writer) (int64, error) {
	buffer := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buffer)
	var total int64
	for {
		n, err := s.Read(buffer[:])
		if n > 0 {
			m, werr := w.Write(buffer[:n])
			total += int64(m)
			if werr == nil && m < n {
				werr = io.ErrShortWrite
			}
			if werr != nil {
				return total, werr
			}
		}
		if err == io.EOF {
			return total, nil
		}
		if err != nil {
			return total, err
		}
	}
}

// ReadFrom sends everything r has; it implements io.ReaderFrom. An *os.File (or an io.LimitedReader over one) goes
// into a TCP or Unix stream by sendfile where the system has it, as long as nothing is queued. Its chunks
// take their turn among other writes and are not mixed with them.
func (s *NetworkStream) ReadFrom(r io.Reader) (int64, error) {
	n, done, err := s.readFromFile(r)
	if done || err != nil {
		return n, err
	}
	buffer := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buffer)
	for {
		m, rerr := r.Read(buffer[:])
		if m > 0 {
			w, werr := s.Write(buffer[:m])
			n += int64(w)
			if werr != nil {
				return n, werr
			}
		}
		if rerr == io.EOF {
			return n, nil
		}
		if rerr != nil {
			return n, rerr
		}
	}
}

// readFromFile sends by sendfile for as long as that is possible. done: everything r had has been sent.
func (s *NetworkStream) readFromFile(r io.Reader) (total int64, done bool, err error) {
	file, limited := sourceFile(r)
	if file == nil {
		return 0, false, nil
	}
	for {
		chunk := int64(sendfileChunk)
		if limited != nil {
			chunk = min(chunk, limited.N)
		}
		if chunk == 0 {
			return total, true, nil
		}
		n, end, err := s.sendFileChunk(file, chunk)
		total += n
		if limited != nil {
			limited.N -= n
		}
		if end || err != nil {
			return total, end && err == nil, err
		}
		if n == 0 {
			return total, false, nil // something is queued, or there is no sendfile: copy
		}
	}
}

// sourceFile recognises what sendfile can read from.
func sourceFile(r io.Reader) (*os.File, *io.LimitedReader) {
	switch r := r.(type) {
	case *os.File:
		return r, nil
	case *io.LimitedReader:
		if f, ok := r.R.(*os.File); ok {
			return f, r
		}
	}
	return nil, nil
}

// sendFileChunk sends up to chunk bytes of file if nothing is ahead. end: the file has no more. n of 0 without
// end: it cannot be done that way now.
func (s *NetworkStream) sendFileChunk(file *os.File, chunk int64) (n int64, end bool, err error) {
	w := &s.write
	s.mu.Lock()
	if err := s.refuseBlockingWriteLocked(context.Background(), true, 1); err != nil {
		s.mu.Unlock()
		return 0, false, s.opError("write", err)
	}
	if !w.idleLocked() || !w.room.empty() {
		s.mu.Unlock()
		return 0, false, nil
	}
	op := s.startBlockingWriteLocked(nil, chunk, true)
	turn, t, timeout := w.turn, s.transport, s.writeTimeout
	s.unlock()
	stop := s.watch(context.Background(), op, timeout)
	n, err = t.sendFile(turn, file, chunk)
	end = err == nil && n < chunk
	s.mu.Lock()
	stopped := op.asked || w.cutAll != nil
	s.mu.Unlock()
	if err == nil || err == errWouldBlock || err == errInterrupted && !stopped {
		s.shrink(op, n)
		err = nil // what went out is the whole of this chunk; the owner may say so
	}
	s.resumeWrite(attempt{n > 0 || err != errInterrupted, int(n), err})
	n, err = op.waited(stop)
	return n, end && err == nil, s.opError("write", err)
}

// shrink makes n the size of op, which is in flight, and takes the rest off the counts.
func (s *NetworkStream) shrink(op *operation, n int64) {
	s.write.discharged.Add(uint64(op.size - n))
	if g := s.config.Group; g != nil {
		g.pendingBytes.Add(n - op.size)
	}
	op.size = n
}
