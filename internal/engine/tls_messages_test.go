package engine

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"testing"
)

// TestTLSKeyUpdate updates the peer's keys, and asks for ours, between data and while nothing is written: the answer goes
// out all the same.
func TestTLSKeyUpdate(t *testing.T) {
	eachRaw(t, func(t *testing.T, p *rawPeer) {
		for i := range 20 {
			text := fmt.Sprint("message ", i)
			p.sendKeyUpdate(i%2 == 0)
			p.send(dataKind, []byte(text))
			p.wantRead(t, text)
			if i%2 == 0 {
				if kind, _ := p.receive(t); kind != handshakeKind { // nothing is written
					t.Fatalf("no answer to a request: %d", kind)
				}
			}
			p.mustWrite(t, text)
			p.wantData(t, text)
		}
	})
}

// TestTLSKeyUpdateSplit sends one byte of the message in each record, which comes byte by byte.
func TestTLSKeyUpdateSplit(t *testing.T) {
	eachRaw(t, func(t *testing.T, p *rawPeer) {
		p.fake.grain = 1
		for _, b := range keyUpdate(true) {
			p.send(handshakeKind, []byte{b})
		}
		p.out.update()
		p.send(dataKind, []byte("behind it"))
		p.wantRead(t, "behind it")
		p.mustWrite(t, "answer")
		p.wantData(t, "answer")
	})
}

// TestTLSWaitsBehindNoData: a KeyUpdate or a session ticket completes no empty read.
func TestTLSWaitsBehindNoData(t *testing.T) {
	for _, server := range []bool{false, true} {
		p := connectRaw(t, server, false)
		if n, err := p.tls.TryRead(nil); n != 0 || err != ErrWouldBlock {
			t.Fatal(n, err)
		}
		p.sendKeyUpdate(false)
		if !server {
			p.send(handshakeKind, sessionTicket())
		}
		if n, err := p.tls.TryRead(nil); n != 0 || err != ErrWouldBlock {
			t.Fatal("behind what is no data:", n, err)
		}
		p.send(dataKind, []byte("x"))
		if n, err := p.tls.TryRead(nil); n != 0 || err != nil {
			t.Fatal("behind data:", n, err)
		}
	}
}

func sessionTicket() []byte {
	body := []byte{0, 0, 1, 0, 0, 0, 0, 0, 1, 7, 0, 4, 1, 2, 3, 4, 0, 0} // lifetime, age, nonce, ticket, extensions
	return append([]byte{4, 0, 0, byte(len(body))}, body...)
}

// TestTLSControlFlood asks for KeyUpdates between single bytes of data and takes no answer: reading stops, few bytes are
// held, and all goes on when the answers are taken.
func TestTLSControlFlood(t *testing.T) {
	for _, lends := range []bool{false, true} {
		p := connectRaw(t, true, lends)
		p.fake.allow(0)
		const rounds = 1_000
		var flood []byte
		for range rounds {
			flood = append(flood, p.out.seal(handshakeKind, keyUpdate(true))...)
			p.out.update()
			flood = append(flood, p.out.seal(dataKind, []byte("x"))...)
		}
		p.fake.feed(flood)
		var got bytes.Buffer
		over := make(chan error, 1)
		go func() {
			_, err := io.CopyN(&got, p.testOwner, rounds)
			over <- err
		}()
		eventually(t, "the reading stops", func() bool {
			p.tls.mu.Lock()
			defer p.tls.mu.Unlock()
			return p.tls.throttled
		})
		p.tls.mu.Lock()
		held := p.tls.out.rest()
		p.tls.mu.Unlock()
		if held > controlBytes+100 {
			t.Errorf("%d bytes of answers are held", held)
		}
		answers := make(chan struct{})
		go func() {
			defer close(answers)
			for range rounds {
				p.receive(t)
			}
		}()
		p.fake.allow(-1)
		if err := <-over; err != nil || got.Len() != rounds {
			t.Fatal(got.Len(), err)
		}
		<-answers
	}
}

