//go:build unix && race

package sys

import (
	"runtime"
	"syscall"
	"unsafe"
)

// ioSync stands for "the network" to the race detector, as in the syscall
// package: what happened before a send is ordered before what follows any
// later receive. Without it a program that is right over net.Conn would be
// reported over netstream. The other end may well be a net.Conn: its own variable
// is syscall's ioSync, which is reached through calls that do nothing else.
var ioSync int64

// received tells the race detector that the kernel has written p.
func received(p []byte) {
	if len(p) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(&p[0]), len(p))
	}
	runtime.RaceAcquire(unsafe.Pointer(&ioSync))
	_, _ = syscall.Read(0, nil) // acquires when it succeeds, as it does on any open descriptor
}

// sending tells the race detector that bytes are about to leave.
func sending() {
	runtime.RaceReleaseMerge(unsafe.Pointer(&ioSync))
	_, _ = syscall.Write(-1, nil) // releases first, then fails
}

// sent tells the race detector that the kernel has read p.
func sent(p []byte) {
	if len(p) > 0 {
		runtime.RaceReadRange(unsafe.Pointer(&p[0]), len(p))
	}
}

// sentVector does for the first n bytes of bufs what sent does for one slice.
func sentVector(bufs [][]byte, n int) {
	for _, b := range bufs {
		if n <= 0 {
			return
		}
		sent(b[:min(len(b), n)])
		n -= len(b)
	}
}
