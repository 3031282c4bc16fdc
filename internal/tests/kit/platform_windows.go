package kit

import "syscall"

// Wine reports whether this is Wine and not Windows.
func Wine() bool { return syscall.NewLazyDLL("ntdll.dll").NewProc("wine_get_version").Find() == nil }

// What the system says of a connection that the peer has reset, of a direction that was shut down, of an address where
// nobody listens, and of one that somebody has; and what package net calls the system call of a dial.
const (
	Reset        = syscall.WSAECONNRESET
	BrokenPipe   = syscall.Errno(10058) // WSAESHUTDOWN
	Refused      = syscall.Errno(10061) // WSAECONNREFUSED
	AddressInUse = syscall.Errno(10048) // WSAEADDRINUSE
	ConnectCall  = "connectex"
)
