package kit

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// TLSConfigs returns what both ends of a TLS connection to 127.0.0.1 need, with a certificate made for the
// occasion.
var TLSConfigs = sync.OnceValues(func() (client, server *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(24 * time.Hour),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}, server
})

// TLSOver returns both ends of a TLS connection over two ends of a connection, after the handshake.
func TLSOver(client, server net.Conn) (c, s *tls.Conn, err error) {
	clientConfig, serverConfig := TLSConfigs()
	c, s = tls.Client(client, clientConfig), tls.Server(server, serverConfig)
	served := make(chan error, 1)
	go func() { served <- s.Handshake() }()
	err = c.Handshake()
	if e := <-served; err == nil {
		err = e
	}
	return c, s, err
}

// MustTLSOver is TLSOver for a test.
func MustTLSOver(t testing.TB, client, server net.Conn) (c, s *tls.Conn) {
	t.Helper()
	c, s, err := TLSOver(client, server)
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

// StreamsOverTLS returns streams over both ends of a TLS connection, and the connections below.
func StreamsOverTLS(t *testing.T) (a, b *netstream.NetworkStream, below1, below2 net.Conn) {
	t.Helper()
	below1, below2 = ConnCase{Network: "tcp"}.NetPair(t)
	c, s := MustTLSOver(t, below1, below2)
	a, b = MustNew(t, c, nil), MustNew(t, s, nil)
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b, below1, below2
}

// MustAuthenticate makes a TLS handshake on both ends.
func MustAuthenticate(t testing.TB, client, server *netstream.NetworkStream) {
	t.Helper()
	clientConfig, serverConfig := TLSConfigs()
	served := make(chan error, 1)
	go func() { served <- server.AuthenticateAsServer(context.Background(), serverConfig) }()
	err := client.AuthenticateAsClient(context.Background(), clientConfig)
	if e := <-served; err == nil {
		err = e
	}
	if err != nil {
		t.Fatal(err)
	}
}

// MustAuthenticateWith has s make a handshake with crypto/tls, which is the server at the other end.
func MustAuthenticateWith(t testing.TB, s *netstream.NetworkStream, peer net.Conn) *tls.Conn {
	t.Helper()
	clientConfig, serverConfig := TLSConfigs()
	server := tls.Server(peer, serverConfig)
	served := make(chan error, 1)
	go func() { served <- server.Handshake() }()
	err := s.AuthenticateAsClient(context.Background(), clientConfig)
	if e := <-served; err == nil {
		err = e
	}
	if err != nil {
		t.Fatal(err)
	}
	return server
}
