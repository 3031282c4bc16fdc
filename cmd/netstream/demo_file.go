package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

const (
	chunkSize      = 4 << 10
	chunksInFlight = 256 // so 1 MiB is queued at most
	readSize       = 64 << 10
)

// sendFile sends file in chunks, each a BeginWrite of its own, and compares the sums of both ends.
func sendFile(ctx context.Context, out *output, file *os.File) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	out.heading("2. A file in BeginWrites of %s", byteSize(chunkSize))
	out.say("file", "%s, %s", file.Name(), byteSize(info.Size()))

	server, client, err := meet(ctx, &netstream.Config{MaxPendingWrites: chunksInFlight})
	if err != nil {
		return err
	}
	defer server.Close()
	defer client.Close()
	defer closeWhenDone(ctx, server, client)()

	start := time.Now()
	bar := newProgress(out, info.Size())
	receiver, err := beginReceive(server, bar)
	if err != nil {
		return err
	}
	sender := newFileSender(client)
	err = sender.send(ctx, file)
	if err == nil {
		err = receiver.wait(ctx)
	}
	took := time.Since(start)
	if err != nil {
		client.Close() // so that the receiver is at its end, too, and nobody else draws
		<-receiver.done
	}
	bar.close()
	if err != nil {
		return err
	}

	out.say("writes", "%s, up to %d in flight; times the queue was full and WaitRoom waited: %s",
		commas(sender.writes), sender.deepest, commas(sender.full))
	out.say("rate", "%s/s", byteSize(int64(float64(receiver.bytes)/max(took.Seconds(), 1e-6))))
	return compareSums(out, sender.sum.Sum(nil), receiver.sum.Sum(nil))
}

func compareSums(out *output, sent, received []byte) error {
	out.say("sent", "SHA-256 %x", sent)
	out.say("received", "SHA-256 %x", received)
	if string(sent) != string(received) {
		return errors.New("the two SHA-256 sums differ")
	}
	out.say("sums", "agree")
	return nil
}

// fileSender writes a file without ever waiting for the network, except for room.
type fileSender struct {
	stream   *netstream.NetworkStream
	callback netstream.AsyncCallback // s.written, bound once: a method value allocates each time it is made
	chunks   sync.Pool               // of *chunk: a chunk is lent to the stream until its callback
	failed   chan error              // the first failure of a write, with room for it

	sum     hash.Hash // these four belong to the goroutine that calls send
	writes  int64
	full    int64
	deepest int
}

type chunk struct{ buffer [chunkSize]byte }

func newFileSender(stream *netstream.NetworkStream) *fileSender {
	s := &fileSender{stream: stream, failed: make(chan error, 1), sum: sha256.New()}
	s.callback = s.written
	s.chunks.New = func() any { return new(chunk) }
	return s
}

// send returns when every byte is with the system and the stream has been closed for writing.
func (s *fileSender) send(ctx context.Context, file io.Reader) error {
	for {
		c := s.chunks.Get().(*chunk)
		n, readErr := io.ReadFull(file, c.buffer[:])
		if n > 0 {
			s.sum.Write(c.buffer[:n])
			if err := s.begin(ctx, c, n); err != nil {
				return err
			}
		}
		switch {
		case errors.Is(readErr, io.EOF), errors.Is(readErr, io.ErrUnexpectedEOF):
			if err := s.stream.Drain(ctx); err != nil {
				return err
			}
			return s.stream.CloseWrite()
		case readErr != nil:
			return readErr
		case len(s.failed) > 0:
			return <-s.failed
		}
	}
}

// begin begins the write of one chunk, waiting for room as often as the queue is full.
func (s *fileSender) begin(ctx context.Context, c *chunk, n int) error {
	for {
		_, err := s.stream.BeginWrite(c.buffer[:], 0, n, s.callback, c)
		if err == nil {
			s.writes++
			pending, _ := s.stream.Pending()
			s.deepest = max(s.deepest, pending)
			return nil
		}
		if !errors.Is(err, netstream.ErrQueueFull) {
			return err
		}
		s.full++
		if err := s.stream.WaitRoom(ctx, int64(n)); err != nil {
			return err
		}
	}
}

// written is the callback of every write: it ends the write and takes the chunk back.
func (s *fileSender) written(ar netstream.AsyncResult) {
	if err := s.stream.EndWrite(ar); err != nil {
		select {
		case s.failed <- err:
		default: // not the first
		}
	}
	s.chunks.Put(ar.AsyncState())
}

// fileReceiver sums up all that arrives, one callback after the other.
type fileReceiver struct {
	stream   *netstream.NetworkStream
	bar      *progress
	callback netstream.AsyncCallback
	buffer   [readSize]byte
	sum      hash.Hash
	bytes    int64
	err      error
	done     chan struct{} // closed at the end; the fields are the receiver's until then
}

func beginReceive(stream *netstream.NetworkStream, bar *progress) (*fileReceiver, error) {
	r := &fileReceiver{stream: stream, bar: bar, sum: sha256.New(), done: make(chan struct{})}
	r.callback = r.received
	return r, r.begin()
}

func (r *fileReceiver) begin() error {
	_, err := r.stream.BeginRead(r.buffer[:], 0, len(r.buffer), r.callback, nil)
	return err
}

func (r *fileReceiver) received(ar netstream.AsyncResult) {
	n, err := r.stream.EndRead(ar)
	if err == nil {
		r.sum.Write(r.buffer[:n])
		r.bytes += int64(n)
		r.bar.set(r.bytes)
		err = r.begin()
	}
	if err == nil {
		return
	}
	if !errors.Is(err, io.EOF) {
		r.err = fmt.Errorf("receive: %w", err)
		r.stream.Close() // the sender learns of it
	}
	close(r.done)
}

func (r *fileReceiver) wait(ctx context.Context) error {
	if _, err := wait(ctx, r.done); err != nil {
		return err
	}
	return r.err
}
