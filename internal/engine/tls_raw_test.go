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
