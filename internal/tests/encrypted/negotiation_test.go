package encrypted_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// The alerts that crypto/tls has no names for.
const (
	alertHandshakeFailure      = 40
	alertBadCertificate        = 42
	alertCertificateExpired    = 45
	alertUnknownCA             = 48
	alertProtocolVersion       = 70
	alertCertificateRequired   = 116
	alertNoApplicationProtocol = 120
)

// wantAlert wants one of these alerts of the peer, by errors.As where it is a stream's error.
func wantAlert(t *testing.T, e end, err error, want ...tls.AlertError) {
	t.Helper()
	if e.stream == nil {
		if err == nil {
			t.Errorf("crypto/tls was told nothing of alert %d", want)
		}
		return
	}
	var alert tls.AlertError
	if !errors.As(err, &alert) || !slices.Contains(want, alert) {
		t.Errorf("%T %v, want alert %d", err, err, want)
	}
}

// withProtocols returns kit's configs with ALPN.
func withProtocols(client, server []string) (c, s *tls.Config) {
	c, s = kit.TLSConfigs()
	c, s = c.Clone(), s.Clone()
	c.NextProtos, s.NextProtos = client, server
	return c, s
}

func TestALPN(t *testing.T) {
	eachSetting(t, func(t *testing.T, s setting) {
		for _, row := range []struct {
			client, server []string
			want           string
		}{
			{[]string{"b", "a"}, []string{"a", "b"}, "a"}, // the server's preference
			{[]string{"b"}, []string{"a", "b"}, "b"},
			{nil, []string{"a"}, ""},
			{[]string{"a"}, nil, ""},
		} {
			clientConfig, serverConfig := withProtocols(row.client, row.server)
			c, d := s.mustShake(t, clientConfig, serverConfig)
			if got := d.state().NegotiatedProtocol; got != row.want {
				t.Errorf("client %q, server %q: %q", row.client, row.server, got)
			}
			talk(t, c, d)
		}
		clientConfig, serverConfig := withProtocols([]string{"x"}, []string{"a", "b"})
		c, d := s.shake(t, clientConfig, serverConfig)
		d.refused(t, "no protocol in common")
		c.refused(t, "no protocol in common")
		wantAlert(t, c, c.err, alertNoApplicationProtocol)
	})
}

// TestServerName has a server choose by the name that the client asks for: a certificate, or a whole config.
func TestServerName(t *testing.T) {
	authority, roots := issueAuthority(t)
	certificates := map[string]*tls.Certificate{}
	for _, name := range []string{"a.example", "b.example"} {
		certificate := issue(t, &x509.Certificate{DNSNames: []string{name}}, &authority)
		certificates[name] = &certificate
	}
	eachSetting(t, func(t *testing.T, s setting) {
		var mu sync.Mutex
		var seen []*tls.ClientHelloInfo
		choose := func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, hello)
			if c := certificates[hello.ServerName]; c != nil {
				return c, nil
			}
			return nil, errors.New("no such name")
		}
		direct := &tls.Config{GetCertificate: choose}
		byConfig := &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			return &tls.Config{GetCertificate: choose, NextProtos: []string{"for " + hello.ServerName}}, nil
		}}
		for name := range certificates {
			client := &tls.Config{RootCAs: roots, ServerName: name}
			c, d := s.mustShake(t, client, direct)
			if got := d.state().ServerName; got != name {
				t.Errorf("ServerName %q, want %q", got, name)
			}
			if got := c.state().PeerCertificates[0].DNSNames[0]; got != name {
				t.Errorf("the certificate is that of %q, want %q", got, name)
			}
			if hello := seen[len(seen)-1]; hello.ServerName != name || hello.Conn.RemoteAddr().String() != c.LocalAddr().String() {
				t.Errorf("the callback saw %q from %v", hello.ServerName, hello.Conn.RemoteAddr())
			}
			client.NextProtos = []string{"for " + name}
			_, d = s.mustShake(t, client, byConfig)
			if got := d.state().NegotiatedProtocol; got != "for "+name {
				t.Errorf("the config of GetConfigForClient was not used: %q", got)
			}
		}
		c, d := s.shake(t, &tls.Config{RootCAs: roots, ServerName: "c.example"}, direct)
		d.refused(t, "a callback that refuses")
		c.refused(t, "a callback that refuses")
	})
}

// TestServerNameByListener: a listener's callbacks are asked like those of a single stream, and Dial takes the name from the
// address unless the config says one.
func TestServerNameByListener(t *testing.T) {
	_, serverConfig := kit.TLSConfigs()
	asked := make(chan string, 1)
	l := listenTLS(t, &netstream.Config{TLS: &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		asked <- hello.ServerName
		return serverConfig, nil
	}}})
	go echoStreams(l)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	for _, row := range [][3]string{ // address, ServerName, what is asked for
		{"127.0.0.1:" + port, "", ""}, // an address is no name
		{"127.0.0.1:" + port, "set.example", "set.example"},
		{"localhost:" + port, "", "localhost"},
	} {
		s, err := netstream.Dial(t.Context(), "tcp", row[0], &netstream.Config{TLS: &tls.Config{InsecureSkipVerify: true, ServerName: row[1]}})
		kit.Must(t, err)
		if got := kit.Within(t, "the callback", asked); got != row[2] {
			t.Errorf("dialled %s with ServerName %q: asked for %q", row[0], row[1], got)
		}
		s.Close()
	}
}

