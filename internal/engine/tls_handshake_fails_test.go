package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// TestTLSHandshakeFails has the peer end, refuse or stall the handshake in each way: one clear error, and nothing is left.
func TestTLSHandshakeFails(t *testing.T) {
	for name, test := range map[string]struct {
		do   func(f *fakeLower, stop context.CancelCauseFunc)
		want error
	}{
		"end at once":     {func(f *fakeLower, _ context.CancelCauseFunc) { f.end(io.EOF) }, io.ErrUnexpectedEOF},
		"reset":           {func(f *fakeLower, _ context.CancelCauseFunc) { f.end(syscall.ECONNRESET) }, syscall.ECONNRESET},
		"close_notify":    {func(f *fakeLower, _ context.CancelCauseFunc) { f.feed([]byte{21, 3, 1, 0, 2, 1, 0}) }, io.ErrUnexpectedEOF},
		"end in a record": {func(f *fakeLower, _ context.CancelCauseFunc) { f.feed([]byte{22, 3, 1, 9, 9, 1}); f.end(io.EOF) }, io.ErrUnexpectedEOF},
		"stopped":         {func(f *fakeLower, stop context.CancelCauseFunc) { stop(syscall.E2BIG) }, syscall.E2BIG},
		"stall then stop": {func(f *fakeLower, stop context.CancelCauseFunc) { f.feed([]byte{22, 3, 1}); stop(syscall.E2BIG) }, syscall.E2BIG},
		"plain HTTP":      {func(f *fakeLower, _ context.CancelCauseFunc) { f.feed([]byte("GET / HTTP/1.1\r\n\r\n")) }, nil},
		"SSLv2":           {func(f *fakeLower, _ context.CancelCauseFunc) { f.feed([]byte{0x80, 0x2e, 1, 0, 2}) }, nil},
		"a single byte":   {func(f *fakeLower, _ context.CancelCauseFunc) { f.feed([]byte{0}); f.end(io.EOF) }, io.ErrUnexpectedEOF},
		"an empty record": {func(f *fakeLower, _ context.CancelCauseFunc) { f.feed([]byte{22, 3, 1, 0, 0}); f.end(io.EOF) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range tlsCases()[:4] {
				own, peer := c.configs()
				r := newRig(t, c, own, peer)
				ctx, stop := context.WithCancelCause(t.Context())
				go test.do(r.fake, stop)
				err := r.shake(ctx)
				var e *TLSError
				if !errors.As(err, &e) || !e.Authentication || test.want != nil && !errors.Is(err, test.want) {
					t.Fatalf("%s: %T %v", c.name, err, err)
				}
				var header tls.RecordHeaderError
				if name == "plain HTTP" && (!errors.As(err, &header) || header.Conn != nil) {
					t.Errorf("%s: %v", c.name, err)
				}
				stop(nil)
				r.tls.Close(Orderly)
				<-r.closed
			}
		})
	}
}

// TestTLSHandshakeRefused has the certificate refused at either end; the other end learns why.
func TestTLSHandshakeRefused(t *testing.T) {
	eachTLS(t, func(t *testing.T, c tlsCase) {
		own, peer := c.configs()
		client := own
		if c.server {
			client = peer
		}
		client.ServerName = "somebody.else"
		r := newRig(t, c, own, peer)
		over := make(chan error, 1)
		go func() { over <- r.peer.Handshake() }()
		err := r.shake(t.Context())
		var e *TLSError
		if !errors.As(err, &e) || !e.Authentication {
			t.Fatalf("%T %v", err, err)
		}
		var verify *tls.CertificateVerificationError
		var alert tls.AlertError
		if c.server && (!errors.As(err, &alert) || alert != 42) || !c.server && !errors.As(err, &verify) {
			t.Errorf("%v", err)
		}
		if err := <-over; err == nil {
			t.Error("the peer has not learnt of it")
		}
	})
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
