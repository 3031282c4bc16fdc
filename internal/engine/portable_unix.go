//go:build unix

package engine

import (
	"net"
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

	room   func(fd uintptr) bool
	looked bool // for room
}

func newDescriptor(_ net.Conn, raw syscall.RawConn) direct {
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
	// Go's poller tells of changes only, and one that came since the last attempt is forgotten when the wait begins.
	d.room = func(fd uintptr) bool {
		looked := d.looked
		d.looked = true
		return looked || sys.Writable(int(fd))
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

func (d *descriptor) awaitRoom() error {
	d.looked = false
	return d.raw.Write(d.room)
}

func (d *descriptor) wrote(err error) (int, error) {
	d.out, d.rest[0] = nil, nil
	if err != nil {
		return d.outN, err
	}
	return sent(d.outN, d.outErr)
}
