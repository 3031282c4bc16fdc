package sys

import (
	"encoding/binary"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// The numbers are those of winsock2.h and mstcpip.h.
const (
	fionbio    = 0x8004667e
	fionread   = 0x4004667f
	sioTCPInfo = 0xd8000027
	soError    = 0x1007
)

var (
	winsock      = windows.NewLazySystemDLL("ws2_32.dll")
	procWSARecv  = winsock.NewProc("WSARecv")
	procWSASend  = winsock.NewProc("WSASend")
	procWSAIoctl = winsock.NewProc("WSAIoctl")
)

// errnoOf unpacks the error of a golang.org/x/sys/windows call, which is always
// an errno. Anything else would be a bug of ours and is reported as EINVAL.
func errnoOf(err error) syscall.Errno {
	if err == nil {
		return 0
	}
	if e, ok := err.(syscall.Errno); ok {
		return e
	}
	return windows.WSAEINVAL
}

// ioctl makes one request of the socket. Either slice may be nil.
func ioctl(fd int, code uint32, in, out []byte) syscall.Errno {
	var n uint32
	r, _, errno := syscall.SyscallN(procWSAIoctl.Addr(), uintptr(fd), uintptr(code),
		uintptr(unsafe.Pointer(unsafe.SliceData(in))), uintptr(len(in)),
		uintptr(unsafe.Pointer(unsafe.SliceData(out))), uintptr(len(out)), uintptr(unsafe.Pointer(&n)), 0, 0)
	if r != 0 {
		return errno
	}
	return 0
}

// SetNonblock puts the socket in non-blocking mode. That concerns calls without
// OVERLAPPED, which are those of this package: overlapped ones, which are those
// of package net, wait as before.
func SetNonblock(fd int) syscall.Errno {
	return ioctl(fd, fionbio, []byte{1, 0, 0, 0}, nil)
}

// Buffered returns how many received bytes can be read at once (FIONREAD).
func Buffered(fd int) (int, syscall.Errno) {
	var n [4]byte
	errno := ioctl(fd, fionread, nil, n[:])
	return int(binary.LittleEndian.Uint32(n[:])), errno
}

// Unacked cannot be asked on this system: it always returns ENOTSUP. (The
// BytesInFlight of SIO_TCP_INFO leave out what waits in the send buffer.)
func Unacked(int) (int, syscall.Errno) { return 0, syscall.ENOTSUP }

// Peername returns the address of fd's peer.
func Peername(fd int) (windows.Sockaddr, syscall.Errno) {
	sa, err := windows.Getpeername(windows.Handle(fd))
	return sa, errnoOf(err)
}

// SocketError takes the pending error of the socket (SO_ERROR): pending is
// that error, 0 for none; errno tells whether the call itself worked.
func SocketError(fd int) (pending, errno syscall.Errno) {
	v, err := windows.GetsockoptInt(windows.Handle(fd), windows.SOL_SOCKET, soError)
	return syscall.Errno(v), errnoOf(err)
}

// States of a TCP connection (TCPSTATE in mstcpip.h).
const (
	TCPClosed   = 0
	TCPFinWait2 = 6
	TCPTimeWait = 10
)

// TCPState returns the state of a TCP socket: the first word of TCP_INFO_v0,
// which Windows has since 10.0.15063.
func TCPState(fd int) (state uint32, errno syscall.Errno) {
	var version [4]byte
	var info [88]byte // sizeof(TCP_INFO_v0)
	errno = ioctl(fd, sioTCPInfo, version[:], info[:])
	return binary.LittleEndian.Uint32(info[:]), errno
}

// SetNotSentLowWater is an option that this system does not have: it always
// returns ENOTSUP.
func SetNotSentLowWater(int, int) syscall.Errno { return syscall.ENOTSUP }
