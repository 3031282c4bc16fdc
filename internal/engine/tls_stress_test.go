package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand"
	"runtime"
	"testing"
)

// TestTLSBothWaysAtOnce reads and writes at the same time, while the connection below takes and gives odd portions.
func TestTLSBothWaysAtOnce(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		r := c.connect(t)
		r.fake.mu.Lock()
		r.fake.grain = 1_000
		r.fake.mu.Unlock()
		data := pattern(400_000)
		over := make(chan error, 4)
		stop := make(chan struct{})
		go r.trickle(stop)
		go func() { over <- writeOdd(r.testOwner, data) }()
		go func() { over <- writeOdd(r.peer, data) }()
		go func() { over <- readSame(r.testOwner, data) }()
		go func() { over <- readSame(r.peer, data) }()
		for range 4 {
			if err := <-over; err != nil {
				t.Error(err)
			}
		}
		close(stop)
	})
}

// trickle lets more and more out, in odd portions.
func (r *rig) trickle(stop chan struct{}) {
	random := mathrand.New(mathrand.NewSource(1))
	for {
		select {
		case <-stop:
			return
		default:
			r.fake.allow(random.Intn(20_000))
			runtime.Gosched()
		}
	}
}

func writeOdd(w io.Writer, data []byte) error {
	random := mathrand.New(mathrand.NewSource(2))
	for len(data) > 0 {
		n, err := w.Write(data[:min(len(data), random.Intn(30_000))])
		if err != nil {
			return fmt.Errorf("write: %w", err)
		}
		data = data[n:]
	}
	return nil
}

func readSame(r io.Reader, data []byte) error {
	got := make([]byte, len(data))
	if _, err := io.ReadFull(r, got); err != nil {
		return fmt.Errorf("read: %w", err)
	}
	if !bytes.Equal(got, data) {
		return errors.New("something else came")
	}
	return nil
}

// TestTLSKeyUpdatesAmongWrites asks for KeyUpdates while data goes both ways: the answers lie between whole records.
func TestTLSKeyUpdatesAmongWrites(t *testing.T) {
	eachRaw(t, func(t *testing.T, p *rawPeer) {
		const rounds = 500
		data := pattern(rounds * 100)
		over := make(chan error, 2)
		go func() {
			for i := range rounds {
				if _, err := p.Write(data[i*100 : (i+1)*100]); err != nil {
					over <- err
					return
				}
			}
			over <- nil
		}()
		go func() { over <- readSame(p.testOwner, data) }()
		for i := range rounds {
			p.sendKeyUpdate(i%3 == 0)
			p.send(dataKind, data[i*100:(i+1)*100])
		}
		var got []byte
		updates := 0
		for len(got) < len(data) || updates < (rounds+2)/3 {
			kind, piece := p.receive(t)
			if kind == handshakeKind {
				updates++
			} else {
				got = append(got, piece...)
			}
		}
		for range 2 {
			if err := <-over; err != nil {
				t.Error(err)
			}
		}
		if !bytes.Equal(got, data) {
			t.Error("the peer got something else")
		}
	})
}

// BenchmarkTLSTryWrite is 1,024 messages of 64 B in one call, over a transport that takes everything.
func BenchmarkTLSTryWrite(b *testing.B) {
	r := tlsCase{version: tls.VersionTLS13, server: true}.connect(b)
	r.tls.lower = &discarding{Connection: r.fake}
	message := pattern(64)
	var v [][]byte
	for range 1_024 {
		v = append(v, message)
	}
	b.SetBytes(64 * 1_024)
	b.ReportAllocs()
	for b.Loop() {
		for rest := v; len(rest) > 0; {
			taken, done, err := r.tls.TryWrite(rest)
			if err != nil || taken != done || taken%64 != 0 {
				b.Fatal(taken, done, err)
			}
			rest = rest[taken/64:]
		}
	}
}

// discarding takes everything.
type discarding struct{ Connection }

func (*discarding) TryWrite(v [][]byte) (int, int, error) { return len(v[0]), len(v[0]), nil }
