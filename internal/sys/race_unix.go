//go:build unix && race

package sys

import "syscall"

// The variable of a net.Conn is syscall's ioSync, which is reached through calls
// that do nothing else.

// acquireNet acquires it when it succeeds, as it does on any open descriptor.
func acquireNet() { _, _ = syscall.Read(0, nil) }

// releaseNet releases it first, then fails.
func releaseNet() { _, _ = syscall.Write(-1, nil) }
