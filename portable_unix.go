//go:build unix

package netstream

import (
	"io"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// rawAttempter makes non-blocking attempts on the descriptor of a connection that net owns. Each half belongs to
// the owner of its direction; the functions are bound once, so that an attempt allocates nothing.
type rawAttempter struct {
	raw syscall.RawConn

	readOnce, readWait func(fd uintptr) bool
	in                 []byte
	inN                int
	inErr              syscall.Errno

	writeOnce func(fd uintptr) bool
	out       [][]byte
	outN      int
	outErr    syscall.Errno
}

func newRawAttempter(raw syscall.RawConn) attempter {
	a := &rawAttempter{raw: raw}
	a.readOnce = func(fd uintptr) bool {
		a.inN, a.inErr = receive(int(fd), a.in)
		return true
	}
	a.readWait = func(fd uintptr) bool {
		a.inN, a.inErr = receive(int(fd), nil)
		return a.inErr != syscall.EAGAIN
	}
	a.writeOnce = func(fd uintptr) bool {
		a.outN, a.outErr = sys.Sendv(int(fd), a.out)
		return true
	}
	return a
}

// receive takes data, or looks for it when p is empty; -1 stands for data that was only looked at.
func receive(fd int, p []byte) (int, syscall.Errno) {
	if len(p) > 0 {
		return sys.Recv(fd, p)
	}
	var peek [1]byte
	n, errno := sys.Peek(fd, peek[:])
	return -n, errno
}

// received turns the answer of receive into that of a transport.
func received(n int, errno syscall.Errno) (int, error) {
	switch {
	case errno == syscall.EAGAIN:
		return 0, errWouldBlock
	case errno != 0:
		return 0, errno
	case n == 0:
		return 0, io.EOF
	}
	return max(n, 0), nil
}

// sent turns the answer of a send into that of a transport.
func sent(n int, errno syscall.Errno) (int, error) {
	switch errno {
	case 0:
		return n, nil
	case syscall.EAGAIN:
		return 0, errWouldBlock
	}
	return 0, errno
}

func (a *rawAttempter) tryRead(p []byte) (int, error) {
	a.in = p
	err := a.raw.Read(a.readOnce)
	a.in = nil
	if err != nil {
		return 0, err
	}
	return received(a.inN, a.inErr)
}

func (a *rawAttempter) waitReadable() error {
	if err := a.raw.Read(a.readWait); err != nil {
		return err
	}
	_, err := received(a.inN, a.inErr)
	return err
}

func (a *rawAttempter) tryWrite(vectors [][]byte) (int, error) {
	a.out = vectors
	err := a.raw.Write(a.writeOnce)
	a.out = nil
	if err != nil {
		return 0, err
	}
	return sent(a.outN, a.outErr)
}

func rawBuffered(raw syscall.RawConn) (int, error) { return control(raw, sys.Buffered) }
func rawUnacked(raw syscall.RawConn) (int, error)  { return control(raw, sys.Unacked) }

// peerErrno fails when the socket has no peer.
func peerErrno(fd int) (int, syscall.Errno) {
	_, errno := sys.Peername(fd)
	return 0, errno
}

// pollSlice bounds one wait for room on a descriptor that somebody uses directly: Close waits for it.
const pollSlice = 20 * time.Millisecond

func pollWritable(fd uintptr) { sys.PollWritable(int(fd), pollSlice) }