// TestTLSInputSurvivesAFloodThatEnds has a read stop at the answers that are held while input is left, and the answers go
// out before it waits: then it goes on with the input.
func TestTLSInputSurvivesAFloodThatEnds(t *testing.T) {
	for _, lends := range []bool{false, true} {
		p := connectRaw(t, true, lends)
		p.fake.allow(0)
		const rounds = 300
		for range rounds {
			p.sendKeyUpdate(true)
			p.send(dataKind, []byte("x"))
		}
		got, one := 0, make([]byte, 1)
		for !p.tls.overControl() {
			n, err := p.tls.TryRead(one)
			got += n
			if p.readID++; err == ErrWouldBlock && !p.tls.overControl() && p.tls.StartRead(p.readID, one) {
				<-p.readCh
			}
		}
		p.fake.allow(-1)
		eventually(t, "the answers are out", func() bool { return !p.tls.Held() })
		if p.readID++; p.tls.StartRead(p.readID, one) {
			t.Fatal("it waits, and has input")
		}
		for got < rounds {
			if n, err := p.Read(one); err != nil {
				t.Fatal(got, err)
			} else {
				got += n
			}
		}
	}
}

// TestTLSThrottledReadCancelled takes a read back that waits for the writing.
func TestTLSThrottledReadCancelled(t *testing.T) {
	p := connectRaw(t, true, false)
	p.fake.allow(0)
	for range 300 {
		p.sendKeyUpdate(true)
		p.send(dataKind, []byte("x"))
	}
	for {
		if _, err := p.tls.TryRead(make([]byte, 1)); err == ErrWouldBlock {
			break
		}
	}
	p.tls.Cancel(Read, 500, false) // before it begins
	if p.tls.StartRead(500, nil) {
		t.Error("a read that was cancelled waits")
	}
	if !p.tls.StartRead(501, nil) {
		t.Fatal("there is nothing to read, yet it does not wait")
	}
	p.tls.Cancel(Read, 501, false)
	<-p.readCh
}

// TestTLSCancelRead takes a read back that waits for input.
func TestTLSCancelRead(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		r := c.connect(t)
		drain(r)
		for id := uint32(100); id < 103; id++ {
			if !r.tls.StartRead(id, nil) {
				t.Fatal("it does not wait")
			}
			r.tls.Cancel(Read, id, false)
			<-r.readCh
			drain(r)
		}
		r.peer.Write([]byte("not lost"))
		var p [8]byte
		if _, err := io.ReadFull(r.testOwner, p[:]); err != nil || string(p[:]) != "not lost" {
			t.Fatal(err)
		}
	})
}

// TestTLSBadMessages sends, well sealed, what no peer may send.
func TestTLSBadMessages(t *testing.T) {
	for name, f := range map[string]func(p *rawPeer){
		"unknown message": func(p *rawPeer) { p.send(handshakeKind, []byte{99, 0, 0, 0}) },
		"huge message":    func(p *rawPeer) { p.send(handshakeKind, []byte{4, 0x7f, 0xff, 0xff}) },
		"empty records": func(p *rawPeer) {
			for range 100 {
				p.send(dataKind, nil)
			}
		},
		"KeyUpdates without data": func(p *rawPeer) {
			for range 100 {
				p.sendKeyUpdate(false)
			}
		},
		"unknown kind":      func(p *rawPeer) { p.send(77, []byte("x")) },
		"alert of one byte": func(p *rawPeer) { p.send(alertKind, []byte{2}) },
		"a key too early":   func(p *rawPeer) { p.send(handshakeKind, append(keyUpdate(false), 24)) },
	} {
		t.Run(name, func(t *testing.T) {
			eachRaw(t, func(t *testing.T, p *rawPeer) {
				f(p)
				_, err := p.Read(make([]byte, 1))
				var e *TLSError
				if !errors.As(err, &e) || e.Authentication {
					t.Fatalf("%T %v", err, err)
				}
				kind, alert := p.receive(t)
				if kind != alertKind || len(alert) != 2 || alert[0] != 2 {
					t.Errorf("the peer got %d %x, not a fatal alert", kind, alert)
				}
				if _, err := p.Write([]byte("x")); !errors.As(err, &e) {
					t.Errorf("write: %v", err)
				}
			})
		})
	}
}

// TestTLSRefusedAfterwards: in TLS 1.3 the server's word about the client's certificate comes behind the handshake. Before
// any data it is about that, later it is not.
func TestTLSRefusedAfterwards(t *testing.T) {
	for _, data := range []bool{false, true} {
		p := connectRaw(t, false, false)
		if data {
			p.send(dataKind, []byte("x"))
			p.wantRead(t, "x")
		}
		p.send(alertKind, []byte{2, 116})
		_, err := p.Read(make([]byte, 1))
		var e *TLSError
		var alert tls.AlertError
		if !errors.As(err, &e) || e.Authentication == data || !errors.As(err, &alert) || alert != 116 {
			t.Errorf("after data %v: %#v", data, err)
		}
	}
}
