package netstream_test

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// benchConn returns a stream whose peer reads and drops everything.
func benchConn(b *testing.B, cfg *netstream.Config) (*netstream.NetworkStream, func()) {
	b.Helper()
	client, server := (kit.ConnCase{Network: "tcp"}).NetPair(b)
	s := kit.MustNew(b, client, cfg)
	return s, drainPeer(server, s)
}

func drainPeer(server net.Conn, client io.Closer) func() {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 256<<10)
		for {
			if _, err := server.Read(buf); err != nil {
				return
			}
		}
	}()
	return func() { client.Close(); <-done; server.Close() }
}

// BenchmarkPipelinedWrite is what the library is for: many small messages on one stream, each with its completion.
func BenchmarkPipelinedWrite(b *testing.B) {
	for _, size := range []int{64, 1024} {
		name := map[int]string{64: "64B", 1024: "1KiB"}[size]
		b.Run(name+"/net.Conn.Write", func(b *testing.B) { benchNetWrite(b, size) })
		b.Run(name+"/mutex-buffer-flusher", func(b *testing.B) { benchFlusher(b, size) })
		for _, e := range []netstream.Engine{netstream.EngineAuto, netstream.EngineEpoll, netstream.EnginePortable} {
			b.Run(name+"/BeginWrite-"+e.String(), func(b *testing.B) { benchBeginWrite(b, size, e) })
		}
	}
}

func benchNetWrite(b *testing.B, size int) {
	client, server := (kit.ConnCase{Network: "tcp"}).NetPair(b)
	defer drainPeer(server, client)()
	message := make([]byte, size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Write(message); err != nil {
			b.Fatal(err)
		}
	}
}

// pipeliner keeps up to 1,024 writes in flight, with a callback each.
type pipeliner struct {
	stream   *netstream.NetworkStream
	callback netstream.AsyncCallback // bound once: a method value as argument allocates each time
	slots    *slots
	failed   error
}

// slots is a counting semaphore that costs one uncontended lock as long as there is room on either side. A channel
// as semaphore would be half of what the benchmark measures.
type slots struct {
	mu   sync.Mutex
	room sync.Cond
	free int
}

func newSlots(n int) *slots {
	s := &slots{free: n}
	s.room.L = &s.mu
	return s
}

func (s *slots) take(n int) {
	s.mu.Lock()
	for s.free < n {
		s.room.Wait()
	}
	s.free -= n
	s.mu.Unlock()
}

func (s *slots) give() {
	s.mu.Lock()
	s.free++
	s.mu.Unlock()
	s.room.Signal()
}

func (p *pipeliner) written(ar netstream.AsyncResult) {
	if err := p.stream.EndWrite(ar); err != nil {
		p.failed = err
	}
	p.slots.give()
}

func benchBeginWrite(b *testing.B, size int, e netstream.Engine) {
	s, stop := benchConn(b, &netstream.Config{Engine: e})
	defer stop()
	pipelineWrites(b, s, size)
}

// pipelineWrites keeps up to 1,024 writes pending.
func pipelineWrites(b *testing.B, s *netstream.NetworkStream, size int) {
	p := &pipeliner{stream: s, slots: newSlots(1024)}
	p.callback = p.written
	message := make([]byte, size)
	b.ReportAllocs()
	for b.Loop() {
		p.slots.take(1)
		if _, err := s.BeginWrite(message, 0, size, p.callback, nil); err != nil {
			b.Fatal(err)
		}
	}
	p.slots.take(1024)
	if p.failed != nil {
		b.Fatal(p.failed)
	}
}

