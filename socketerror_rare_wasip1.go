package netstream

import "syscall"

// WASI preview 1 has none of these.
const (
	errnoSocketType     syscall.Errno = 0
	errnoProtocolFamily syscall.Errno = 0
	errnoHostDown       syscall.Errno = 0
	errnoShutdown       syscall.Errno = 0
	errnoNoData         syscall.Errno = 0
)
