//go:build unix && !aix

package sys

import "golang.org/x/sys/unix"

// dontWait makes one receive or send non-blocking, whatever mode the descriptor is in. (A send on macOS looks at the
// mode alone, sosendcheck in xnu's bsd/kern/uipc_socket.c; there the scheduler is told of every call.)
const dontWait = unix.MSG_DONTWAIT
