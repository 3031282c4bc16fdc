package netstream

import (
	"runtime"
	"sync"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// kernelPipe is the pipe of a relay. It belongs to whoever has taken it.
type kernelPipe struct {
	pipeEnds
	cleanup runtime.Cleanup
	held    int64 // bytes in it
}

type pipeEnds struct{ r, w int }

func (e pipeEnds) close() {
	sys.Close(e.r)
	sys.Close(e.w)
}

// kernelPipes keeps empty pipes. One that the garbage collector takes is closed.
var kernelPipes = sync.Pool{New: func() any {
	r, w, holds, errno := sys.NewPipe(sliceBytes)
	if errno != 0 {
		return (*kernelPipe)(nil)
	}
	ends := pipeEnds{r, w}
	if holds < copyBuffer { // the user has so many that copying is quicker
		ends.close()
		return (*kernelPipe)(nil)
	}
	p := &kernelPipe{pipeEnds: ends}
	p.cleanup = runtime.AddCleanup(p, pipeEnds.close, ends)
	return p
}}

// takePipe returns an empty pipe, nil if there is none to be had.
func takePipe() *kernelPipe { return kernelPipes.Get().(*kernelPipe) }

// giveBack ends the use of p. What is left in it is lost.
func (p *kernelPipe) giveBack() {
	if p.held > 0 {
		p.cleanup.Stop()
		p.close()
		return
	}
	kernelPipes.Put(p)
}

// orNil gives p back if nothing is in it.
func (p *kernelPipe) orNil() *kernelPipe {
	if p != nil && p.held == 0 {
		p.giveBack()
		return nil
	}
	return p
}

// fill moves what the socket fd has, up to most bytes, into the empty pipe. 0 without an error: nothing now, or not that
// way.
func (p *kernelPipe) fill(fd int, most int64) (int, syscall.Errno) {
	n, errno := sys.Splice(fd, p.w, int(most))
	if errno == syscall.EAGAIN || errno == syscall.EINVAL {
		return 0, 0
	}
	p.held += int64(n)
	return n, errno
}

// empty moves up to n bytes from the pipe into the socket fd. 0 without an error: not that way.
func (p *kernelPipe) empty(fd int, n int64) (int, syscall.Errno) {
	m, errno := sys.Splice(p.r, fd, int(n))
	if errno == syscall.EINVAL {
		return 0, 0
	}
	p.held -= int64(m)
	return m, errno
}

// Read takes bytes out of the pipe to copy them; it implements io.Reader.
func (p *kernelPipe) Read(b []byte) (int, error) {
	n, errno := sys.ReadPipe(p.r, b)
	if errno != 0 {
		return 0, errno
	}
	p.held -= int64(n)
	return n, nil
}