func TestClientCertificates(t *testing.T) {
	authority, pool := issueAuthority(t)
	known := issue(t, &x509.Certificate{DNSNames: []string{"client"}}, &authority)
	unknown := issue(t, &x509.Certificate{DNSNames: []string{"client"}}, nil)
	base, server := kit.TLSConfigs()
	eachSetting(t, func(t *testing.T, s setting) {
		shake := func(auth tls.ClientAuthType, certificates ...tls.Certificate) (c, d end) {
			clientConfig, serverConfig := base.Clone(), server.Clone()
			if len(certificates) > 0 { // crypto/tls itself sends none that the server says it does not know
				clientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificates[0], nil }
			}
			serverConfig.ClientAuth, serverConfig.ClientCAs = auth, pool
			return s.shake(t, clientConfig, serverConfig)
		}
		c, d := shake(tls.RequireAndVerifyClientCert, known)
		if c.err != nil || d.err != nil {
			t.Fatal(c.err, d.err)
		}
		state := d.state()
		if len(state.VerifiedChains) != 1 || state.PeerCertificates[0].DNSNames[0] != "client" {
			t.Errorf("the server has verified %v", state.VerifiedChains)
		}
		talk(t, c, d)

		c, d = shake(tls.VerifyClientCertIfGiven)
		if c.err != nil || d.err != nil || len(d.state().PeerCertificates) != 0 {
			t.Error("without one, where it is left to the client:", c.err, d.err)
		}

		c, d = shake(tls.RequireAndVerifyClientCert)
		d.refused(t, "no certificate")
		want := []tls.AlertError{alertCertificateRequired}
		if s.version == tls.VersionTLS12 { // releases of Go differ
			want = []tls.AlertError{alertHandshakeFailure, alertBadCertificate}
		}
		wantAlert(t, c, firstRead(t, c), want...)

		c, d = shake(tls.RequireAndVerifyClientCert, unknown)
		d.refused(t, "a certificate of nobody")
		var verify *tls.CertificateVerificationError
		if !errors.As(d.err, &verify) {
			t.Errorf("%T %v", d.err, d.err)
		}
		wantAlert(t, c, firstRead(t, c), alertUnknownCA)
	})
}

// TestVersions: both ends want one and the same version, or the handshake fails.
func TestVersions(t *testing.T) {
	base, server := kit.TLSConfigs()
	eachSetting(t, func(t *testing.T, s setting) {
		other := uint16(tls.VersionTLS12 + tls.VersionTLS13 - int(s.version))
		serverConfig := server.Clone()
		serverConfig.MinVersion, serverConfig.MaxVersion = s.version, s.version
		c, d := s.mustShake(t, base, serverConfig)
		if got := c.state().Version; got != s.version {
			t.Error(tls.VersionName(got))
		}
		talk(t, c, d)
		serverConfig = server.Clone()
		serverConfig.MinVersion, serverConfig.MaxVersion = other, other
		c, d = s.shake(t, base, serverConfig)
		c.refused(t, "no version in common")
		d.refused(t, "no version in common")
		if s.version < other { // the server refuses; a client that is offered less than it wants does
			wantAlert(t, c, c.err, alertProtocolVersion)
		}
	})
}

// ownCache is a session cache of the program's own, which the library does not call on a loop.
type ownCache struct{ tls.ClientSessionCache }

// TestResumption: the second connection resumes the session of the first.
func TestResumption(t *testing.T) {
	base, server := kit.TLSConfigs()
	eachSetting(t, func(t *testing.T, s setting) {
		for name, cache := range map[string]tls.ClientSessionCache{
			"crypto/tls's cache": tls.NewLRUClientSessionCache(1),
			"a cache of its own": ownCache{tls.NewLRUClientSessionCache(1)},
		} {
			clientConfig, serverConfig := base.Clone(), server.Clone()
			clientConfig.ClientSessionCache = cache
			for round, want := range []bool{false, true, true} {
				if round > 0 {
					kit.Eventually(t, name+" has the session", func() bool { _, ok := cache.Get(clientConfig.ServerName); return ok })
				}
				c, d := s.mustShake(t, clientConfig, serverConfig)
				if got := c.state().DidResume; got != want {
					t.Errorf("%s, connection %d: resumed %t", name, round, got)
				}
				if len(c.state().PeerCertificates) != 1 {
					t.Errorf("%s, connection %d: the server's certificate is not known", name, round)
				}
				talk(t, c, d)
			}
		}
	})
}
