// Package interop holds netstream to .NET: the same scenarios run on both, and programs of both sides talk to each
// other. patterns.go and example/ are the code of docs/porting.md.
package interop

import (
	"errors"
	"io"

	"github.com/seed-9ac8cf60/netstream"
)

// WriteTask is Task.Factory.FromAsync for a write: a channel takes the place of the task.
func WriteTask(s *netstream.NetworkStream, message []byte) <-chan error {
	task := make(chan error, 1)
	_, err := s.BeginWrite(message, 0, len(message), func(ar netstream.AsyncResult) {
		task <- s.EndWrite(ar)
	}, nil)
	if err != nil {
		task <- err
	}
	return task
}

// Copier is the callback chain: each callback ends a read and begins the next one.
type Copier struct {
	stream *netstream.NetworkStream
	out    io.Writer
	buffer [4096]byte
	onRead netstream.AsyncCallback // bound once: a method value allocates each time it is made
	done   chan error
}

// CopyTo begins to copy what comes in to out. The channel gets nil at the end of the stream.
func CopyTo(s *netstream.NetworkStream, out io.Writer) <-chan error {
	c := &Copier{stream: s, out: out, done: make(chan error, 1)}
	c.onRead = c.readDone
	c.next()
	return c.done
}

func (c *Copier) next() {
	if _, err := c.stream.BeginRead(c.buffer[:], 0, len(c.buffer), c.onRead, nil); err != nil {
		c.done <- err
	}
}

func (c *Copier) readDone(ar netstream.AsyncResult) {
	n, err := c.stream.EndRead(ar)
	if err == nil {
		_, err = c.out.Write(c.buffer[:n])
	}
	switch {
	case err == nil:
		c.next() // no recursion: its callback runs after this one has returned
	case errors.Is(err, io.EOF):
		c.done <- nil
	default:
		c.done <- err
	}
}

// sender is the CompletedSynchronously loop: what Begin could finish is handled where it was begun, the rest in the
// callback. Each completion is handled in one place.
type sender struct {
	stream   *netstream.NetworkStream
	messages [][]byte
	handled  int
	done     chan error
}

// SendAll writes the messages one after the other and returns how many were handled.
func SendAll(s *netstream.NetworkStream, messages [][]byte) (int, error) {
	w := &sender{stream: s, messages: messages, done: make(chan error, 1)}
	w.run()
	err := <-w.done
	return w.handled, err
}

func (w *sender) run() {
	for w.handled < len(w.messages) {
		message := w.messages[w.handled]
		ar, err := w.stream.BeginWrite(message, 0, len(message), w.written, nil)
		if err != nil {
			w.done <- err
			return
		}
		if !ar.CompletedSynchronously() {
			return // the callback goes on
		}
		if !w.handle(ar) {
			return
		}
	}
	w.done <- nil
}

func (w *sender) written(ar netstream.AsyncResult) {
	if ar.CompletedSynchronously() {
		return // the loop has it
	}
	if w.handle(ar) {
		w.run()
	}
}

func (w *sender) handle(ar netstream.AsyncResult) bool {
	if err := w.stream.EndWrite(ar); err != nil {
		w.done <- err
		return false
	}
	w.handled++
	return true
}
