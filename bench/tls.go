//go:build linux

package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"time"
)

// warmUp makes a handshake in memory, so that what only the first one costs is not counted as the connections' memory.
func warmUp(config *tls.Config) error {
	here, there := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- tls.Client(there, clientTLS(config.MaxVersion)).Handshake() }()
	err := tls.Server(here, config).Handshake()
	if err != nil {
		here.Close()
	}
	return errors.Join(err, <-done)
}

// serverTLS is the configuration of every contender's TLS: one version, and a P-256 certificate that nobody checks.
func serverTLS(version uint16) (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"bench"}, NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &template, &template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{
		MinVersion: version, MaxVersion: version,
		Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}},
	}
	return config, warmUp(config)
}

// clientTLS is the generator's. Without a session cache Go's client asks for no tickets, so the server's records after
// the handshake are messages and nothing else.
func clientTLS(version uint16) *tls.Config {
	return &tls.Config{
		MinVersion: version, MaxVersion: version,
		InsecureSkipVerify: true, // the server is this program, on loopback; its side is what is measured
	}
}

// accept accepts one connection with net, and over TLS if the workload is about that. The handshake comes with
// the first Read or Write.
func (j *job) accept() (net.Conn, error) {
	c, err := j.ln.AcceptTCP()
	if err != nil {
		return nil, err
	}
	if size := j.sendBuffer(); size > 0 {
		if err := c.SetWriteBuffer(size); err != nil {
			return nil, err
		}
	}
	if j.TLS == 0 {
		return c, nil
	}
	return tls.Server(c, j.tls), nil
}

// acceptAll accepts the workload's connections with net and makes their handshakes, if any.
func (j *job) acceptAll() ([]net.Conn, error) {
	conns := make([]net.Conn, j.Conns)
	return conns, j.acceptEach(func(i int, c net.Conn) error {
		conns[i] = c
		return nil
	})
}

// acceptEach gives each connection to use when its handshake is over, each from a goroutine of its own, and returns
// when all calls have.
func (j *job) acceptEach(use func(i int, c net.Conn) error) error {
	done := make(chan error, j.Conns)
	for i := range j.Conns {
		c, err := j.accept()
		if err != nil {
			return err
		}
		go func() {
			if secure, ok := c.(*tls.Conn); ok {
				if err := secure.Handshake(); err != nil {
					done <- err
					return
				}
			}
			done <- use(i, c)
		}()
	}
	for range j.Conns {
		if err := <-done; err != nil {
			return err
		}
	}
	return nil
}
