package netstream

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

var (
	_ io.ReaderFrom = (*NetworkStream)(nil)
	_ io.WriterTo   = (*NetworkStream)(nil)
)

// copyBuffer is what WriteTo and ReadFrom copy at a time.
const copyBuffer = 32 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}

// sliceBytes is how much a shortcut sends before other writes may go out.
const sliceBytes = 1 << 20

// A shortcut moves some bytes of a copy without bringing them into the program. 0 without an error: it cannot do so now, or
// that does not pay, and the next piece is copied. last is how many bytes the step before has moved.
type shortcut func(last int64) (int64, error)

// WriteTo writes everything up to the end of the stream to w; it implements io.WriterTo. It is a sequence of reads and
// writes, which take their place among others. On Linux, from a TCP stream into a stream or a connection of net over
// TCP or a Unix socket, bytes that come in bulk do not enter the program (splice), up to 1 MiB at a time. What is encrypted is
// copied, at either end.
func (s *NetworkStream) WriteTo(w io.Writer) (int64, error) {
	n, _, err := copyAll(w, s, newRelay(s, w))
	return n, err
}

// ReadFrom sends everything r has; it implements io.ReaderFrom. It is a sequence of writes, which take their place among
// others, and of reads from r, which keep nobody else waiting: neither writes nor Close. The count is what the
// kernel has accepted. An error of r is returned as it is and leaves the stream as it was.
//
// A regular file (an *os.File, or an io.LimitedReader over one) goes into a TCP or Unix stream by sendfile on
// Linux, macOS and FreeBSD, up to 1 MiB at a time. After an error the file stands where the part that was sent ends. What
// comes from a TCP stream, or a *net.TCPConn, takes the way of WriteTo. A net.Buffers is better given to
// [NetworkStream.WriteBuffers].
func (s *NetworkStream) ReadFrom(r io.Reader) (int64, error) {
	s.mu.Lock()
	err := s.writableLocked()
	s.mu.Unlock()
	if err != nil { // nothing is taken from r in vain
		return 0, s.opError("write", err)
	}
	file := s.fileSource(r)
	if file == nil {
		n, _, err := copyAll(s, r, newRelay(r, s))
		return n, err
	}
	n, unsent, err := copyAll(s, r, file.sendSome)
	file.giveBack(unsent)
	return n, err
}

// copyAll copies src to dst, by the shortcut (nil: there is none) where it can. unsent is how many bytes were
// read and not written.
func copyAll(dst io.Writer, src io.Reader, short shortcut) (total, unsent int64, err error) {
	var n int64
	for err == nil {
		last := n
		n = 0
		if short != nil {
			n, err = short(last)
		}
		if n == 0 && err == nil {
			n, unsent, err = copyPiece(dst, src)
		}
		total += n
	}
	if err == io.EOF {
		err = nil
	}
	return total, unsent, err
}

// copyPiece makes one Read and one Write. The end of src is io.EOF.
func copyPiece(dst io.Writer, src io.Reader) (sent, unsent int64, err error) {
	buffer := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buffer)
	n, err := src.Read(buffer[:])
	if n < 0 || n > len(buffer) {
		return 0, 0, errReadCount
	}
	if n == 0 {
		return 0, 0, err
	}
	m, werr := dst.Write(buffer[:n])
	if m < 0 || m > n {
		return 0, int64(n), errors.Join(errWriteCount, werr)
	}
	if werr == nil && m < n {
		werr = io.ErrShortWrite
	}
	if werr != nil {
		err = werr
	}
	return int64(m), int64(n - m), err
}

var (
	errReadCount  = errors.New("netstream: the source of a copy returned an impossible count")
	errWriteCount = errors.New("netstream: the destination of a copy returned an impossible count")
)

// A mover makes one attempt, which does not wait, to move up to n bytes from somewhere into the descriptor fd.
// 0 without an error: there is nothing more to be had that way.
type mover func(fd int, n int64) (int, syscall.Errno)

// sendSlice sends up to size bytes that move brings, as one write that no other gets into, if nothing is ahead of it.
// It returns how many went out. That may be fewer without an error. call names the system call in errors.
func (s *NetworkStream) sendSlice(size int64, call string, move mover) (n int64, err error) {
	w := &s.write
	s.mu.Lock()
	if err := s.refuseBlockingWriteLocked(nil, byResumable, 1); err != nil {
		s.mu.Unlock()
		return 0, s.opError("write", err)
	}
	if !w.idle() || w.roomWrites > 0 || !s.transport.Traits().Socket {
		s.mu.Unlock()
		return 0, nil
	}
	id, t, timeout := w.id, s.transport, w.timeout()
	if timeout > 0 {
		size = min(size, copyBuffer) // the timeout is for as many bytes as in a copy
	}
	op := s.newBlockingWriteLocked(nil, nil, byResumable)
	op.size = size
	w.ownBlocking(op)
	s.unlock()
	stop := s.watch(context.Background(), op, timeout)
	n, err = moveAll(t, id, size, call, move)
	s.mu.Lock()
	if stopped := op.stage == stopping || w.stopReason() != nil; err == nil || err == engine.ErrInterrupted && !stopped {
		w.shrink(op, n)
		err = nil // what went out is the whole of this slice; the owner may say so
	}
	s.mu.Unlock()
	s.flush(moved(int(n), err))
	n, err = op.waited(stop)
	return n, s.opError("write", err)
}

// moveAll moves size bytes, or what there is.
func moveAll(t engine.Connection, id uint32, size int64, call string, move mover) (sent int64, err error) {
	for m := 1; err == nil && m > 0 && sent < size; sent += int64(m) {
		var errno syscall.Errno
		m = 0 // the call may end without having called
		err = t.RawCall(engine.Write, id, func(fd uintptr) bool {
			m, errno = engine.MoveOrReset(int(fd), size-sent, move)
			return errno != syscall.EAGAIN
		})
		if err == nil && errno != 0 {
			err = os.NewSyscallError(call, errno)
		}
	}
	return sent, err
}
