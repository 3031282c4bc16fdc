package sys

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Event bits of epoll_ctl(2).
const (
	EpollIn    = unix.EPOLLIN    // there is something to read
	EpollOut   = unix.EPOLLOUT   // there is room to write
	EpollPri   = unix.EPOLLPRI   // urgent data
	EpollErr   = unix.EPOLLERR   // an error is pending; always reported
	EpollHup   = unix.EPOLLHUP   // both halves are shut down; always reported
	EpollRDHup = unix.EPOLLRDHUP // the peer has shut its writing half down
	EpollEdge  = unix.EPOLLET    // report changes, not states
)

// EpollEvent is one harvested event.
type EpollEvent struct {
	ev unix.EpollEvent // the kernel's layout, which differs by architecture
}

// Events returns the event bits, such as [unix.EPOLLIN].
func (e *EpollEvent) Events() uint32 { return e.ev.Events }

// Data returns what was given to [EpollAdd]. The kernel keeps it as one opaque
// 64-bit word that x/sys/unix shows as the two fields Fd and Pad.
func (e *EpollEvent) Data() uint64 {
	return uint64(uint32(e.ev.Fd)) | uint64(uint32(e.ev.Pad))<<32
}

// EpollCreate returns a new epoll descriptor, closed on exec.
func EpollCreate() (int, syscall.Errno) {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if errno := errnoOf(err); errno != 0 {
		return -1, errno
	}
	return fd, 0
}

// EpollAdd registers fd for events; data comes back with each of them.
func EpollAdd(ep, fd int, events uint32, data uint64) syscall.Errno {
	ev := unix.EpollEvent{Events: events, Fd: int32(uint32(data)), Pad: int32(uint32(data >> 32))}
	return errnoOf(unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, fd, &ev))
}

// EpollDel takes fd out. It must be called before fd is closed: while a
// duplicate of fd lives elsewhere the registration lives on, and events keep
// coming for a number that may already be another socket (epoll(7), "Will
// closing a file descriptor cause it to be removed").
func EpollDel(ep, fd int) syscall.Errno {
	return errnoOf(unix.EpollCtl(ep, unix.EPOLL_CTL_DEL, fd, nil))
}

// EpollWait fills events with what is ready and returns how many there are. It
// does not wait (timeout 0), so the scheduler need not know. epoll_pwait is
// there on every architecture, epoll_wait is not.
func EpollWait(ep int, events []EpollEvent) (int, syscall.Errno) {
	if len(events) == 0 {
		return 0, unix.EINVAL
	}
	for {
		n, _, errno := syscall.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(ep),
			uintptr(unsafe.Pointer(&events[0])), uintptr(len(events)), 0, 0, 0)
		if errno == 0 {
			return int(n), 0
		}
		if errno != unix.EINTR {
			return 0, errno
		}
	}
}
