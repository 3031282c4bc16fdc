//go:build !dragonfly && !freebsd && !openbsd && !wasip1

package netstream

import "syscall"

// Errnos that some systems do not have; their twins say 0, which no failure is.
const (
	errnoSocketType     = syscall.ESOCKTNOSUPPORT
	errnoProtocolFamily = syscall.EPFNOSUPPORT
	errnoHostDown       = syscall.EHOSTDOWN
	errnoShutdown       = syscall.ESHUTDOWN
	errnoNoData         = syscall.ENODATA
)
