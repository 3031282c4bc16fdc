//go:build linux

package main

import (
	"unsafe" //nolint:depguard // a raw system call takes an address; the library is not concerned

	"golang.org/x/sys/unix"
)

// The floor and the generator make their system calls without telling Go's scheduler: they have one thread that does
// nothing else, and x/sys/unix's Read and Write would cost them, and only them, some 5 % more.

func rawRead(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return rawResult(n, errno)
}

func rawWrite(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
	return rawResult(n, errno)
}

// rawEpollWait asks without waiting, and waits in a call that lets the process's other goroutines run only if there
// is nothing.
func rawEpollWait(epfd int, events []unix.EpollEvent, timeout int) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_EPOLL_PWAIT, uintptr(epfd), uintptr(unsafe.Pointer(&events[0])),
		uintptr(len(events)), 0, 0, 0)
	if n > 0 || errno != 0 {
		return rawResult(n, errno)
	}
	count, err := unix.EpollWait(epfd, events, timeout)
	if err == unix.EINTR {
		return 0, nil
	}
	return count, err
}

func rawResult(n uintptr, errno unix.Errno) (int, error) {
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// rawReceive reads without waiting.
func rawReceive(fd int, p []byte) (int, error) {
	n, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)),
		unix.MSG_DONTWAIT, 0, 0)
	return rawResult(n, errno)
}
