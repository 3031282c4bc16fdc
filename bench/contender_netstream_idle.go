//go:build linux

package main

import (
	"io"
	"sync"

	"github.com/seed-9ac8cf60/netstream"
)

// idler keeps a zero-byte read pending on each stream, which asks for a buffer only when there is something to put
// into it, and sends back what comes. Nothing of it stays with a stream at rest.
type idler struct {
	job    *job
	visits sync.Pool

	onReadable, onRead, onWritten netstream.AsyncCallback // bound once, for all streams
}

// visit is the way of some bytes through the buffer and back.
type visit struct {
	stream *netstream.NetworkStream
	buffer [readBuffer]byte
}

func newIdler(j *job) *idler {
	d := &idler{job: j, visits: sync.Pool{New: func() any { return new(visit) }}}
	d.onReadable, d.onRead, d.onWritten = d.readable, d.read, d.written
	return d
}

func (d *idler) wait(s *netstream.NetworkStream) {
	if _, err := s.BeginRead([]byte{}, 0, 0, d.onReadable, s); err != nil {
		d.end(s, err)
	}
}

func (d *idler) readable(ar netstream.AsyncResult) {
	s := ar.AsyncState().(*netstream.NetworkStream)
	if _, err := s.EndRead(ar); err != nil {
		d.end(s, err)
		return
	}
	v := d.visits.Get().(*visit)
	v.stream = s
	if _, err := s.BeginRead(v.buffer[:], 0, len(v.buffer), d.onRead, v); err != nil {
		d.end(s, err)
	}
}

func (d *idler) read(ar netstream.AsyncResult) {
	v := ar.AsyncState().(*visit)
	n, err := v.stream.EndRead(ar)
	if err == nil {
		_, err = v.stream.BeginWrite(v.buffer[:], 0, n, d.onWritten, v)
	}
	if err != nil {
		d.end(v.stream, err)
	}
}

func (d *idler) written(ar netstream.AsyncResult) {
	v := ar.AsyncState().(*visit)
	s := v.stream
	if err := s.EndWrite(ar); err != nil {
		d.end(s, err)
		return
	}
	v.stream = nil
	d.visits.Put(v)
	d.wait(s)
}

func (d *idler) end(s *netstream.NetworkStream, err error) {
	s.Close()
	if err != io.EOF {
		d.job.fail(err)
	}
}
