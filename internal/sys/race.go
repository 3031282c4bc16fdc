//go:build (unix || windows) && race

package sys

import (
	"runtime"
	"unsafe"
)

// ioSync stands for "the network" to the race detector, as in the syscall
// package: what happened before a send is ordered before what follows any
// later receive. Without it a program that is right over net.Conn would be
// reported over netstream. The other end may well be a net.Conn, which has a
// variable of its own: see acquireNet.
var ioSync int64

// received tells the race detector that the kernel has written p.
func received(p []byte) {
	if len(p) > 0 {
		runtime.RaceWriteRange(unsafe.Pointer(&p[0]), len(p))
	}
	runtime.RaceAcquire(unsafe.Pointer(&ioSync))
	acquireNet()
}

// sending tells the race detector that bytes are about to leave.
func sending() {
	runtime.RaceReleaseMerge(unsafe.Pointer(&ioSync))
	releaseNet()
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
