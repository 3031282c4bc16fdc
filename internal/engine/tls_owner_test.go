package engine

import (
	"context"
	"sync"
	"time"
)

// testOwner drives a TLS as a stream does: blocking reads and writes over the seam.
type testOwner struct {
	tls *TLS

	reading sync.Mutex // one reader
	readID  uint32
	readCh  chan struct{}

	mu       sync.Mutex // guards what follows
	busy     bool       // somebody owns the writing
	writeID  uint32
	writeCh  chan struct{}
	returned int // bytes done that the last wait has told of
	finErr   chan error
	closed   chan struct{}
	wants    int
}

func newOwner() *testOwner {
	return &testOwner{
		readCh: make(chan struct{}, 1), writeCh: make(chan struct{}, 1), closed: make(chan struct{}),
		finErr: make(chan error, 1),
	}
}

func (o *testOwner) ReadReturned(n int, err error) {
	if n != 0 || err != ErrInterrupted {
		panic("TLS returns no bytes")
	}
	o.readCh <- struct{}{}
}

func (o *testOwner) WriteReturned(n int, err error) {
	if err != ErrInterrupted {
		o.finErr <- err
		return
	}
	o.returned = n
	o.writeCh <- struct{}{}
}

func (o *testOwner) Closed()    { close(o.closed) }
func (o *testOwner) Abandoned() {}

func (o *testOwner) WantWrite() {
	o.mu.Lock()
	o.wants++
	start := !o.busy
	o.busy = true
	o.mu.Unlock()
	if start {
		go func() { o.drive(nil) }()
	}
}

// Read reads as a stream does.
func (o *testOwner) Read(p []byte) (int, error) {
	o.reading.Lock()
	defer o.reading.Unlock()
	for {
		n, err := o.tls.TryRead(p)
		if err != ErrWouldBlock {
			return n, err
		}
		o.readID++
		if o.tls.StartRead(o.readID, p) {
			<-o.readCh
		}
	}
}

// Write sends p as a stream does, and returns how much of it is in the kernel.
func (o *testOwner) Write(p []byte) (int, error) { return o.writev([][]byte{p}) }

func (o *testOwner) writev(v [][]byte) (int, error) {
	for {
		o.mu.Lock()
		if !o.busy {
			o.busy = true
			o.mu.Unlock()
			return o.drive(v)
		}
		o.mu.Unlock()
		time.Sleep(time.Millisecond) // a push of control bytes is under way
	}
}

// drive sends v and whatever is held; the caller owns the writing.
func (o *testOwner) drive(v [][]byte) (sum int, err error) {
	left := 0
	for _, p := range v {
		left += len(p)
	}
	undone := left
	for {
		taken, done, err := o.tls.TryWrite(v)
		v = skip(v, taken)
		left, undone, sum = left-taken, undone-done, sum+done
		if err != nil && err != ErrWouldBlock {
			o.rest()
			return sum, err
		}
		if err == nil && undone == 0 && o.rest() {
			return sum, nil
		}
		if err == ErrWouldBlock {
			o.writeID++
			if o.tls.StartWrite(o.writeID, v) {
				<-o.writeCh
				undone, sum = undone-o.returned, sum+o.returned
			}
		}
	}
}

// rest gives the writing up, unless something is held.
func (o *testOwner) rest() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tls.Held() {
		return false
	}
	o.busy = false
	return true
}

func skip(v [][]byte, n int) [][]byte {
	v = append([][]byte(nil), v...)
	for len(v) > 0 && n >= len(v[0]) && (n > 0 || len(v[0]) == 0) {
		n -= len(v[0])
		v = v[1:]
	}
	if n > 0 {
		v[0] = v[0][n:]
	}
	return v
}

// shake makes the handshake and returns how it ended.
func (o *testOwner) shake(ctx context.Context) error {
	over := make(chan error, 1)
	o.tls.Handshake(ctx, func(err error) { over <- err })
	err := <-over
	ids := o.tls.IDs()
	o.readID, o.writeID = ids[Read]+10, ids[Write]+10
	return err
}
