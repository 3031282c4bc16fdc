//go:build !386 && !s390x

package sys

import (
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawLimit is the largest transfer made by RawSyscall, which hides the call
// from the scheduler and so keeps its P. A non-blocking call of up to 64 KiB
// is over within some 20 microseconds, about when sysmon would first look at a
// system call, so telling the scheduler would only cost; a copy of megabytes
// would hold up the other goroutines of this P.
const rawLimit = 64 << 10

// iovecs is one sendmsg's worth of vectors.
type iovecs [maxVectors]unix.Iovec

// vectorPool keeps iovecs between calls, so that neither an idle connection
// owns one nor a call allocates one. What is in the pool holds no pointers:
// it must not keep the callers' buffers alive.
var vectorPool = sync.Pool{New: func() any { return new(iovecs) }}

// zero is what a slice of no bytes points to: the kernel wants an address.
var zero byte

func base(p []byte) unsafe.Pointer {
	if len(p) == 0 {
		return unsafe.Pointer(&zero)
	}
	return unsafe.Pointer(unsafe.SliceData(p))
}

// Recv receives up to len(p) bytes. (0, 0) for a non-empty p is the end of the
// stream. An empty p asks nothing useful: it succeeds with or without data and
// takes a pending reset away; see [Peek].
func Recv(fd int, p []byte) (n int, errno syscall.Errno) { return recv(fd, p, dontWait) }

// Peek is [Recv] without taking the bytes out of the receive queue.
func Peek(fd int, p []byte) (n int, errno syscall.Errno) { return recv(fd, p, dontWait|unix.MSG_PEEK) }

func recv(fd int, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		var r uintptr
		var errno syscall.Errno
		if len(p) <= rawLimit {
			r, _, errno = syscall.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(base(p)), uintptr(len(p)), flags, 0, 0)
		} else {
			r, _, errno = syscall.Syscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(base(p)), uintptr(len(p)), flags, 0, 0)
		}
		if errno == 0 {
			received(p[:r])
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Send sends p and returns how many bytes the kernel took, without raising
// SIGPIPE. An empty p is really sent: it moves no bytes but reports a pending
// error of the connection.
func Send(fd int, p []byte) (n int, errno syscall.Errno) {
	sending()
	for {
		var r uintptr
		if len(p) <= rawLimit {
			r, _, errno = syscall.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(base(p)), uintptr(len(p)), dontWait|unix.MSG_NOSIGNAL, 0, 0)
		} else {
			r, _, errno = syscall.Syscall6(unix.SYS_SENDTO, uintptr(fd), uintptr(base(p)), uintptr(len(p)), dontWait|unix.MSG_NOSIGNAL, 0, 0)
		}
		if errno == 0 {
			sent(p[:r])
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}

// Sendv sends the bytes of bufs, in order, in one system call and returns how
// many the kernel took. Empty vectors are skipped; of the others at most
// maxVectors are handed over. No bytes at all is a [Send] of an empty slice.
func Sendv(fd int, bufs [][]byte) (n int, errno syscall.Errno) {
	if len(bufs) == 1 {
		return Send(fd, bufs[0])
	}
	vec := vectorPool.Get().(*iovecs)
	used, total := vec.fill(bufs)
	if used == 0 {
		vectorPool.Put(vec)
		return Send(fd, nil)
	}
	sending()
	n, errno = vec.send(fd, used, total)
	sentVector(bufs, n)
	clear(vec[:used])
	vectorPool.Put(vec)
	return n, errno
}

// fill points the vectors at bufs and returns how many it used and their bytes.
func (vec *iovecs) fill(bufs [][]byte) (used, total int) {
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if used == len(vec) {
			break
		}
		vec[used].Base = unsafe.SliceData(b)
		vec[used].SetLen(len(b))
		used++
		if total += len(b); total < 0 {
			total = rawLimit + 1 // overflow of a 32-bit int: large is all we ask
		}
	}
	return used, total
}

func (vec *iovecs) send(fd, used, total int) (int, syscall.Errno) {
	msg := unix.Msghdr{Iov: &vec[0]}
	msg.SetIovlen(used)
	for {
		var r uintptr
		var errno syscall.Errno
		if total <= rawLimit {
			r, _, errno = syscall.RawSyscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), dontWait|unix.MSG_NOSIGNAL)
		} else {
			r, _, errno = syscall.Syscall(unix.SYS_SENDMSG, uintptr(fd), uintptr(unsafe.Pointer(&msg)), dontWait|unix.MSG_NOSIGNAL)
		}
		if errno == 0 {
			return int(r), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
