package engine

import (
	"runtime"
	"sync"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// KernelPipe is a pipe through which bytes go from one descriptor to another without coming into the program (splice(2)).
// It belongs to whoever has taken it.
type KernelPipe struct {
	// Held is how many bytes are in it. Only the pipe's methods change it.
	Held int64

	pipeEnds
	cleanup runtime.Cleanup
}

type pipeEnds struct{ r, w int }

func (e pipeEnds) close() {
	sys.Close(e.r)
	sys.Close(e.w)
}

const (
	// pipeBytes is what a pipe is to hold.
	pipeBytes = 1 << 20
	// pipeLeast is the smallest pipe that is worth it: with a smaller one, copying is quicker.
	pipeLeast = 32 << 10
)

// kernelPipes keeps empty pipes. One that the garbage collector takes is closed.
var kernelPipes = sync.Pool{New: func() any {
	r, w, holds, errno := sys.NewPipe(pipeBytes)
	if errno != 0 {
		return (*KernelPipe)(nil)
	}
	ends := pipeEnds{r, w}
	if holds < pipeLeast { // the kernel gives a user small ones beyond /proc/sys/fs/pipe-user-pages-soft
		ends.close()
		return (*KernelPipe)(nil)
	}
	p := &KernelPipe{pipeEnds: ends}
	p.cleanup = runtime.AddCleanup(p, pipeEnds.close, ends)
	return p
}}

// TakePipe returns an empty pipe, nil if there is none to be had.
func TakePipe() *KernelPipe { return kernelPipes.Get().(*KernelPipe) }

// GiveBack ends the use of p. What is left in it is lost.
func (p *KernelPipe) GiveBack() {
	if p.Held > 0 {
		p.cleanup.Stop()
		p.close()
		return
	}
	kernelPipes.Put(p)
}

// OrNil gives p back if nothing is in it.
func (p *KernelPipe) OrNil() *KernelPipe {
	if p != nil && p.Held == 0 {
		p.GiveBack()
		return nil
	}
	return p
}

// Fill moves what the socket fd has, up to most bytes, into the empty pipe. 0 without an error: nothing now, or not that
// way.
func (p *KernelPipe) Fill(fd int, most int64) (int, syscall.Errno) {
	n, errno := sys.Splice(fd, p.w, int(most))
	if errno == syscall.EAGAIN || errno == syscall.EINVAL {
		return 0, 0
	}
	p.Held += int64(n)
	return n, errno
}

// Empty moves up to n bytes from the pipe into the socket fd. 0 without an error: not that way.
func (p *KernelPipe) Empty(fd int, n int64) (int, syscall.Errno) {
	_ = sys.SetNonblock(fd) // as in Sendfile
	m, errno := sys.Splice(p.r, fd, int(n))
	if errno == syscall.EINVAL {
		return 0, 0
	}
	p.Held -= int64(m)
	return m, errno
}

// Read takes bytes out of the pipe to copy them; it implements io.Reader.
func (p *KernelPipe) Read(b []byte) (int, error) {
	n, errno := sys.ReadPipe(p.r, b)
	if errno != 0 {
		return 0, errno
	}
	p.Held -= int64(n)
	return n, nil
}

// Peek looks for something to read on the socket fd: 0 is the end.
func Peek(fd int) (int, syscall.Errno) {
	var look [1]byte
	return sys.Peek(fd, look[:])
}
