package engine

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"
	"sync"
	"testing"
)

// rawPeer goes on in the place of a peer that speaks TLS 1.3, with the keys of its log: it can send every record that
// there is, such as those that crypto/tls reads and never writes.
type rawPeer struct {
	*rig
	out, in *rawHalf
}

// rawHalf is one direction of TLS 1.3 (RFC 8446, 5.2 and 7.2).
type rawHalf struct {
	hash   func() hash.Hash
	size   int // of the key
	secret []byte
	aead   cipher.AEAD
	iv     []byte
	seq    uint64
}

func newRawHalf(suite uint16, secret []byte) *rawHalf {
	h := &rawHalf{hash: sha256.New, size: 16, secret: secret}
	if suite == tls.TLS_AES_256_GCM_SHA384 {
		h.hash, h.size = sha512.New384, 32
	}
	h.setKey()
	return h
}

func (h *rawHalf) setKey() {
	block, err := aes.NewCipher(h.expand("key", h.size))
	must(err)
	h.aead, err = cipher.NewGCM(block)
	must(err)
	h.iv, h.seq = h.expand("iv", 12), 0
}

func (h *rawHalf) expand(label string, size int) []byte {
	label = "tls13 " + label
	info := binary.BigEndian.AppendUint16(nil, uint16(size))
	info = append(append(append(info, byte(len(label))), label...), 0)
	p, err := hkdf.Expand(h.hash, h.secret, string(info), size)
	must(err)
	return p
}

// update takes the next key.
func (h *rawHalf) update() {
	h.secret = h.expand("traffic upd", h.hash().Size())
	h.setKey()
}

func (h *rawHalf) nonce() []byte {
	nonce := bytes.Clone(h.iv)
	last := nonce[4:]
	binary.BigEndian.PutUint64(last, binary.BigEndian.Uint64(last)^h.seq)
	h.seq++
	return nonce
}

// seal makes a record.
func (h *rawHalf) seal(kind byte, data []byte) []byte {
	inner := append(bytes.Clone(data), kind)
	header := []byte{23, 3, 3, 0, 0}
	binary.BigEndian.PutUint16(header[3:], uint16(len(inner)+h.aead.Overhead()))
	return h.aead.Seal(header, h.nonce(), inner, header)
}

// open reads a record.
func (h *rawHalf) open(r io.Reader) (kind byte, data []byte, err error) {
	header := make([]byte, 5)
	if _, err := io.ReadFull(r, header); err != nil {
		return 0, nil, err
	}
	record := make([]byte, binary.BigEndian.Uint16(header[3:]))
	if _, err := io.ReadFull(r, record); err != nil {
		return 0, nil, err
	}
	inner, err := h.aead.Open(nil, h.nonce(), record, header)
	if err != nil {
		return 0, nil, err
	}
	return inner[len(inner)-1], inner[:len(inner)-1], nil
}

// keyLog keeps the secrets that crypto/tls logs.
type keyLog struct {
	mu      sync.Mutex
	secrets map[string][]byte
}

func (l *keyLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f := strings.Fields(string(p))
	secret, err := hex.DecodeString(f[2])
	must(err)
	l.secrets[f[0]] = secret
	return len(p), nil
}

// connectRaw makes a connection of TLS 1.3 whose peer is a rawPeer.
func connectRaw(t *testing.T, server, lends bool) *rawPeer {
	t.Helper()
	c := tlsCase{server: server, lends: lends, version: tls.VersionTLS13}
	own, peer := c.configs()
	log := &keyLog{secrets: map[string][]byte{}}
	peer.KeyLogWriter = log
	own.SessionTicketsDisabled, peer.SessionTicketsDisabled = true, true
	r := newRig(t, c, own, peer)
	r.mustShake(t)
	suite := r.peer.ConnectionState().CipherSuite
	if suite == tls.TLS_CHACHA20_POLY1305_SHA256 {
		t.Skip("without AES in hardware crypto/tls chooses ChaCha20, which the standard library does not export")
	}
	client := newRawHalf(suite, log.secrets["CLIENT_TRAFFIC_SECRET_0"])
	other := newRawHalf(suite, log.secrets["SERVER_TRAFFIC_SECRET_0"])
	if server {
		return &rawPeer{r, client, other}
	}
	return &rawPeer{r, other, client}
}

func eachRaw(t *testing.T, f func(t *testing.T, p *rawPeer)) {
	for _, server := range []bool{false, true} {
		for _, lends := range []bool{false, true} {
			t.Run(fmt.Sprintf("server=%v,lends=%v", server, lends), func(t *testing.T) {
				f(t, connectRaw(t, server, lends))
			})
		}
	}
}

const (
	alertKind     = 21
	handshakeKind = 22
	dataKind      = 23
)

// keyUpdate returns the message; the keys change behind its last record.
func keyUpdate(requested bool) []byte {
	m := []byte{24, 0, 0, 1, 0}
	if requested {
		m[4] = 1
	}
	return m
}

func (p *rawPeer) send(kind byte, data []byte) { p.fake.feed(p.out.seal(kind, data)) }

func (p *rawPeer) sendKeyUpdate(requested bool) {
	p.send(handshakeKind, keyUpdate(requested))
	p.out.update()
}

// receive returns the next record and follows the KeyUpdates of the TLS under test.
func (p *rawPeer) receive(t *testing.T) (kind byte, data []byte) {
	t.Helper()
	kind, data, err := p.in.open(p.wire)
	if err != nil {
		t.Fatal("the peer reads:", err)
	}
	if kind == handshakeKind {
		if !bytes.Equal(data, keyUpdate(false)) {
			t.Fatalf("not a KeyUpdate: %x", data)
		}
		p.in.update()
	}
	return kind, data
}

func (p *rawPeer) wantData(t *testing.T, want string) {
	t.Helper()
	for {
		if kind, data := p.receive(t); kind == dataKind {
			if string(data) != want {
				t.Fatalf("the peer got %q, not %q", data, want)
			}
			return
		}
	}
}

func (p *rawPeer) wantRead(t *testing.T, want string) {
	t.Helper()
	got := make([]byte, len(want))
	if _, err := io.ReadFull(p.testOwner, got); err != nil || string(got) != want {
		t.Fatalf("%q, %v", got, err)
	}
}

func (p *rawPeer) mustWrite(t *testing.T, text string) {
	t.Helper()
	if n, err := p.Write([]byte(text)); n != len(text) || err != nil {
		t.Fatal(n, err)
	}
}

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
