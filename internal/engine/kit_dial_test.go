package engine_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

func dialTCP(t testing.TB) (ours, theirs net.Conn) { return dialBoth(t, "tcp", "127.0.0.1:0") }

func dialUnix(t testing.TB) (ours, theirs net.Conn) {
	dir, err := os.MkdirTemp("", "ns") // t.TempDir may be too long a name for a socket
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dialBoth(t, "unix", filepath.Join(dir, "s"))
}

func dialBoth(t testing.TB, network, address string) (ours, theirs net.Conn) {
	t.Helper()
	ln, err := net.Listen(network, address)
	must(t, err)
	defer ln.Close()
	ours, err = net.Dial(network, ln.Addr().String())
	must(t, err)
	theirs, err = ln.Accept()
	must(t, err)
	return ours, theirs
}

func dialPipe(testing.TB) (ours, theirs net.Conn) { return engine.Pipe() }

// wrapped hides what a connection is.
type wrapped struct{ net.Conn }

func dialForeign(t testing.TB) (ours, theirs net.Conn) {
	ours, theirs = dialTCP(t)
	return wrapped{ours}, theirs
}

func dialTLS(t testing.TB) (ours, theirs net.Conn) {
	a, b := dialTCP(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(t, err)
	server := tls.Server(b, &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}})
	shaken := background(server.Handshake)
	t.Cleanup(func() { b.Close(); <-shaken })
	return tls.Client(a, &tls.Config{InsecureSkipVerify: true}), server
}
