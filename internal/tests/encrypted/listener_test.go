package encrypted_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func listenTLS(t *testing.T, cfg *netstream.Config) *netstream.Listener {
	t.Helper()
	_, serverConfig := kit.TLSConfigs()
	c := netstream.Config{}
	if cfg != nil {
		c = *cfg
	}
	if c.TLS == nil {
		c.TLS = serverConfig
	}
	l, err := netstream.Listen("tcp", "127.0.0.1:0", &c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestSlowHandshakesHoldNobodyUp has 1,000 clients that stop in their handshake, beside 100 good ones.
func TestSlowHandshakesHoldNobodyUp(t *testing.T) {
	l := listenTLS(t, nil)
	go echoStreams(l)
	var slow []net.Conn
	defer func() {
		for _, c := range slow {
			c.Close()
		}
	}()
	for i := range 1000 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		slow = append(slow, c)
		c.Write([]byte{22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3}[:i%12])
	}
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			if err := echoOnce(l.Addr().String()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

// echoOnce connects with crypto/tls, and has a message come back.
func echoOnce(address string) error {
	clientConfig, _ := kit.TLSConfigs()
	c, err := tls.Dial("tcp", address, clientConfig)
	if err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		return err
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
		return fmt.Errorf("%q, %w", got, err)
	}
	return nil
}

// TestCrowdedHandshakes has more clients stop in their handshake than a listener keeps: the oldest ones go.
func TestCrowdedHandshakes(t *testing.T) {
	l := listenTLS(t, nil)
	go echoStreams(l)
	first, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	var others []net.Conn
	for range 1024 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, c)
	}
	if _, err := first.Read(make([]byte, 1)); err == nil {
		t.Error("the oldest connection got data")
	}
	if err := echoOnce(l.Addr().String()); err != nil {
		t.Error(err)
	}
	if n := l.FailedHandshakes(); n == 0 {
		t.Error("nothing is counted")
	}
	for _, c := range others {
		c.Close()
	}
}

// TestCrowdedHandshakesSpareTheBusy: who has been at it for longest, and waits for this side, outlasts those that keep it waiting.
func TestCrowdedHandshakesSpareTheBusy(t *testing.T) {
	_, serverConfig := kit.TLSConfigs()
	busy, release := make(chan struct{}, 2), make(chan struct{})
	l := listenTLS(t, &netstream.Config{HandshakeTimeout: time.Minute, TLS: &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		busy <- struct{}{}
		<-release
		return serverConfig, nil
	}}})
	go echoStreams(l)
	start := time.Now()
	first := kit.Async(func() error { return echoOnce(l.Addr().String()) })
	kit.Within(t, "the first one's callback", busy)
	for range 1024 {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	kit.Eventually(t, "one of them makes room", func() bool { return l.FailedHandshakes() > 0 })
	close(release)
	long := time.Since(start)
	switch err := kit.Within(t, "the first one", first); {
	case err != nil && long >= 10*time.Second:
		t.Skip("this machine needs longer for 1,024 connections than a busy handshake is spared")
	case err != nil:
		t.Error("it was closed:", err)
	}
}

// TestFailedHandshakesReachNoAccept has clients fail in several ways before a good one.
func TestFailedHandshakesReachNoAccept(t *testing.T) {
	l := listenTLS(t, &netstream.Config{HandshakeTimeout: time.Minute})
	accepted := make(chan error, 1)
	go func() {
		s, err := l.AcceptStream()
		if err == nil {
			s.Close()
		}
		accepted <- err
	}()
	for _, f := range []func(c net.Conn){ // the reset may come before the connection is accepted
		func(c net.Conn) {},
		func(c net.Conn) { io.WriteString(c, "GET / HTTP/1.1\r\n\r\n"); io.ReadAll(c) },
		func(c net.Conn) { c.(*net.TCPConn).SetLinger(0) },
		func(c net.Conn) { tls.Client(c, &tls.Config{ServerName: "somebody.else"}).Handshake() },
		func(c net.Conn) {
			tls.Client(c, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}).Handshake()
		},
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		f(c)
		c.Close()
	}
	kit.Eventually(t, "the failures are counted", func() bool { return l.FailedHandshakes() >= 4 })
	select {
	case err := <-accepted:
		t.Fatal("an Accept has returned:", err)
	default:
	}
	clientConfig, _ := kit.TLSConfigs()
	c, err := tls.Dial("tcp", l.Addr().String(), clientConfig)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	if err := <-accepted; err != nil {
		t.Error(err)
	}
}

