//go:build unix || windows

package engine

import (
	"errors"
	"io"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

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
		return 0, ErrWouldBlock
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
		return 0, ErrWouldBlock
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

// rawNotSentLowWater sets the option of a TCP socket.
func rawNotSentLowWater(raw syscall.RawConn, bytes int) error {
	_, err := control(raw, func(fd int) (int, syscall.Errno) { return 0, sys.SetNotSentLowWater(fd, bytes) })
	if errors.Is(err, syscall.ENOPROTOOPT) {
		return errors.Join(errors.ErrUnsupported, err)
	}
	return err
}

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
