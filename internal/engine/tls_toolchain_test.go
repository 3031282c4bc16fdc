package engine

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"slices"
	"testing"
	"time"
)

// againConn is a connection in memory that gives crypto/tls one byte at a time, and a timeout between two of them.
type againConn struct {
	net.Conn // nil: nothing else is called
	in       []byte
	allowed  int
	out      *bytes.Buffer
}

func (c *againConn) Read(p []byte) (int, error) {
	if c.allowed == 0 || len(c.in) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(p, c.in[:min(c.allowed, len(c.in))])
	c.in, c.allowed = c.in[n:], c.allowed-n
	return n, nil
}

func (c *againConn) Write(p []byte) (int, error)      { return c.out.Write(p) }
func (c *againConn) SetWriteDeadline(time.Time) error { return nil }

// switchConn is a connection for the handshake, and another one for what follows.
type switchConn struct {
	net.Conn
	later *againConn
	now   bool
}

func (c *switchConn) Read(p []byte) (int, error) {
	if c.now {
		return c.later.Read(p)
	}
	return c.Conn.Read(p)
}

func (c *switchConn) Write(p []byte) (int, error) {
	if c.now {
		return c.later.Write(p)
	}
	return c.Conn.Write(p)
}

func (c *switchConn) SetWriteDeadline(time.Time) error { return nil }

// TestToolchainReadsOnAfterDeadline holds the toolchain's crypto/tls to what this package stands on: a Read that returned
// os.ErrDeadlineExceeded goes on from the exact byte, for every version and cipher suite. If it fails with a new release
// of Go, TLS on the loops does not work there.
func TestToolchainReadsOnAfterDeadline(t *testing.T) {
	ecdsaKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	certificates := []tls.Certificate{selfSigned(&ecdsaKey.PublicKey, ecdsaKey), selfSigned(&rsaKey.PublicKey, rsaKey)}
	suites := append(tls.CipherSuites(), tls.InsecureCipherSuites()...)
	tried := 0
	for version := uint16(tls.VersionTLS10); version <= tls.VersionTLS13; version++ {
		for _, suite := range suites {
			if !slices.Contains(suite.SupportedVersions, version) {
				continue
			}
			t.Run(fmt.Sprintf("%s/%s", tls.VersionName(version), suite.Name), func(t *testing.T) {
				readByteByByte(t, &tls.Config{
					Certificates: certificates, InsecureSkipVerify: true, MinVersion: version, MaxVersion: version,
					CipherSuites: []uint16{suite.ID}, SessionTicketsDisabled: true,
				})
			})
			tried++
		}
	}
	if tried < 20 {
		t.Errorf("only %d combinations", tried)
	}
}

func selfSigned(public, private any) tls.Certificate {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	must(err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private}
}

func readByteByByte(t *testing.T, config *tls.Config) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	wire := new(bytes.Buffer)
	from := &switchConn{Conn: a, later: &againConn{out: wire}}
	to := &switchConn{Conn: b, later: &againConn{out: new(bytes.Buffer)}}
	server, client := tls.Server(from, config), tls.Client(to, config)
	over := make(chan error, 1)
	go func() { over <- server.Handshake() }()
	must(client.Handshake())
	must(<-over)
	from.now, to.now = true, true
	const message = "every byte of it"
	for range 3 {
		_, err := server.Write([]byte(message))
		must(err)
	}
	must(server.CloseWrite())
	to.later.in = wire.Bytes()
	var got []byte
	var p [100]byte
	for range to.later.in {
		to.later.allowed = 1
		n, err := client.Read(p[:])
		got = append(got, p[:n]...)
		if err == io.EOF {
			break
		}
		for err == nil {
			n, err = client.Read(p[:])
			got = append(got, p[:n]...)
		}
		if err != os.ErrDeadlineExceeded {
			t.Fatalf("%T %v, not os.ErrDeadlineExceeded itself", err, err)
		}
	}
	if n, err := client.Read(p[:]); n != 0 || err != io.EOF || string(got) != message+message+message {
		t.Fatalf("%q, then %d, %v", got, n, err)
	}
}
