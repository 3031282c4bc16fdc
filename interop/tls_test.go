package interop

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// identity is a server's certificate for 127.0.0.1: as crypto/tls takes it, and as .NET does.
type identity struct {
	server, client *tls.Config
	file           string // PKCS 12
}

const password = "netstream"

var makeIdentity = sync.OnceValues(func() (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	id := &identity{file: filepath.Join(built.directory, "certificate.p12")}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	id.client = &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"}
	id.server = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})...)
	source := filepath.Join(built.directory, "certificate.pem")
	if err := os.WriteFile(source, both, 0o600); err != nil {
		return nil, err
	}
	// Mono reads nothing newer than this.
	export := exec.Command("openssl", "pkcs12", "-export", "-in", source, "-out", id.file, "-passout", "pass:"+password,
		"-certpbe", "PBE-SHA1-3DES", "-keypbe", "PBE-SHA1-3DES", "-macalg", "sha1")
	export.Stderr = os.Stderr
	return id, export.Run()
})

// needIdentity returns the certificate. It skips the test where openssl is missing, as needMono does for Mono.
func needIdentity(t *testing.T) *identity {
	t.Helper()
	needMono(t)
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("NETSTREAM_REQUIRE_MONO") == "1" {
			t.Fatal("openssl is missing and NETSTREAM_REQUIRE_MONO=1 asks for it (Debian: openssl)")
		}
		t.Skip("openssl is missing, which makes .NET's certificate (Debian: openssl)")
	}
	id, err := makeIdentity()
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// eachSslStream runs f with every engine, with an SslStream as server and as client, and what became of our handshake. Without
// trust the client does not accept the certificate.
func eachSslStream(t *testing.T, trust bool, f func(t *testing.T, p *program, s *netstream.NetworkStream, err error)) {
	id := needIdentity(t)
	word, client := "yes", id.client
	if !trust {
		word, client = "no", &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool()}
	}
	for _, engine := range engines(t) {
		t.Run(engine.String()+"/dotnet-serves", func(t *testing.T) {
			p := start(t, "SslPeer", "server", id.file, password)
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			address := net.JoinHostPort("127.0.0.1", p.hear("listening")[0])
			s, err := netstream.Dial(ctx, "tcp", address, &netstream.Config{Engine: engine, TLS: client})
			if err == nil {
				defer s.Close()
			}
			f(t, p, s, err)
		})
		t.Run(engine.String()+"/netstream-serves", func(t *testing.T) {
			ln, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{Engine: engine})
			if err != nil {
				t.Fatal(err)
			}
			defer ln.Close()
			p := start(t, "SslPeer", "client", strconv.Itoa(ln.Addr().(*net.TCPAddr).Port), word)
			timer := time.AfterFunc(limit, func() { ln.Close() })
			defer timer.Stop()
			s, err := ln.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if err := s.AuthenticateAsServer(t.Context(), id.server); err != nil {
				f(t, p, nil, err)
				return
			}
			f(t, p, s, nil)
		})
	}
}

// eachTrusted is eachSslStream where the handshake succeeds on both sides.
func eachTrusted(t *testing.T, f func(t *testing.T, p *program, s *netstream.NetworkStream)) {
	eachSslStream(t, true, func(t *testing.T, p *program, s *netstream.NetworkStream, err error) {
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetDeadline(time.Now().Add(limit)); err != nil {
			t.Fatal(err)
		}
		if version := p.hear("authenticated"); version[0] != "Tls12" || s.SslProtocol() != tls.VersionTLS12 {
			t.Errorf("SslStream says %v, we say %s", version, tls.VersionName(s.SslProtocol()))
		}
		f(t, p, s)
	})
}

// TestSslStreamEchoes has an SslStream send back what is begun and posted, from one byte to many records.
func TestSslStreamEchoes(t *testing.T) {
	eachTrusted(t, func(t *testing.T, p *program, s *netstream.NetworkStream) {
		p.say("echo 5000")
		var want []byte
		for i, size := range []int{1, 100, 16 << 10, 16<<10 + 1, 3, 200_000, 64, 64, 64, 7000} {
			message := make([]byte, size)
			rand.Read(message)
			want = append(want, message...)
			if i%2 == 0 {
				if err := s.Post(message); err != nil {
					t.Fatal(err)
				}
				continue
			}
			if _, err := s.BeginWrite(message, 0, size, func(ar netstream.AsyncResult) {
				if err := s.EndWrite(ar); err != nil {
					t.Error(err)
				}
			}, nil); err != nil {
				t.Fatal(err)
			}
		}
		l := &live{t, s, p}
		if got := l.receive(len(want)); got != hashOf(want) {
			t.Error("something else came back")
		}
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if echoed := p.hear("echoed")[0]; echoed != strconv.Itoa(len(want)) {
			t.Errorf("SslStream has read %s bytes, then our close_notify; %d were sent", echoed, len(want))
		}
		p.ask("said", "say still open") // the other half
		text := make([]byte, 10)
		if _, err := io.ReadFull(s, text); err != nil || string(text) != "still open" {
			t.Errorf("%q, %v", text, err)
		}
	})
}

func hashOf(p []byte) string {
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}

// TestSslStreamEnds: Mono's SslStream sends no close_notify when it is closed either. Whether all was said, the protocol
// above has to know; we say that it was cut.
func TestSslStreamEnds(t *testing.T) {
	for _, how := range []string{"cut", "close"} {
		t.Run(how, func(t *testing.T) {
			eachTrusted(t, func(t *testing.T, p *program, s *netstream.NetworkStream) {
				p.ask("said", "say last words")
				p.say("%s", how)
				got, err := io.ReadAll(struct{ io.Reader }{s})
				if string(got) != "last words" || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%q, %v", got, err)
				}
			})
		})
	}
}

// TestSslStreamRefuses: whoever does not trust the server's certificate says so, and the other end is told.
func TestSslStreamRefuses(t *testing.T) {
	eachSslStream(t, false, func(t *testing.T, p *program, s *netstream.NetworkStream, err error) {
		var failure *netstream.AuthenticationError
		if s != nil || !errors.As(err, &failure) {
			t.Fatalf("our handshake: %T %v", err, err)
		}
		if why := p.hear("failed"); why[0] != "AuthenticationException" {
			t.Errorf("SslStream says %v, and we %v", why, err)
		}
	})
}
