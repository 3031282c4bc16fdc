package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// runEncryptedRace is runRace over TLS: tls.Conn.Write against BeginWrite on an encrypted stream.
func runEncryptedRace(ctx context.Context, out *output, messages int) error {
	out.heading("4. The same over TLS")
	client, server, err := demoCertificates()
	if err != nil {
		return err
	}
	plain, err := race(ctx, out, messages, server, func(ctx context.Context, address string) (*contender, error) {
		conn, err := (&tls.Dialer{Config: client}).DialContext(ctx, "tcp", address)
		if err != nil {
			return nil, err
		}
		return writeEach("tls.Conn.Write", conn), nil
	})
	if err != nil {
		return err
	}
	pipelined, err := race(ctx, out, messages, server, func(ctx context.Context, address string) (*contender, error) {
		return dialPipelined(ctx, address, &netstream.Config{TLS: client})
	})
	if err != nil {
		return err
	}
	out.say("ratio", "BeginWrite, %s in flight with a callback each, reached %.1f times the rate of tls.Conn.Write",
		commas(inFlight), pipelined/plain)
	return nil
}

// demoCertificates returns what both ends need, with a certificate that lasts as long as the demo.
func demoCertificates() (client, server *tls.Config, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	return &tls.Config{RootCAs: roots}, server, nil
}
