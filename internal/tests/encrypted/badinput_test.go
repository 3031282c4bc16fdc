package encrypted_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// tamperConn lets somebody change what crypto/tls writes, which is one record at a time.
type tamperConn struct {
	net.Conn
	mu     sync.Mutex
	tamper func(record []byte) []byte // nil: unchanged
}

func (c *tamperConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	f := c.tamper
	c.mu.Unlock()
	q := p
	if f != nil {
		q = f(bytes.Clone(p))
	}
	if _, err := c.Conn.Write(q); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *tamperConn) with(f func(record []byte) []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.tamper = f
}

// TestTamperedRecords changes, repeats, swaps, leaves out and inflates records of a client: the server's stream gives what
// came before, and then one error that stays. The listener serves the next client.
func TestTamperedRecords(t *testing.T) {
	var kept []byte // a record that comes later, or again
	ways := map[string]struct {
		second, third func(record []byte) []byte
		alert         tls.AlertError // 0: a RecordHeaderError
	}{
		"forged":       {func(r []byte) []byte { r[len(r)-1] ^= 1; return r }, nil, 20},
		"replayed":     {func(r []byte) []byte { return append(r, r...) }, nil, 20},
		"left out":     {func([]byte) []byte { return nil }, func(r []byte) []byte { return r }, 20},
		"out of order": {func(r []byte) []byte { kept = r; return nil }, func(r []byte) []byte { return append(r, kept...) }, 20},
		"oversized":    {func(r []byte) []byte { return append([]byte{23, 3, 3, 0xff, 0xff}, r[5:]...) }, nil, 0},
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		l := listenTLS(t, nil)
		for name, way := range ways {
			t.Run(tls.VersionName(version)+" "+name, func(t *testing.T) {
				below, err := net.Dial("tcp", l.Addr().String())
				kit.Must(t, err)
				wire := &tamperConn{Conn: below}
				client, _ := kit.TLSConfigs()
				client = client.Clone()
				client.MaxVersion = version
				c := tls.Client(wire, client)
				defer c.Close()
				shaken := kit.Async(c.Handshake)
				s, err := l.AcceptStream()
				kit.Must(t, err)
				defer s.Close()
				kit.Must(t, kit.Within(t, "the client's handshake", shaken))

				kit.WriteText(t, c, "first ")
				wire.with(way.second)
				kit.WriteText(t, c, "second")
				if way.third != nil {
					wire.with(way.third)
					kit.WriteText(t, c, "third")
				}
				got, err := io.ReadAll(struct{ io.Reader }{s})
				if string(got) != "first " && (name != "replayed" || string(got) != "first second") {
					t.Errorf("%q has come", got)
				}
				wantBroken(t, "the read", err, way.alert)
				wantBroken(t, "the next read", second(s.Read(make([]byte, 1))), way.alert)
				wantBroken(t, "a write", second(s.Write([]byte("x"))), way.alert)
				s.Close()
				if err := s.Err(); !isBadRecord(err, way.alert) {
					t.Errorf("Err is %v", err)
				}
				wire.with(nil)
			})
		}
		go echoStreams(l)
		kit.Must(t, echoOnce(l.Addr().String()))
	}
}

// isBadRecord reports whether err has that alert in its chain, or a RecordHeaderError for 0.
func isBadRecord(err error, want tls.AlertError) bool {
	var header tls.RecordHeaderError
	var alert tls.AlertError
	if want == 0 {
		return errors.As(err, &header) && header.Conn == nil
	}
	return errors.As(err, &alert) && alert == want
}

// wantBroken wants what a bad record leads to: an IOError around crypto/tls's error, which is no failure of the handshake.
func wantBroken(t *testing.T, what string, err error, want tls.AlertError) {
	t.Helper()
	var failure *netstream.IOError
	var authentication *netstream.AuthenticationError
	if !errors.As(err, &failure) || !isBadRecord(err, want) || errors.As(err, &authentication) {
		t.Errorf("%s: %T %v, want alert %d", what, err, err, want)
	}
}

// stallConn lets so many bytes out and keeps the others for ever.
type stallConn struct {
	net.Conn
	mu   sync.Mutex
	left int
	kept bool
}

func (c *stallConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(c.left, len(p))
	c.left -= n
	c.kept = c.kept || n < len(p)
	if _, err := c.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *stallConn) stalled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.kept
}

