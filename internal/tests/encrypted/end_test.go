package encrypted_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// eachTLSPeer runs f with a stream that has made a handshake with crypto/tls, and what lies below that.
func eachTLSPeer(t *testing.T, f func(t *testing.T, s *netstream.NetworkStream, peer *tls.Conn, below *net.TCPConn)) {
	t.Helper()
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if !c.TLS() || c.Network != "tcp" {
			t.Skip("has no TCP connection below TLS")
		}
		s, conn := c.WithPeer(t, nil)
		peer := conn.(*tls.Conn)
		f(t, s, peer, peer.NetConn().(*net.TCPConn))
	})
}

// TestTruncationIsAnError ends the connection without close_notify: .NET and crypto/tls say a clean end.
func TestTruncationIsAnError(t *testing.T) {
	eachTLSPeer(t, func(t *testing.T, s *netstream.NetworkStream, peer *tls.Conn, below *net.TCPConn) {
		peer.Write([]byte("half of it"))
		below.CloseWrite()
		got, err := io.ReadAll(s)
		if string(got) != "half of it" {
			t.Errorf("%q", got)
		}
		wantTruncated(t, err)
		_, err = s.Read(make([]byte, 1))
		wantTruncated(t, err)
		if _, err := s.Write([]byte("x")); err != nil {
			t.Error("the other half:", err)
		}
	})
}

func wantTruncated(t *testing.T, err error) {
	t.Helper()
	var failure *netstream.IOError
	if !errors.Is(err, io.ErrUnexpectedEOF) || !errors.As(err, &failure) {
		t.Errorf("%T %v", err, err)
	}
}

// TestForgedRecordEndsBothDirections: one clear error, which stays, and the peer gets an alert.
func TestForgedRecordEndsBothDirections(t *testing.T) {
	eachTLSPeer(t, func(t *testing.T, s *netstream.NetworkStream, peer *tls.Conn, below *net.TCPConn) {
		below.Write(append([]byte{23, 3, 3, 0, 32}, make([]byte, 32)...))
		var failure *netstream.IOError
		var alert tls.AlertError
		for range 2 {
			if _, err := s.Read(make([]byte, 1)); !errors.As(err, &failure) || !errors.As(err, &alert) || alert != 20 {
				t.Fatalf("%T %v", err, err)
			}
		}
		var authentication *netstream.AuthenticationError
		if errors.As(s.Err(), &authentication) {
			t.Error("it has nothing to do with the handshake")
		}
		if _, err := s.Write([]byte("x")); !errors.As(err, &failure) {
			t.Error("write:", err)
		}
		if _, err := peer.Read(make([]byte, 1)); err == nil || err == io.EOF {
			t.Error("the peer got no alert:", err)
		}
	})
}

// TestWriteAfterOwnCloseNotify: .NET says InvalidOperationException, here it is CloseWrite's usual error.
func TestWriteAfterOwnCloseNotify(t *testing.T) {
	eachTLSPeer(t, func(t *testing.T, s *netstream.NetworkStream, peer *tls.Conn, _ *net.TCPConn) {
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Write([]byte("x")); !errors.Is(err, netstream.CodeShutdown) {
			t.Error(err)
		}
		if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Error(n, err)
		}
		go peer.Write([]byte("the other way"))
		got := make([]byte, 13)
		if _, err := io.ReadFull(s, got); err != nil {
			t.Error(err)
		}
	})
}

// TestServerRefusesClientCertificate: in TLS 1.3 the client's handshake is done before the server has looked at its
// certificate. Its first read tells.
func TestServerRefusesClientCertificate(t *testing.T) {
	clientConfig, serverConfig := kit.TLSConfigs()
	strict := serverConfig.Clone()
	strict.ClientAuth = tls.RequireAnyClientCert
	l := listenTLS(t, &netstream.Config{TLS: strict})
	go echoStreams(l)
	s, err := netstream.Dial(t.Context(), "tcp", l.Addr().String(), &netstream.Config{TLS: clientConfig})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_, err = s.Read(make([]byte, 1))
	wantAuthenticationError(t, "the first read", err)
	var alert tls.AlertError
	if !errors.As(err, &alert) || alert != 116 {
		t.Error(err)
	}
}