func TestHandshakeTimeoutOfListener(t *testing.T) {
	l := listenTLS(t, &netstream.Config{HandshakeTimeout: time.Millisecond})
	go echoStreams(l)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error(n, err)
	}
}

func TestCloseOfTLSListener(t *testing.T) {
	l := listenTLS(t, nil)
	ar, err := l.BeginAccept(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.Write([]byte{22})
	l.Close()
	if _, err := l.EndAccept(ar); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := l.AcceptStream(); !errors.Is(err, net.ErrClosed) {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a handshake survives its listener")
	}
}

func TestDeadlineOfTLSListener(t *testing.T) {
	l := listenTLS(t, nil)
	l.SetDeadline(time.Now().Add(time.Millisecond))
	if _, err := l.AcceptStream(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error(err)
	}
	l.SetDeadline(time.Time{})
	go echoStreams(l)
	if err := echoOnce(l.Addr().String()); err != nil {
		t.Error(err)
	}
}

func TestBeginAcceptTLS(t *testing.T) {
	l := listenTLS(t, nil)
	clientConfig, _ := kit.TLSConfigs()
	streams := make(chan *netstream.NetworkStream, 1)
	_, err := l.BeginAccept(func(ar netstream.AsyncResult) {
		s, err := l.EndAccept(ar)
		if err != nil {
			t.Error(err)
		}
		streams <- s
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ar, err := netstream.BeginConnect(t.Context(), "tcp", l.Addr().String(), &netstream.Config{TLS: clientConfig}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	client, err := netstream.EndConnect(ar)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server := <-streams
	defer server.Close()
	if !client.IsAuthenticated() || !server.IsServer() {
		t.Error("no handshake was made")
	}
}

func TestShutdownAbortsHandshakes(t *testing.T) {
	var group netstream.Group
	l := listenTLS(t, &netstream.Config{Group: &group})
	go echoStreams(l)
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	kit.Eventually(t, "the connection is accepted", func() bool { return group.Stats().Streams == 1 })
	if err := group.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("the handshake goes on")
	}
}

// TestHTTPSOverStreams serves https with net/http, which takes the connections for encrypted ones.
func TestHTTPSOverStreams(t *testing.T) {
	clientConfig, _ := kit.TLSConfigs()
	l := listenTLS(t, nil)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.TLS == nil || !r.TLS.HandshakeComplete || r.TLS.ServerName != "" && r.TLS.ServerName != "127.0.0.1" {
			http.Error(w, "not encrypted", http.StatusTeapot)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error("body:", err)
		}
		w.Write(body)
	})}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: clientConfig}}
	defer client.CloseIdleConnections()
	for range 20 {
		r, err := client.Post("https://"+l.Addr().String(), "text/plain", io.LimitReader(zeros{}, 100_000))
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || r.StatusCode != http.StatusOK || len(body) != 100_000 {
			t.Fatal(err, r.Status, len(body))
		}
	}
	client.CloseIdleConnections()
	if err := server.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
	if err := <-served; err != http.ErrServerClosed {
		t.Error(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// A group's broadcast leaves a stream alone that is in the middle of its handshake: it is not refused, so no hub closes it.
func TestGroupBroadcastDuringAHandshake(t *testing.T) {
	group := new(netstream.Group)
	l := listenTLS(t, &netstream.Config{Group: group})
	accepted := make(chan *netstream.NetworkStream, 1)
	go func() {
		s, _ := l.AcceptStream()
		accepted <- s
	}()
	up, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{InsecureSkipVerify: true})
	kit.Must(t, err)
	defer up.Close()
	s := kit.Within(t, "the stream", accepted)
	defer s.Close()
	silent, err := net.Dial("tcp", l.Addr().String())
	kit.Must(t, err)
	defer silent.Close()
	kit.Eventually(t, "the silent one is in the group", func() bool { return group.Stats().Streams == 2 })
	n := group.Broadcast([]byte("hello"), func(_ *netstream.NetworkStream, err error) { t.Error(err) })
	if n != 1 {
		t.Errorf("%d streams took it", n)
	}
	kit.ReadExactly(t, up, []byte("hello"))
}
