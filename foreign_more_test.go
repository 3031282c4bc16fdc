package netstream_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// WriteBuffers is one message to a connection whose Write may be one, and one record over TLS.
func TestGatherWriteBuffersIsOneWrite(t *testing.T) {
	pieces := [][]byte{patterned(1, 300), patterned(2, 300), patterned(3, 300)}
	for _, gather := range []bool{false, true} {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		c := &messages{Conn: ours, gate: make(chan struct{})}
		close(c.gate)
		s := mustNew(t, c, &netstream.Config{GatherWrites: gather})
		defer s.Close()
		if n, err := s.WriteBuffers(pieces); n != 900 || err != nil {
			t.Fatal(n, err)
		}
		if calls := c.taken(); len(calls) != 1 || !bytes.Equal(calls[0], bytes.Join(pieces, nil)) {
			t.Errorf("GatherWrites %t: %d Writes, want one of 900 bytes", gather, len(calls))
		}
	}
}

// A blocking write shares no Write with others: its context ends it alone, where it had to end what it shares.
func TestGatherLeavesBlockingWritesAlone(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	c := &messages{Conn: ours, gate: make(chan struct{})}
	s := mustNew(t, c, &netstream.Config{GatherWrites: true})
	defer s.Close()
	_, first := begin(t, s, []byte("first"))
	eventually(t, "the first write is in Write", s.WriteWaits)
	_, second := begin(t, s, []byte("second"))
	blocking := async(func() error { _, err := s.Write([]byte("blocking")); return err })
	eventually(t, "the blocking write is queued", func() bool { return s.Stats().PendingWrites == 3 })
	_, last := begin(t, s, []byte("last"))
	close(c.gate)
	for _, done := range []<-chan error{first, second, blocking, last} {
		must(t, within(t, "a write", done))
	}
	for _, p := range c.taken() {
		if bytes.Contains(p, []byte("blocking")) && len(p) != len("blocking") && !bytes.HasPrefix(p, []byte("blocking")) {
			t.Errorf("the blocking write shares a Write behind others: %q", p)
		}
	}
}

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
	tlsConfigs() // made here: the bubble's clock would date the certificate
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		client, _ := mustTLSOver(t, ours, theirs)
		c := &lateDeadline{client, make(chan struct{})}
		s := mustNew(t, c, nil)
		_, wrote := begin(t, s, []byte("nobody reads it"))
		synctest.Wait()
		must(t, s.Close())
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
		a, b := connCase{network: "tcp"}.netPair(t)
		lower := a
		if below == "stream" {
			lower = mustNew(t, a, nil)
		}
		client, _ := mustTLSOver(t, lower, b)
		s := mustNew(t, client, nil)
		resetPeer(t, b)
		var werr error
		eventually(t, "a write has failed", func() bool { _, werr = s.Write([]byte("x")); return werr != nil })
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
	a, b := connCase{network: "tcp"}.netPair(t)
	defer b.Close()
	clients, servers := tlsConfigs()
	clients = clients.Clone()
	clients.VerifyPeerCertificate = func([][]byte, [][]*x509.Certificate) error { return errFace }
	served := async(tls.Server(b, servers).Handshake)
	s := mustNew(t, tls.Client(a, clients), nil)
	defer s.Close()
	must(t, s.CloseWrite())
	if err := within(t, "Drain", async(func() error { return s.Drain(t.Context()) })); !errors.Is(err, errFace) {
		t.Errorf("Drain: %v", err)
	}
	within(t, "the server's handshake", served)
}

// A CloseWrite that fails is no failed write, and Shutdown tells the first of two failures in one line.
func TestForeignCloseWriteThatFailsIsNoWrite(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	s := mustNew(t, &halves{rude{Conn: ours}, func() error { return syscall.EIO }}, nil)
	defer s.Close()
	must(t, s.CloseWrite())
	if err := s.Drain(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("Drain: %v", err)
	}
	if st := s.Stats(); st.WriteOps != 0 || st.FailedWrites != 0 || st.WriteErr != nil {
		t.Errorf("%d writes, %d failed: %v", st.WriteOps, st.FailedWrites, st.WriteErr)
	}
	if err := s.Socket().Shutdown(netstream.ShutdownBoth); !errors.Is(err, syscall.EIO) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Shutdown: %q", err)
	}
}

// A raw read does not miss the byte that a zero-byte read has taken: it is refused as long as that waits.
func TestForeignRawReadIsRefusedBesideALookedAtByte(t *testing.T) {
	a, b := connCase{network: "tcp"}.netPair(t)
	defer b.Close()
	type wrapped struct{ *net.TCPConn }
	s := mustNew(t, wrapped{a.(*net.TCPConn)}, nil)
	defer s.Close()
	_, err := b.Write([]byte("x"))
	must(t, err)
	_, looked := beginRead(t, s, 0)
	must(t, within(t, "the zero-byte read", looked).err)
	raw, err := s.SyscallConn()
	must(t, err)
	if err := raw.Read(func(uintptr) bool { return true }); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("RawConn.Read: %v", err)
	}
	readExactly(t, s, []byte("x"))
	must(t, raw.Read(func(uintptr) bool { return true }))
}

// Dials that lose the race for a group's last place say so as dials.
func TestMaxStreams_DialsThatLoseTheRace(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	g := netstream.Group{MaxStreams: 1}
	const dials = 20
	type outcome struct {
		s   *netstream.NetworkStream
		err error
	}
	outcomes := make(chan outcome, dials)
	for range dials {
		go func() {
			s, err := netstream.Dial(context.Background(), "tcp", ln.Addr().String(), &netstream.Config{Group: &g})
			outcomes <- outcome{s, err}
		}()
	}
	for range dials {
		o := within(t, "a Dial", outcomes)
		if o.err == nil {
			defer o.s.Close()
			continue
		}
		var op *net.OpError
		if !errors.Is(o.err, netstream.ErrGroupFull) || !errors.As(o.err, &op) || op.Op != "dial" {
			t.Errorf("%#v", o.err)
		}
	}
}
