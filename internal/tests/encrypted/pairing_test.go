package encrypted_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// setting is who is at the two ends of a connection, on which engine, and which version of TLS they speak.
type setting struct {
	kit.ConnCase
	client, server bool // there is a stream; otherwise it is crypto/tls's own connection
	version        uint16
}

// eachSetting runs f for both versions and every engine: between two streams, and with crypto/tls at either end.
func eachSetting(t *testing.T, f func(t *testing.T, s setting)) {
	t.Helper()
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			for _, s := range []setting{{c, true, true, version}, {c, true, false, version}, {c, false, true, version}} {
				t.Run(s.name(), func(t *testing.T) { f(t, s) })
			}
		}
	})
}

func (s setting) name() string {
	who := map[bool]string{true: "stream", false: "crypto"}
	return tls.VersionName(s.version) + " " + who[s.client] + "-" + who[s.server]
}

// end is one end of a connection after its handshake.
type end struct {
	net.Conn
	stream *netstream.NetworkStream // nil: crypto/tls's own connection
	err    error                    // of the handshake
}

// shake connects two ends and lets both make their handshake. The configs may say everything but the version.
func (s setting) shake(t *testing.T, client, server *tls.Config) (c, d end) {
	t.Helper()
	client = client.Clone() // the server's is used as it is: it has the ticket keys
	client.MinVersion, client.MaxVersion = s.version, s.version
	below1, below2 := s.NetPair(t)
	accepted := make(chan end, 1)
	go func() { accepted <- s.makeEnd(t, below2, server, true) }()
	c = s.makeEnd(t, below1, client, false)
	d = kit.Within(t, "the server's handshake", accepted)
	t.Cleanup(func() { c.Close(); d.Close() })
	if c.err == nil && d.err == nil {
		agree(t, c, d)
	}
	return c, d
}

func (s setting) makeEnd(t *testing.T, conn net.Conn, config *tls.Config, server bool) (e end) {
	switch {
	case server && s.server, !server && s.client:
		stream, err := netstream.New(conn, s.Config(nil))
		if err != nil {
			t.Error(err)
			return end{Conn: conn, err: err}
		}
		e.Conn, e.stream = stream, stream
		if server {
			e.err = stream.AuthenticateAsServer(t.Context(), config)
		} else {
			e.err = stream.AuthenticateAsClient(t.Context(), config)
		}
		return e
	case server:
		c := tls.Server(conn, config)
		return end{Conn: c, err: c.Handshake()}
	}
	c := tls.Client(conn, config)
	return end{Conn: c, err: c.Handshake()}
}

// mustShake is shake where nothing may fail.
func (s setting) mustShake(t *testing.T, client, server *tls.Config) (c, d end) {
	t.Helper()
	c, d = s.shake(t, client, server)
	if c.err != nil || d.err != nil {
		t.Fatalf("client: %v, server: %v", c.err, d.err)
	}
	return c, d
}

func (e end) state() tls.ConnectionState {
	if e.stream == nil {
		return e.Conn.(*tls.Conn).ConnectionState()
	}
	state, _ := e.stream.ConnectionState()
	return state
}

// refused reports that e's own handshake has failed, as a stream reports it.
func (e end) refused(t *testing.T, what string) {
	t.Helper()
	if e.err == nil {
		t.Fatalf("%s: the handshake has succeeded", what)
	}
	if e.stream != nil {
		wantAuthenticationError(t, what, e.err)
	}
}

// agree checks that the two ends say the same of their connection, and that a stream's properties say it too.
func agree(t *testing.T, c, d end) {
	t.Helper()
	a, b := c.state(), d.state()
	if a.Version != b.Version || a.CipherSuite != b.CipherSuite || a.NegotiatedProtocol != b.NegotiatedProtocol ||
		a.DidResume != b.DidResume || !a.HandshakeComplete || !b.HandshakeComplete {
		t.Errorf("client: %+v\nserver: %+v", a, b)
	}
	keyA, err := a.ExportKeyingMaterial("test", nil, 32)
	kit.Must(t, err)
	keyB, err := b.ExportKeyingMaterial("test", nil, 32)
	kit.Must(t, err)
	if !bytes.Equal(keyA, keyB) {
		t.Error("the two ends have different secrets")
	}
	for _, e := range []end{c, d} {
		if s := e.stream; s != nil && (s.SslProtocol() != a.Version || s.NegotiatedCipherSuite() != a.CipherSuite ||
			!s.IsAuthenticated() || !s.IsEncrypted() || s.IsServer() != (e == d)) {
			t.Errorf("the properties do not agree with %+v", a)
		}
	}
}

// talk sends a message each way. The client of TLS 1.3 has its session ticket then.
func talk(t *testing.T, c, d end) {
	t.Helper()
	for _, way := range [][2]end{{c, d}, {d, c}} {
		sent := kit.Async(func() error { _, err := way[0].Write([]byte("hello")); return err })
		kit.ReadText(t, way[1], "hello")
		kit.Must(t, kit.Within(t, "the write", sent))
	}
}

// firstRead returns what the client is told of a handshake that the server has refused: in TLS 1.2 by the handshake, in TLS
// 1.3 perhaps by the first read.
func firstRead(t *testing.T, c end) error {
	t.Helper()
	if c.err != nil {
		return c.err
	}
	n, err := c.Read(make([]byte, 1))
	if n != 0 || err == nil || err == io.EOF {
		t.Fatalf("the server has refused, and the client's first read is %d, %v", n, err)
	}
	if c.stream != nil {
		wantAuthenticationError(t, "the first read", err)
	}
	return err
}

// issue makes a certificate from the template: one of its own, or one of the authority's.
func issue(t *testing.T, template *x509.Certificate, authority *tls.Certificate) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	kit.Must(t, err)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	parent, signer := template, any(key)
	if authority != nil {
		parent, signer = authority.Leaf, authority.PrivateKey
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	kit.Must(t, err)
	leaf, err := x509.ParseCertificate(der)
	kit.Must(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

// issueAuthority makes a certificate that others can be issued with, and a pool that holds it.
func issueAuthority(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	authority := issue(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	pool := x509.NewCertPool()
	pool.AddCert(authority.Leaf)
	return authority, pool
}
