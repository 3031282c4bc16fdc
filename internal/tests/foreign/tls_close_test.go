package foreign_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// lateDeadline takes a deadline away late, as on a busy machine, and tells when Close is over.
type lateDeadline struct {
	*tls.Conn
	closed chan struct{}
}

func (c *lateDeadline) SetWriteDeadline(at time.Time) error {
	if at.IsZero() {
		time.Sleep(50 * time.Millisecond)
	}
	return c.Conn.SetWriteDeadline(at)
}

func (c *lateDeadline) Close() error {
	defer close(c.closed)
	return c.Conn.Close()
}

// The interrupt of a write does not take the deadline away that crypto/tls sets for its last alert.
func TestForeignTLSCloseEndsThoughNobodyReads(t *testing.T) {
	kit.TLSConfigs() // made here: the bubble's clock would date the certificate
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		client, _ := kit.MustTLSOver(t, ours, theirs)
		c := &lateDeadline{client, make(chan struct{})}
		s := kit.MustNew(t, c, nil)
		_, wrote := kit.Begin(t, s, []byte("nobody reads it"))
		synctest.Wait()
		kit.Must(t, s.Close())
		if err := <-wrote; err == nil {
			t.Error("the write succeeded")
		}
		select {
		case <-c.closed:
		case <-time.After(time.Minute): // crypto/tls gives up after 5 s
			t.Error("the connection's Close hangs")
			ours.Close()
		}
	})
}

// After a reset that a write was told of, no read over TLS reports a clean end, and texts name the call once.
func TestPromise16_AResetOverTLSIsNoCleanEnd(t *testing.T) {
	for _, below := range []string{"tcp", "stream"} {
		a, b := kit.ConnCase{Network: "tcp"}.NetPair(t)
		lower := a
		if below == "stream" {
			lower = kit.MustNew(t, a, nil)
		}
		client, _ := kit.MustTLSOver(t, lower, b)
		s := kit.MustNew(t, client, nil)
		kit.ResetPeer(t, b)
		var werr error
		kit.Eventually(t, "a write has failed", func() bool { _, werr = s.Write([]byte("x")); return werr != nil })
		_, rerr := s.Read(make([]byte, 1))
		if rerr == nil || rerr == io.EOF {
			t.Errorf("over %s: Write: %v; Read: %v", below, werr, rerr)
		}
		if s.Socket().Connected() {
			t.Errorf("over %s: still connected after %v", below, werr)
		}
		for _, err := range []error{werr, rerr} {
			if n := strings.Count(err.Error(), "127.0.0.1"); n != 2 {
				t.Errorf("over %s: the addresses stand %d times in %q", below, n, err)
			}
		}
		s.Close()
	}
}

// CloseWrite over TLS whose handshake has failed: Drain tells why it failed.
func TestForeignTLSCloseWriteAfterAFailedHandshake(t *testing.T) {
	a, b := kit.ConnCase{Network: "tcp"}.NetPair(t)
	defer b.Close()
	clients, servers := kit.TLSConfigs()
	clients = clients.Clone()
	clients.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errFace }
	served := kit.Async(tls.Server(b, servers).Handshake)
	s := kit.MustNew(t, tls.Client(a, clients), nil)
	defer s.Close()
	kit.Must(t, s.CloseWrite())
	if err := kit.Within(t, "Drain", kit.Async(func() error { return s.Drain(t.Context()) })); !errors.Is(err, errFace) {
		t.Errorf("Drain: %v", err)
	}
	kit.Within(t, "the server's handshake", served)
}
