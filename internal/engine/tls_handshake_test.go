package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestTLSHandshakeEveryCut lets the peer's flights come only up to each byte: the handshake waits without a compute slot,
// and goes on.
func TestTLSHandshakeEveryCut(t *testing.T) {
	for _, c := range tlsCases() {
		if c.lends || c.version == tls.VersionTLS10 || c.suite == tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			for cut := 0; ; cut += 1 + cut/7 {
				own, peer := c.configs()
				r := newRig(t, c, own, peer)
				through := &cutConn{peerConn: r.wire, left: cut}
				if c.server {
					r.peer = tls.Client(through, peer)
				} else {
					r.peer = tls.Server(through, peer)
				}
				over := make(chan error, 1)
				go func() { over <- r.peer.Handshake() }()
				shaken := make(chan error, 1)
				go func() { shaken <- r.shake(context.Background()) }()
				stalled := through.release(t, r, shaken)
				if err := <-shaken; err != nil {
					t.Fatalf("cut at %d: %v", cut, err)
				}
				if err := <-over; err != nil {
					t.Fatalf("cut at %d: the peer: %v", cut, err)
				}
				if !stalled {
					return // the handshake is shorter than that
				}
			}
		})
	}
}

// cutConn lets some bytes through and keeps the others until it is told to let them go.
type cutConn struct {
	*peerConn
	mu   sync.Mutex
	left int
	kept []byte
	open bool
}

func (c *cutConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(p)
	if !c.open {
		n = min(n, c.left)
		c.left -= n
		c.kept = append(c.kept, p[n:]...)
	}
	c.peerConn.Write(p[:n])
	return len(p), nil
}

// release waits until something is kept and the TLS waits for it, or the handshake is over; then it lets everything go.
func (c *cutConn) release(t *testing.T, r *rig, shaken chan error) (stalled bool) {
	eventually(t, "the handshake waits for the rest", func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		r.fake.mu.Lock()
		waits := r.fake.waits[Read]
		r.fake.mu.Unlock()
		stalled = len(c.kept) > 0 && waits
		return stalled || len(shaken) > 0
	})
	if stalled && len(computing.tokens) > 0 {
		t.Error("a handshake that waits holds a compute slot")
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = true
	c.peerConn.Write(c.kept)
	return stalled
}

// TestTLSServerWaitsWithoutGoroutine: before the whole first record is there, a server has neither a goroutine nor a
// *tls.Conn.
func TestTLSServerWaitsWithoutGoroutine(t *testing.T) {
	hello := make([]byte, 600)
	copy(hello, []byte{22, 3, 1, 600 >> 8, 600 & 0xff, 1})
	_, server := tlsKeys()
	before := runtime.NumGoroutine()
	var rigs []*rig
	over := make(chan error, 200)
	for range cap(over) {
		r := newRig(t, tlsCase{server: true}, server, nil)
		r.tls.Handshake(context.Background(), func(err error) { over <- err })
		r.fake.feed(hello)
		rigs = append(rigs, r)
	}
	for _, r := range rigs {
		r.fake.await(t, "the rest is waited for", func() bool { return r.fake.waits[Read] && len(r.fake.in) == 0 })
		if r.tls.conn != nil {
			t.Fatal("there is a tls.Conn already")
		}
	}
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
	for _, r := range rigs {
		r.fake.end(io.EOF)
		if err := <-over; !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Fatal(err)
		}
	}
}

// TestTLSHandshakeInfo: callbacks see the addresses and the context.
func TestTLSHandshakeInfo(t *testing.T) {
	c := tlsCase{server: true, version: tls.VersionTLS13}
	own, peer := c.configs()
	type key struct{}
	var remote string
	var value any
	inner := own.Clone()
	own.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
		remote, value = hello.Conn.RemoteAddr().String(), hello.Context().Value(key{})
		return inner, nil
	}
	r := newRig(t, c, own, peer)
	go r.peer.Handshake()
	if err := r.shake(context.WithValue(t.Context(), key{}, 7)); err != nil || remote != ":2" || value != 7 {
		t.Fatal(err, remote, value)
	}
}

// TestTLSNegotiates checks ALPN, SNI, client certificates and session resumption.
func TestTLSNegotiates(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		own, peer := c.configs()
		client, server := own, peer
		if c.server {
			client, server = peer, own
		}
		client.NextProtos, server.NextProtos = []string{"a", "b"}, []string{"b"}
		server.ClientAuth = tls.RequireAndVerifyClientCert
		client.ClientSessionCache = tls.NewLRUClientSessionCache(1)
		for resumed := range 2 {
			r := newRig(t, c, own, peer)
			r.mustShake(t)
			s := r.tls.ConnectionState()
			if s.NegotiatedProtocol != "b" || s.ServerName != "test.example" || len(s.PeerCertificates) != 1 ||
				s.Version != c.version || s.DidResume != (resumed == 1) {
				t.Fatalf("%d: %+v", resumed, s)
			}
			go r.peer.Write([]byte("x"))
			go func() { r.Write([]byte("y")) }()
			if _, err := r.Read(make([]byte, 1)); err != nil { // this takes the ticket
				t.Fatal(err)
			}
			if _, err := r.peer.Read(make([]byte, 1)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// userCache is a session cache of the user's, whose Put waits for something that the stream has to bring.
type userCache struct {
	tls.ClientSessionCache
	puts chan string
	wait chan struct{}
}

func (c *userCache) Put(key string, s *tls.ClientSessionState) {
	<-c.wait
	c.ClientSessionCache.Put(key, s)
	c.puts <- key
}

func TestTLSUserCacheRunsElsewhere(t *testing.T) {
	c := tlsCase{version: tls.VersionTLS13}
	own, peer := c.configs()
	cache := &userCache{tls.NewLRUClientSessionCache(1), make(chan string, 10), make(chan struct{})}
	own.ClientSessionCache = cache
	for resumed := range 2 {
		r := newRig(t, c, own, peer)
		r.mustShake(t)
		if r.tls.ConnectionState().DidResume != (resumed == 1) {
			t.Fatal(resumed)
		}
		go r.peer.Write([]byte("x"))
		if _, err := r.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
		if resumed == 0 {
			close(cache.wait)
		}
		<-cache.puts
	}
}

// TestTLSUserCacheIsSlow: of the sessions that come meanwhile the last ones wait.
func TestTLSUserCacheIsSlow(t *testing.T) {
	c := &lateCache{t: new(TLS)}
	var last *tls.ClientSessionState
	for range 100 * mostPuts {
		last = new(tls.ClientSessionState)
		c.Put("x", last)
	}
	if n := len(c.t.puts); n != mostPuts || c.t.puts[n-1].state != last {
		t.Errorf("%d wait", n)
	}
}

// TestSlotsGoOnWithoutProgress: callbacks that wait for ever hold every slot, and others still come through, one after the
// other.
func TestSlotsGoOnWithoutProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(2)
		for range 2 {
			if !s.acquire() {
				t.Fatal("no slot at the beginning")
			}
		}
		start := time.Now()
		for range 3 {
			if s.acquire() {
				t.Fatal("a third slot")
			}
		}
		if took := time.Since(start); took != 3*slotPatience {
			t.Error(took)
		}
		go func() {
			time.Sleep(slotPatience / 2)
			s.release()
		}()
		if !s.acquire() {
			t.Error("a slot that was given back is not used")
		}
	})
}