// TestSessionsAreResumed dials twice with one cache, over each version.
func TestSessionsAreResumed(t *testing.T) {
	clientConfig, _ := kit.TLSConfigs()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		l := listenTLS(t, nil)
		go echoStreams(l)
		config := clientConfig.Clone()
		config.MaxVersion, config.ClientSessionCache = version, tls.NewLRUClientSessionCache(1)
		for round := range 2 {
			s, err := netstream.Dial(t.Context(), "tcp", l.Addr().String(), &netstream.Config{TLS: config})
			if err != nil {
				t.Fatal(err)
			}
			if state, _ := s.ConnectionState(); state.DidResume != (round == 1) {
				t.Errorf("%s, %d: resumed %v", tls.VersionName(version), round, state.DidResume)
			}
			s.Write([]byte("x"))
			if _, err := s.Read(make([]byte, 1)); err != nil { // this takes the ticket
				t.Error(err)
			}
			s.Close()
		}
	}
}

// TestStartTLS speaks in the clear, and goes on encrypted.
func TestStartTLS(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.TLS() {
			t.Skip("has made its handshake")
		}
		client, server := c.Pair(t, nil, nil)
		var wg sync.WaitGroup
		wg.Go(func() {
			kit.WriteText(t, client, "STARTTLS\n")
			kit.ReadExactly(t, client, []byte("go ahead\n"))
		})
		kit.ReadExactly(t, server, []byte("STARTTLS\n"))
		kit.WriteText(t, server, "go ahead\n")
		wg.Wait()
		kit.MustAuthenticate(t, client, server)
		wg.Go(func() { kit.WriteText(t, client, "secret") })
		kit.ReadExactly(t, server, []byte("secret"))
		wg.Wait()
	})
}

// A context that cuts a write of which some is sealed also ends the write ahead that shares the record with it, whose bytes are
// counted exactly: what the kernel has, and no more.
func TestContextCutsARecordOfTwoWrites(t *testing.T) {
	const record, wire = 16 << 10, 16<<10 + 22 // of data, and on the wire with TLS 1.3
	a, b := netstream.Pipe(nil)                // it holds less than four records
	t.Cleanup(func() { a.Close(); b.Close() })
	clientConfig, serverConfig := kit.TLSConfigs()
	clientConfig = clientConfig.Clone()
	clientConfig.DynamicRecordSizingDisabled = true
	shaken := kit.Async(tls.Server(b, serverConfig).Handshake)
	kit.Must(t, a.AuthenticateAsClient(t.Context(), clientConfig))
	kit.Must(t, kit.Within(t, "the server's handshake", shaken))

	plug := kit.MustBegin(t, a, make([]byte, 4*record), nil)
	kit.Eventually(t, "three records are out", func() bool { return a.Stats().BytesWritten == 3*record })
	ahead := kit.MustBegin(t, a, make([]byte, record+1000), nil)
	ctx, cancel := context.WithCancel(t.Context())
	cut := kit.Async(func() error { _, err := a.WriteContext(ctx, make([]byte, 2*record)); return err })
	kit.Eventually(t, "all are queued", func() bool { writes, _ := a.Pending(); return writes == 3 })
	if _, err := io.ReadFull(b, make([]byte, 2*wire)); err != nil { // room for the fifth record, and not for the sixth
		t.Fatal(err)
	}
	kit.Must(t, a.EndWrite(plug))
	kit.Eventually(t, "the fifth is out", func() bool { return a.Stats().BytesWritten == 5*record })
	kit.Settled(t, a)
	cancel()
	want := func(what string, err error, n int64) {
		var failure *netstream.IOError
		if !errors.Is(err, context.Canceled) || !errors.As(err, &failure) || !failure.Torn || failure.N != n {
			t.Errorf("%s: %v, %+v", what, err, failure)
		}
	}
	want("the write that was cut", kit.Within(t, "WriteContext", cut), 0)
	want("the write ahead of it", a.EndWrite(ahead), record)
	kit.WantIdle(t, a)
	if st := a.Stats(); st.BytesWritten != 5*record {
		t.Errorf("%+v", st)
	}
}
