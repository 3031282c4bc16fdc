//go:build unix

package netstream

import (
	"io"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// descriptor is the direct use of a socket that net owns, through its RawConn: non-blocking attempts, and blocking
// calls with system calls that the scheduler need not be told of. Each half belongs to the owner of its
// direction; the functions are bound once, so that a call allocates nothing.
type descriptor struct {
	raw syscall.RawConn

	readOnce, readWait func(fd uintptr) bool
	in                 []byte
	inN                int
	inErr              syscall.Errno

	writeOnce, writeWait func(fd uintptr) bool
	out                  [][]byte
	outN                 int
	rest                 [1][]byte
	outErr               syscall.Errno
}

func newDescriptor(raw syscall.RawConn) direct {
	d := &descriptor{raw: raw}
	d.readOnce = func(fd uintptr) bool {
		d.inN, d.inErr = receive(int(fd), d.in)
		return true
	}
	d.readWait = func(fd uintptr) bool {
		d.inN, d.inErr = receive(int(fd), d.in)
		return d.inErr != syscall.EAGAIN
	}
	d.writeOnce = func(fd uintptr) bool {
		if len(d.out) == 1 { // see runCallbacks: there is not much room on a new stack
			d.outN, d.outErr = sys.Send(int(fd), d.out[0])
		} else {
			d.outN, d.outErr = sys.Sendv(int(fd), d.out)
		}
		return true
	}
	d.writeWait = func(fd uintptr) bool {
		for {
			n, errno := sys.Sendv(int(fd), d.out)
			if errno == syscall.EAGAIN {
				return false
			}
			d.outN += n
			d.outErr = errno
			if errno != 0 || !d.advance(n) {
				return true
			}
		}
	}
	return d
}

// advance prepares to send the rest of a single vector; of several, the caller sends the rest.
func (d *descriptor) advance(n int) (more bool) {
	if len(d.out) != 1 || n == len(d.out[0]) {
		return false
	}
	d.rest[0] = d.out[0][n:]
	d.out = d.rest[:]
	return true
}

func (d *descriptor) tryRead(p []byte) (int, error) { return d.receive(p, d.readOnce) }
func (d *descriptor) read(p []byte) (int, error)    { return d.receive(p, d.readWait) }

func (d *descriptor) receive(p []byte, f func(fd uintptr) bool) (int, error) {
	d.in = p
	err := d.raw.Read(f)
	d.in = nil
	if err != nil {
		return 0, err
	}
	return received(d.inN, d.inErr)
}

func (d *descriptor) tryWrite(vectors [][]byte) (int, error) {
	d.out, d.outN = vectors, 0
	return d.wrote(d.raw.Write(d.writeOnce))
}

func (d *descriptor) write(vectors [][]byte) (int, error) {
	d.out, d.outN = vectors, 0
	return d.wrote(d.raw.Write(d.writeWait))
}

func (d *descriptor) wrote(err error) (int, error) {
	d.out, d.rest[0] = nil, nil
	if err != nil {
		return d.outN, err
	}
	return sent(d.outN, d.outErr)
}

// setNonblock puts the socket in non-blocking mode: what net does with it relies on that. Receives and sends here do
// not, because anybody who shares the open file may change the mode later. (On macOS sends do: one that waits then holds
// up a thread and its caller, as with net.)
func setNonblock(raw syscall.RawConn) {
	_, _ = control(raw, func(fd int) (int, syscall.Errno) { return 0, sys.SetNonblock(fd) })
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
	return n, errno
}

// discardInput reads until the peer's end, nil, or until c's deadline. The mode of the socket does not matter: a Read of
// net or os would wait without a deadline if somebody has put it in blocking mode.
func discardInput(c lingerer) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var scratch [4 << 10]byte
	for {
		var n int
		var errno syscall.Errno
		err := raw.Read(func(fd uintptr) bool {
			n, errno = sys.Recv(int(fd), scratch[:])
			return errno != syscall.EAGAIN
		})
		switch {
		case err != nil:
			return err
		case errno != 0:
			return errno
		case n == 0:
			return nil
		}
	}
}

func rawBuffered(raw syscall.RawConn) (int, error) { return control(raw, sys.Buffered) }
func rawUnacked(raw syscall.RawConn) (int, error)  { return control(raw, sys.Unacked) }

// peerErrno fails when the socket has no peer.
func peerErrno(fd int) (int, syscall.Errno) {
	_, errno := sys.Peername(fd)
	return 0, errno
}

// pendingErrno takes the error that the socket has not told anybody yet, 0 for none.
func pendingErrno(fd int) (int, syscall.Errno) {
	pending, errno := sys.SocketError(fd)
	return int(pending), errno
}
