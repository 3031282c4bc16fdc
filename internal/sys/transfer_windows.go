package sys

import (
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// maxVectors is the largest number of non-empty vectors one [Sendv] hands to
// the system. Winsock names no limit of its own.
const maxVectors = 1024

// maxTransfer is the most one call moves: lengths are of 32 bits.
const maxTransfer = 1 << 30

// wsaBufs is one WSASend's worth of vectors.
type wsaBufs [maxVectors]windows.WSABuf

// vectorPool keeps wsaBufs between calls. What is in the pool holds no
// pointers: it must not keep the callers' buffers alive.
var vectorPool = sync.Pool{New: func() any { return new(wsaBufs) }}

func wsaBuf(p []byte) windows.WSABuf {
	return windows.WSABuf{Buf: unsafe.SliceData(p), Len: uint32(min(len(p), maxTransfer))}
}

// wouldBlock gives "not now" the one number that it has on every system.
func wouldBlock(errno syscall.Errno) syscall.Errno {
	if errno == windows.WSAEWOULDBLOCK {
		return syscall.EAGAIN
	}
	return errno
}

// Recv receives up to len(p) bytes. (0, 0) for a non-empty p is the end of the
// stream. An empty p asks nothing useful; see [Peek].
func Recv(fd int, p []byte) (n int, errno syscall.Errno) { return recv(fd, p, 0) }

// Peek is [Recv] without taking the bytes out of the receive queue.
func Peek(fd int, p []byte) (n int, errno syscall.Errno) { return recv(fd, p, windows.MSG_PEEK) }

func recv(fd int, p []byte, flags uint32) (int, syscall.Errno) {
	buf := wsaBuf(p)
	var n uint32
	r, _, errno := syscall.SyscallN(procWSARecv.Addr(), uintptr(fd), uintptr(unsafe.Pointer(&buf)), 1,
		uintptr(unsafe.Pointer(&n)), uintptr(unsafe.Pointer(&flags)), 0, 0)
	if r != 0 {
		return 0, wouldBlock(errno)
	}
	received(p[:n])
	return int(n), 0
}

// Send sends p and returns how many bytes the system took. An empty p is really
// sent: it moves no bytes but reports that the connection has failed.
func Send(fd int, p []byte) (n int, errno syscall.Errno) {
	buf := wsaBuf(p)
	n, errno = wsaSend(fd, &buf, 1)
	sent(p[:n])
	return n, errno
}

// Sendv sends the bytes of bufs, in order, in one system call and returns how
// many the system took. Empty vectors are skipped; of the others at most
// [maxVectors] are handed over. No bytes at all is a [Send] of an empty slice.
func Sendv(fd int, bufs [][]byte) (n int, errno syscall.Errno) {
	if len(bufs) == 1 {
		return Send(fd, bufs[0])
	}
	vec := vectorPool.Get().(*wsaBufs)
	used := vec.fill(bufs)
	if used == 0 {
		vectorPool.Put(vec)
		return Send(fd, nil)
	}
	n, errno = wsaSend(fd, &vec[0], used)
	sentVector(bufs, n)
	clear(vec[:used])
	vectorPool.Put(vec)
	return n, errno
}

// fill points the vectors at bufs and returns how many it used.
func (vec *wsaBufs) fill(bufs [][]byte) (used int) {
	total := 0
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if used == len(vec) || len(b) > maxTransfer-total {
			if used == 0 {
				vec[0], used = wsaBuf(b), 1
			}
			break
		}
		vec[used] = wsaBuf(b)
		used++
		total += len(b)
	}
	return used
}

func wsaSend(fd int, bufs *windows.WSABuf, count int) (int, syscall.Errno) {
	sending()
	var n uint32
	r, _, errno := syscall.SyscallN(procWSASend.Addr(), uintptr(fd), uintptr(unsafe.Pointer(bufs)), uintptr(count),
		uintptr(unsafe.Pointer(&n)), 0, 0, 0)
	if r != 0 {
		return 0, wouldBlock(errno)
	}
	return int(n), 0
}
