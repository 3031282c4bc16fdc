package engine

import (
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// descriptor is the direct use of a socket that net owns, through its RawConn. Attempts are calls without OVERLAPPED on
// a socket in non-blocking mode, which say how much was moved before they return. A read that has to wait is net's own,
// overlapped: cancelled, it has taken nothing. A write that has to wait is not: Windows does not promise how much of
// an overlapped send has gone out when it is cancelled. It waits for room instead and makes another attempt.
//
// Each half belongs to the owner of its direction, except for the atomic fields; the functions are bound once, so that an
// attempt allocates nothing.
type descriptor struct {
	conn net.Conn
	raw  syscall.RawConn
	tcp  bool

	readOnce, readWait func(fd uintptr) bool
	in                 []byte
	inN                int
	inErr              syscall.Errno
	shut               atomic.Bool // closeRead was called

	writeOnce, writeRoom, askRoom func(fd uintptr) bool
	out                           [][]byte
	outN                          int
	outErr                        syscall.Errno
	asked                         atomic.Bool               // to come back from the wait for room
	room                          atomic.Pointer[loop.Room] // that wait
}

func newDescriptor(conn net.Conn, raw syscall.RawConn) direct {
	d := &descriptor{conn: conn, raw: raw}
	_, d.tcp = conn.(*net.TCPConn)
	d.readOnce = func(fd uintptr) bool {
		d.inN, d.inErr = receive(int(fd), d.in)
		return true
	}
	d.readWait = func(fd uintptr) bool { return d.readOnce(fd) && d.inErr != syscall.EAGAIN }
	d.writeOnce = func(fd uintptr) bool {
		d.outN, d.outErr = sys.Sendv(int(fd), d.out)
		return true
	}
	d.askRoom = func(fd uintptr) bool {
		d.room.Store(loop.AwaitRoom(int(fd)))
		return true
	}
	d.writeRoom = func(fd uintptr) bool {
		if d.writeOnce(fd); d.outErr == syscall.EAGAIN {
			d.askRoom(fd)
		}
		return true
	}
	return d
}

func (d *descriptor) tryRead(p []byte) (int, error) {
	n, err := d.receive(p, d.readOnce)
	if err == ErrWouldBlock && d.shut.Load() {
		return 0, io.EOF
	}
	return n, err
}

func (d *descriptor) receive(p []byte, f func(fd uintptr) bool) (int, error) {
	d.in = p
	err := d.raw.Read(f)
	d.in = nil
	if err != nil {
		return 0, err
	}
	n, err := received(d.inN, d.inErr)
	return n, d.ended(err)
}

// ended makes sure that an end is not a reset: promise 16 rests on that.
func (d *descriptor) ended(err error) error {
	if err != io.EOF || !d.tcp {
		return err
	}
	_, failed := control(d.raw, func(fd int) (int, syscall.Errno) {
		if loop.EndedByReset(fd) {
			return 0, syscall.WSAECONNRESET
		}
		return 0, 0
	})
	if failed == syscall.WSAECONNRESET {
		return failed
	}
	return err
}

func (d *descriptor) read(p []byte) (n int, err error) {
	switch {
	case d.shut.Load():
		return d.tryRead(p)
	case len(p) == 0:
		n, err = d.receive(p, d.readWait)
	default:
		n, err = d.conn.Read(p)
		err = d.ended(err)
	}
	if n == 0 && err != nil && d.shut.Load() {
		return d.tryRead(p)
	}
	return n, err
}

func (d *descriptor) tryWrite(vectors [][]byte) (int, error) {
	d.out = vectors
	err := d.raw.Write(d.writeOnce)
	d.out = nil
	if err != nil {
		return 0, err
	}
	return sent(d.outN, d.outErr)
}

// write sends what one attempt takes, after as many waits as it needs. The caller sends the rest.
func (d *descriptor) write(vectors [][]byte) (int, error) {
	for {
		d.out = vectors
		err := d.raw.Write(d.writeRoom)
		d.out = nil
		room := d.room.Load()
		switch {
		case err != nil:
			return 0, err
		case room == nil:
			return sent(d.outN, d.outErr)
		case !d.await(room):
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (d *descriptor) awaitRoom() error {
	if err := d.raw.Write(d.askRoom); err != nil {
		return err
	}
	if !d.await(d.room.Load()) {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// await waits for room. It returns false if it was asked to come back.
func (d *descriptor) await(room *loop.Room) bool {
	if d.asked.Load() {
		room.Cancel()
	}
	room.Wait()
	d.room.Store(nil)
	return !d.asked.Load()
}

// rawWrite is raw.Write with the wait that net's lacks.
func (d *descriptor) rawWrite(f func(fd uintptr) bool) error {
	for {
		err := d.raw.Write(func(fd uintptr) bool {
			if !f(fd) {
				d.room.Store(loop.AwaitRoom(int(fd)))
			}
			return true
		})
		room := d.room.Load()
		switch {
		case err != nil || room == nil:
			return err
		case !d.await(room):
			return os.ErrDeadlineExceeded
		}
	}
}

// setDeadline asks a call to come back when at is in the past, and withdraws that when at is zero. It may be called at any
// time.
func (d *descriptor) setDeadline(half Direction, at time.Time) error {
	if half == Read {
		return d.conn.SetReadDeadline(at)
	}
	d.asked.Store(!at.IsZero())
	if room := d.room.Load(); room != nil && !at.IsZero() {
		room.Cancel()
	}
	return nil
}

// closeRead lets reads take what is there, and then come to the end, as on unix. After SD_RECEIVE they would fail with
// WSAESHUTDOWN, also when something is there.
func (d *descriptor) closeRead() error {
	d.shut.Store(true)
	return d.conn.SetReadDeadline(longAgo) // nobody waits any more
}

// handBack is called before the connection goes back to the caller.
func (d *descriptor) handBack() {
	if !d.shut.Load() {
		return
	}
	if c, ok := d.conn.(interface{ CloseRead() error }); ok {
		_ = c.CloseRead()
	}
	_ = d.conn.SetReadDeadline(time.Time{})
}
