//go:build !dragonfly && !freebsd && !openbsd && !wasip1

package netstream

import "syscall"

// Errnos that some systems do not have. The twins of this file have 0 for those, which no failure is.
const (
	errnoSocketType     = syscall.ESOCKTNOSUPPORT
	errnoProtocolFamily = syscall.EPFNOSUPPORT
	errnoHostDown       = syscall.EHOSTDOWN
	errnoShutdown       = syscall.ESHUTDOWN
	errnoNoData         = syscall.ENODATA
)
