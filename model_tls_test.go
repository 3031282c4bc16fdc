package netstream

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	mathbig "math/big"
	"net"
	"sync"
	"time"
)

// modelTLS returns the config of a server, with a certificate that no client of the model looks at.
var modelTLS = sync.OnceValue(func() *tls.Config {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{SerialNumber: mathbig.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
})

// encrypt makes the handshake of s with what becomes the peer's end of its connection: crypto/tls's. An odd seed has them
// speak TLS 1.2.
func encrypt(s *NetworkStream, peer net.Conn, seed uint64) (net.Conn, error) {
	server := tls.Server(peer, modelTLS())
	shaken := make(chan error, 1)
	go func() { shaken <- server.Handshake() }()
	config := &tls.Config{InsecureSkipVerify: true}
	if seed%2 == 1 {
		config.MaxVersion = tls.VersionTLS12
	}
	return server, errors.Join(s.AuthenticateAsClient(context.Background(), config), <-shaken)
}

// belowTLS returns the connection that can be reset.
func belowTLS(conn net.Conn) net.Conn {
	if c, ok := conn.(*tls.Conn); ok {
		return c.NetConn()
	}
	return conn
}

// endOf returns what the peer has seen at the end. The kernel tells a reset once: when a write was told, a read gets
// the end, over TLS perhaps in the middle of a record.
func (p *peer) endOf() error {
	_, encrypted := p.conn.(*tls.Conn)
	if p.told.Load() && (p.seen == io.EOF || encrypted && p.seen == io.ErrUnexpectedEOF) {
		return CodeConnectionReset
	}
	return p.seen
}

// mayBeHeld returns how many bytes a blocking Write may have named although they never went out. Over TLS, one that its deadline
// cuts tells how much was sealed, so that its caller goes on behind that; the stream may end before it has left.
func (r *run) mayBeHeld() int64 {
	const sealed = 4 * 16 << 10 // the most that the engine holds
	for _, m := range r.messages {
		if r.tls && m.resumable && m.err != nil && m.n > 0 {
			return sealed
		}
	}
	return 0
}
