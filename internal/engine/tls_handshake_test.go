package engine

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
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

// TestTLSHandshakeStopped interrupts the handshake while it waits for each of the peer's flights, and for room.
func TestTLSHandshakeStopped(t *testing.T) {
	for _, c := range tlsCases() {
		for cut := 0; cut < 900; cut += 150 {
			for _, room := range []int{-1, 0} {
				if c.lends && cut > 0 || cut > 0 && room == 0 {
					continue
				}
				own, peer := c.configs()
				r := newRig(t, c, own, peer)
				r.fake.allow(room)
				through := &cutConn{peerConn: r.wire, left: cut}
				if c.server {
					r.peer = tls.Client(through, peer)
					through.open = room == 0
				} else {
					r.peer = tls.Server(through, peer)
				}
				go r.peer.Handshake()
				ctx, stop := context.WithCancelCause(context.Background())
				shaken := make(chan error, 1)
				go func() { shaken <- r.shake(ctx) }()
				eventually(t, c.name+": it waits", func() bool {
					r.fake.mu.Lock()
					defer r.fake.mu.Unlock()
					reads := r.fake.waits[Read] && room != 0 && len(r.fake.in) == 0
					return r.fake.waits[Write] || reads || len(shaken) > 0
				})
				stop(errors.New("enough"))
				var e *TLSError
				err := <-shaken // nil: the handshake is shorter than that
				if err != nil && (!errors.As(err, &e) || e.Err.Error() != "enough") || err == nil && cut == 0 {
					t.Fatalf("%s, %d: %v", c.name, cut, err)
				}
				r.tls.Close(Reset)
				<-r.closed
			}
		}
	}
}

// TestTLSHandshakeStoppedAtItsEnd: when the context ends as the handshake does, crypto/tls may answer with the context's
// own error (Go 1.26) before interrupt has run. The cause says more, such as that it was a deadline.
func TestTLSHandshakeStoppedAtItsEnd(t *testing.T) {
	ctx, stop := context.WithCancelCause(context.Background())
	enough := errors.New("enough")
	stop(enough)
	h := &tlsHandshake{t: new(TLS), ctx: ctx}
	var e *TLSError
	if err := h.failure(ctx.Err()); !errors.As(err, &e) || e.Err != enough {
		t.Error(err)
	}
	if err := h.failure(io.ErrClosedPipe); !errors.As(err, &e) || e.Err != io.ErrClosedPipe {
		t.Error("another failure:", err)
	}
}

// TestTLSHandshakeFailsOffTheLoop interrupts a server that has no goroutine yet: whoever brings the wait back, usually a
// loop, does not run done.
func TestTLSHandshakeFailsOffTheLoop(t *testing.T) {
	c := tlsCase{server: true, version: tls.VersionTLS13}
	own, peer := c.configs()
	r := newRig(t, c, own, peer)
	ctx, stop := context.WithCancelCause(context.Background())
	release, over := make(chan struct{}), make(chan error, 1)
	r.tls.Handshake(ctx, func(err error) { <-release; over <- err })
	h := r.tls.shaking.Load()
	r.fake.mu.Lock()
	r.fake.waits[Read] = false // the wait ends below
	r.fake.mu.Unlock()
	enough := errors.New("enough")
	stop(enough)
	eventually(t, "the handshake is interrupted", func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.interrupted
	})
	back := make(chan struct{})
	go func() {
		(*tlsOwner)(r.tls).ReadReturned(0, ErrInterrupted)
		close(back)
	}()
	select {
	case <-back:
	case <-time.After(patience):
		t.Error("the loop runs done")
	}
	close(release)
	if err := <-over; !errors.Is(err, enough) {
		t.Error(err)
	}
}

// TestTLSHandshakeCallbackVanishes has a callback of the tls.Config end its goroutine.
func TestTLSHandshakeCallbackVanishes(t *testing.T) {
	c := tlsCase{server: true, version: tls.VersionTLS13}
	own, peer := c.configs()
	own.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { runtime.Goexit(); return nil, nil }
	own.Certificates = nil
	r := newRig(t, c, own, peer)
	go r.peer.Handshake()
	if err := r.shake(t.Context()); !errors.Is(err, errTLSVanished) {
		t.Fatal(err)
	}
	r.tls.Close(Orderly)
	<-r.closed
	if len(computing.tokens) != 0 {
		t.Error("a compute slot is lost")
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

// TestTLSCloseGivesUp closes a connection that takes nothing: after 2 s it is reset, and Close has not waited.
func TestTLSCloseGivesUp(t *testing.T) {
	for _, lends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := tlsCase{lends: lends, version: tls.VersionTLS13}.connect(t)
			r.fake.allow(0)
			start := time.Now()
			r.tls.Close(Orderly)
			<-r.closed
			if took := time.Since(start); took != 0 {
				t.Errorf("Close took %v", took)
			}
			synctest.Wait()
			if closed, _ := r.fake.ended(); closed {
				t.Error("it has not waited for the peer")
			}
			time.Sleep(closePatience)
			synctest.Wait()
			if closed, how := r.fake.ended(); !closed || how != Reset {
				t.Errorf("closed %v, %v", closed, how)
			}
		})
	}
}

// TestTLSCloseFinishesLater closes a connection that takes the rest a second later.
func TestTLSCloseFinishesLater(t *testing.T) {
	for _, lends := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := tlsCase{lends: lends, version: tls.VersionTLS13}.connect(t)
			r.fake.allow(5)
			r.tls.Close(Orderly)
			time.Sleep(time.Second)
			r.fake.allow(-1)
			synctest.Wait()
			if closed, how := r.fake.ended(); !closed || how != Orderly {
				t.Errorf("closed %v, %v", closed, how)
			}
			if n, err := r.peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
				t.Errorf("the peer: %d, %v", n, err)
			}
			time.Sleep(2 * closePatience)
		})
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
