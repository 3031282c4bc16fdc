//go:build !windows

package netstream

import "syscall"

// What package net calls the system calls of a connection.
const callRead, callWrite = "read", "write"

// errnoToCode returns the code of an errno, CodeSocketError for one that .NET
// has no row for.
func errnoToCode(errno syscall.Errno) SocketErrorCode {
	code, _ := findErrno(posixErrnos[:], errno)
	return code
}

// codeToErrno returns the errno that stands for code on this system, 0 when
// none does. .NET shows the same ones.
func codeToErrno(code SocketErrorCode) syscall.Errno {
	switch code {
	case CodeIOPending: // nothing leads there, but .NET shows it like this
		return syscall.EINPROGRESS
	case CodeTryAgain: // likewise
		return syscall.EAGAIN
	case CodeHostNotFound: // ENXIO leads there, but would be a lie for a name look-up
		return 0
	}
	for _, row := range posixErrnos {
		if row.code == code {
			return row.errno
		}
	}
	return 0
}
