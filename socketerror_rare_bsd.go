//go:build dragonfly || freebsd || openbsd

package netstream

import "syscall"

// ENODATA does not exist here.
const (
	errnoSocketType                   = syscall.ESOCKTNOSUPPORT
	errnoProtocolFamily               = syscall.EPFNOSUPPORT
	errnoHostDown                     = syscall.EHOSTDOWN
	errnoShutdown                     = syscall.ESHUTDOWN
	errnoNoData         syscall.Errno = 0
)