// TestPeerStallsInEachFlight has clients of a listener, and servers of Dial, stop after so many bytes of their flights: the
// handshake ends by its limit, with one error that says so, and the listener goes on.
func TestPeerStallsInEachFlight(t *testing.T) {
	client, server := kit.TLSConfigs()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		config := client.Clone()
		config.MaxVersion = version
		l := listenTLS(t, &netstream.Config{HandshakeTimeout: 30 * time.Millisecond})
		go echoStreams(l)
		failed := uint64(0)
		for allowed := 0; ; allowed += 1 + allowed/2 { // within the first record header, the first flight, the second
			c, err := net.Dial("tcp", l.Addr().String())
			kit.Must(t, err)
			stalling := &stallConn{Conn: c, left: allowed}
			_ = kit.Within(t, "the client", kit.Async(tls.Client(stalling, config).Handshake))
			if !stalling.stalled() { // that was the whole of it
				c.Close()
				break
			}
			if failed++; failed > 100 {
				t.Fatal("the handshake has no end")
			}
			kit.Eventually(t, "it is given up", func() bool { return l.FailedHandshakes() >= failed })
			c.Close()
		}
		if failed < 8 {
			t.Errorf("only %d places to stall", failed)
		}

		for allowed := 0; ; allowed += 1 + allowed/2 {
			ln, err := net.Listen("tcp", "127.0.0.1:0")
			kit.Must(t, err)
			done := make(chan *stallConn, 1)
			go func() {
				c, err := ln.Accept()
				if err != nil {
					t.Error(err)
				}
				stalling := &stallConn{Conn: c, left: allowed}
				tls.Server(stalling, server).Handshake()
				done <- stalling
			}()
			s, err := netstream.Dial(t.Context(), "tcp", ln.Addr().String(), &netstream.Config{TLS: config, HandshakeTimeout: 30 * time.Millisecond})
			ln.Close()
			if err == nil {
				s.Close()
			} else {
				wantTimeout(t, "the client", err)
			}
			stalling := kit.Within(t, "the server", done)
			stalling.Conn.Close()
			if err == nil {
				break
			}
			if allowed > 10_000 {
				t.Fatal("the handshake has no end")
			}
		}
	}
}

// TestExpiredCertificate: each end of a connection refuses the other one's certificate when its time is over.
func TestExpiredCertificate(t *testing.T) {
	authority, pool := issueAuthority(t)
	expired := issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(-time.Hour)}, &authority)
	base, server := kit.TLSConfigs()
	wantExpired := func(t *testing.T, e end) {
		t.Helper()
		e.refused(t, "an expired certificate")
		var why x509.CertificateInvalidError
		if !errors.As(e.err, &why) || why.Reason != x509.Expired {
			t.Errorf("%T %v", e.err, e.err)
		}
	}
	eachSetting(t, func(t *testing.T, s setting) {
		c, d := s.shake(t, &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}, &tls.Config{Certificates: []tls.Certificate{expired}})
		wantExpired(t, c)
		d.refused(t, "the client does not take it")
		wantAlert(t, d, d.err, alertBadCertificate, alertCertificateExpired)

		client, strict := base.Clone(), server.Clone()
		client.Certificates = []tls.Certificate{expired}
		strict.ClientAuth, strict.ClientCAs = tls.RequireAndVerifyClientCert, pool
		c, d = s.shake(t, client, strict)
		wantExpired(t, d)
		wantAlert(t, c, firstRead(t, c), alertBadCertificate, alertCertificateExpired)
	})
}

// TestNoCertificateInTheEnd: callbacks that promise a certificate and have none fail their own handshake, no other.
func TestNoCertificateInTheEnd(t *testing.T) {
	_, good := kit.TLSConfigs()
	for name, bad := range map[string]*tls.Config{
		"GetCertificate":     {GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }},
		"an empty one":       {GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return new(tls.Certificate), nil }},
		"GetConfigForClient": {GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return new(tls.Config), nil }},
	} {
		first := true
		l := listenTLS(t, &netstream.Config{TLS: &tls.Config{GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if !first {
				return good, nil
			}
			first = false
			if bad.GetConfigForClient != nil {
				return bad.GetConfigForClient(hello)
			}
			return bad, nil
		}}})
		go echoStreams(l)
		if err := echoOnce(l.Addr().String()); err == nil {
			t.Error(name, "has no certificate, and the handshake succeeds")
		}
		if err := echoOnce(l.Addr().String()); err != nil {
			t.Errorf("%s: the next one: %v", name, err)
		}
		kit.Eventually(t, name+" is counted once", func() bool { return l.FailedHandshakes() == 1 })
	}
}