// benchFlusher is what a Go programmer writes by hand: it copies, and reports nothing.
func benchFlusher(b *testing.B, size int) {
	client, server := (kit.ConnCase{Network: "tcp"}).NetPair(b)
	defer drainPeer(server, client)()
	var mu sync.Mutex
	cond := sync.NewCond(&mu)
	var pending bytes.Buffer
	closed := false
	done := make(chan struct{})
	go func() {
		defer close(done)
		var out bytes.Buffer
		for {
			mu.Lock()
			for pending.Len() == 0 && !closed {
				cond.Wait()
			}
			if pending.Len() == 0 {
				mu.Unlock()
				return
			}
			pending, out = out, pending
			mu.Unlock()
			cond.Broadcast()
			client.Write(out.Bytes())
			out.Reset()
		}
	}()
	message := make([]byte, size)
	b.ReportAllocs()
	for b.Loop() {
		mu.Lock()
		for pending.Len() >= 1024*size {
			cond.Wait()
		}
		pending.Write(message)
		mu.Unlock()
		cond.Signal()
	}
	mu.Lock()
	closed = true
	mu.Unlock()
	cond.Broadcast()
	<-done
}

// BenchmarkPingPong is one connection, one message there and back at a time: the latency of a blocking call.
func BenchmarkPingPong(b *testing.B) {
	b.Run("net.Conn", func(b *testing.B) {
		client, server := (kit.ConnCase{Network: "tcp"}).NetPair(b)
		pingPong(b, client, server)
	})
	for _, e := range []netstream.Engine{netstream.EngineAuto, netstream.EnginePortable, netstream.EngineEpoll} {
		b.Run("blocking-"+e.String(), func(b *testing.B) {
			client, server := (kit.ConnCase{Engine: e, Network: "tcp"}).Pair(b, nil, nil)
			pingPong(b, client, server)
		})
	}
}

func pingPong(b *testing.B, client, server net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 64)
		for {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			server.Write(buf[:n])
		}
	}()
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		client.Write(buf)
		if _, err := client.Read(buf); err != nil {
			b.Fatal(err)
		}
	}
	client.Close()
	<-done
	server.Close()
}

// BenchmarkBlockingWrite writes 64 B at a time and waits for each.
func BenchmarkBlockingWrite(b *testing.B) {
	b.Run("net.Conn", func(b *testing.B) { benchNetWrite(b, 64) })
	for _, e := range []netstream.Engine{netstream.EngineAuto, netstream.EngineEpoll} {
		b.Run("netstream-"+e.String(), func(b *testing.B) {
			s, stop := benchConn(b, &netstream.Config{Engine: e})
			defer stop()
			message := make([]byte, 64)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Write(message); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkBlockingRead reads what a peer sends as fast as it can, 64 B at a time.
func BenchmarkBlockingRead(b *testing.B) {
	b.Run("net.Conn", func(b *testing.B) {
		client, server := (kit.ConnCase{Network: "tcp"}).NetPair(b)
		defer client.Close()
		benchRead(b, client, server)
	})
	for _, e := range []netstream.Engine{netstream.EngineAuto, netstream.EngineEpoll} {
		b.Run("netstream-"+e.String(), func(b *testing.B) {
			client, server := (kit.ConnCase{Network: "tcp"}).NetPair(b)
			s := kit.MustNew(b, client, &netstream.Config{Engine: e})
			defer s.Close()
			benchRead(b, s, server)
		})
	}
}

func benchRead(b *testing.B, r io.Reader, peer net.Conn) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		chunk := make([]byte, 64<<10)
		for {
			if _, err := peer.Write(chunk); err != nil {
				return
			}
		}
	}()
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := io.ReadFull(r, buf); err != nil {
			b.Fatal(err)
		}
	}
	peer.Close()
	<-done
}

// BenchmarkTLSWrite is 64 bytes at a time over TLS: what waits shares records, and a Write of crypto/tls is a record and a
// system call.
func BenchmarkTLSWrite(b *testing.B) {
	const size = 64
	open := func(b *testing.B) (client *tls.Conn, stop func()) {
		below1, below2 := kit.ConnCase{Network: "tcp"}.NetPair(b)
		client, server := kit.MustTLSOver(b, below1, below2)
		return client, drainPeer(server, client)
	}
	b.Run("Write", func(b *testing.B) {
		client, stop := open(b)
		defer stop()
		message := make([]byte, size)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.Write(message); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("BeginWrite", func(b *testing.B) {
		client, stop := open(b)
		s, err := netstream.New(client, nil)
		if err != nil {
			b.Fatal(err)
		}
		defer stop()
		defer s.Close()
		pipelineWrites(b, s, size)
	})
}
