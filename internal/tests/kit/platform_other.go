//go:build !windows

package kit

import "syscall"

// Wine reports whether this is Wine and not Windows.
func Wine() bool { return false }

// What the system says of a connection that the peer has reset, of a direction that was shut down, of an address where
// nobody listens, and of one that somebody has; and what package net calls the system call of a dial.
const (
	Reset        = syscall.ECONNRESET
	BrokenPipe   = syscall.EPIPE
	Refused      = syscall.ECONNREFUSED
	AddressInUse = syscall.EADDRINUSE
	ConnectCall  = "connect"
)
