package engine

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"
)

// tlsKeys returns the configurations of a client and a server that trust each other.
var tlsKeys = sync.OnceValues(func() (client, server *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"test.example"},
		IsCA:         true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	leaf, err := x509.ParseCertificate(der)
	must(err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{RootCAs: roots, ServerName: "test.example", Certificates: []tls.Certificate{certificate}},
		&tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: roots}
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// tlsCase is one way to make a connection.
type tlsCase struct {
	name    string
	server  bool // the TLS under test is the server
	lends   bool // the fake keeps what it is given
	version uint16
	suite   uint16
}

func tlsCases() (list []tlsCase) {
	for _, v := range []struct {
		name    string
		version uint16
		suite   uint16
	}{
		{"1.3", tls.VersionTLS13, 0},
		{"1.2-gcm", tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		{"1.2-chacha", tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
		{"1.2-cbc", tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
		{"1.0-cbc", tls.VersionTLS10, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
	} {
		for _, server := range []bool{false, true} {
			for _, lends := range []bool{false, true} {
				name := v.name + map[bool]string{false: "/client", true: "/server"}[server] + map[bool]string{true: "/lends"}[lends]
				list = append(list, tlsCase{name, server, lends, v.version, v.suite})
			}
		}
	}
	return list
}

func eachTLS(t *testing.T, f func(t *testing.T, c tlsCase)) {
	for _, c := range tlsCases() {
		t.Run(c.name, func(t *testing.T) { f(t, c) })
	}
}

// configs returns the configuration of the TLS under test and that of its peer.
func (c tlsCase) configs() (own, peer *tls.Config) {
	client, server := tlsKeys()
	client, server = client.Clone(), server.Clone()
	for _, config := range []*tls.Config{client, server} {
		config.MinVersion, config.MaxVersion = c.version, c.version
		if c.suite != 0 {
			config.CipherSuites = []uint16{c.suite}
		}
	}
	if c.server {
		return server, client
	}
	return client, server
}

// rig is a TLS over a fake, and crypto/tls at the other end.
type rig struct {
	*testOwner
	fake *fakeLower
	peer *tls.Conn
	wire *peerConn
}

func newRig(t testing.TB, c tlsCase, own, peer *tls.Config) *rig {
	fake := newFake(c.lends)
	r := &rig{testOwner: newOwner(), fake: fake, wire: &peerConn{f: fake}}
	r.tls = NewTLS(fake, r.testOwner, TLSOptions{
		Config: own, Server: c.server, Ends: fakeEnds{}, IDs: [2]uint32{7, 7},
	})
	t.Cleanup(fake.kill)
	if c.server {
		r.peer = tls.Client(r.wire, peer)
	} else {
		r.peer = tls.Server(r.wire, peer)
	}
	return r
}

// connect makes a rig whose handshake is over, at both ends.
func (c tlsCase) connect(t testing.TB) *rig {
	t.Helper()
	own, peer := c.configs()
	r := newRig(t, c, own, peer)
	r.mustShake(t)
	return r
}

func (r *rig) mustShake(t testing.TB) {
	t.Helper()
	over := make(chan error, 1)
	go func() { over <- r.peer.Handshake() }()
	if err := r.shake(t.Context()); err != nil {
		t.Fatal("handshake:", err)
	}
	if err := <-over; err != nil {
		t.Fatal("the peer's handshake:", err)
	}
}

// sealed returns what the peer sends when it does what f says.
func (r *rig) sealed(f func(peer *tls.Conn)) []byte {
	r.wire.kept = new(bytes.Buffer)
	f(r.peer)
	p := r.wire.kept.Bytes()
	r.wire.kept = nil
	return p
}

// fakeEnds are the addresses of a connection that is none.
type fakeEnds struct{}

func (fakeEnds) LocalAddr() net.Addr         { return &net.TCPAddr{Port: 1} }
func (fakeEnds) RemoteAddr() net.Addr        { return &net.TCPAddr{Port: 2} }
func (fakeEnds) Control(func(uintptr)) error { return errors.ErrUnsupported }
