package netconn_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log"
	mathrand "math/rand"
	"net"
	"net/http"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// net/http serves from a Listener and fetches through Dial, as it is: plain HTTP/1.1, and HTTP/1.1 and HTTP/2 over
// crypto/tls.

type protocol struct {
	name  string
	tls   bool
	http2 bool
}

var protocols = []protocol{
	{"HTTP1", false, false},
	{"HTTP1-TLS", true, false},
	{"HTTP2-TLS", true, true},
}

// eachProtocol runs f for every engine and protocol with a server for it and a client that dials streams.
func eachProtocol(t *testing.T, handler http.Handler, f func(t *testing.T, w *web)) {
	for _, c := range allConns {
		if c.Network != "tcp" || !c.Usable() {
			continue
		}
		for _, p := range protocols {
			t.Run(c.Name+"/"+p.name, func(t *testing.T) {
				w := serveWeb(t, c, p, handler)
				f(t, w)
				w.shutdown(t)
			})
		}
	}
}

// web is a server and a client for it.
type web struct {
	protocol protocol
	server   *http.Server
	client   *http.Client
	url      string
	served   chan error
	dialled  *netstream.Group // the client's streams
	accepted *netstream.Group // the server's
}

func serveWeb(t *testing.T, c kit.ConnCase, p protocol, handler http.Handler) *web {
	t.Helper()
	w := &web{protocol: p, served: make(chan error, 1), dialled: new(netstream.Group), accepted: new(netstream.Group)}
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", c.Config(&netstream.Config{Group: w.accepted}))
	if err != nil {
		t.Fatal(err)
	}
	clientTLS, serverTLS := kit.TLSConfigs()
	var protocols http.Protocols
	protocols.SetHTTP1(!p.http2)
	protocols.SetHTTP2(p.http2)
	w.server = &http.Server{
		Handler:   handler,
		TLSConfig: serverTLS.Clone(),
		Protocols: &protocols,
		ErrorLog:  log.New(testWriter{t}, "server: ", 0),
	}
	dial := c.Config(&netstream.Config{Group: w.dialled})
	w.client = &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			return netstream.Dial(ctx, network, address, dial)
		},
		TLSClientConfig:     clientTLS.Clone(),
		Protocols:           &protocols,
		MaxIdleConnsPerHost: 100,
	}}
	if p.tls {
		w.url = "https://" + ln.Addr().String()
		go func() { w.served <- w.server.ServeTLS(ln, "", "") }()
	} else {
		w.url = "http://" + ln.Addr().String()
		go func() { w.served <- w.server.Serve(ln) }()
	}
	return w
}

// testWriter turns what a server logs into a test's failure: there is nothing to complain about, but that the client,
// which dials spare connections, gives one up in the middle of its handshake. It does so over net's connections too.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	if !bytes.Contains(p, []byte("TLS handshake error")) {
		w.t.Errorf("%s", bytes.TrimSpace(p))
	}
	return len(p), nil
}

// shutdown stops the server in an orderly way; afterwards no stream of either side is left.
func (w *web) shutdown(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), kit.Patience)
	defer cancel()
	w.client.CloseIdleConnections()
	if err := w.server.Shutdown(ctx); err != nil {
		t.Error("Shutdown:", err)
	}
	if err := kit.Within(t, "Serve to return", w.served); !errors.Is(err, http.ErrServerClosed) {
		t.Error("Serve:", err)
	}
	for _, g := range []*netstream.Group{w.dialled, w.accepted} {
		kit.Eventually(t, "all streams are closed", func() bool { return g.Stats().Streams == 0 })
	}
}

// do sends body and checks that the answer is its checksum and that the protocol is the one that was asked for.
func (w *web) do(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.url+"/sum", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := w.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	want := fmt.Sprintf("%x", sha256.Sum256(body))
	if major := 1 + btoi(w.protocol.http2); resp.ProtoMajor != major {
		return fmt.Errorf("%s, want HTTP/%d", resp.Proto, major)
	}
	if resp.StatusCode != http.StatusOK || string(got) != want {
		return fmt.Errorf("%s: %q, want %q", resp.Status, got, want)
	}
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// sum answers with the checksum of what was sent.
func sum(w http.ResponseWriter, r *http.Request) {
	h := sha256.New()
	if _, err := io.Copy(h, r.Body); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	fmt.Fprintf(w, "%x", h.Sum(nil))
}

func TestHTTPManyRequestsAtOnce(t *testing.T) {
	const clients, requests = 40, 10
	eachProtocol(t, http.HandlerFunc(sum), func(t *testing.T, w *web) {
		// net/http dials for each request until it knows that a server speaks HTTP/2, so this one goes ahead.
		if err := w.do(t.Context(), []byte("first")); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				random := mathrand.New(mathrand.NewSource(int64(i)))
				for range requests {
					body := make([]byte, random.Intn(20_000))
					random.Read(body)
					if err := w.do(t.Context(), body); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if w.protocol.http2 {
			if n := w.dialled.Stats().Streams; n > 2 {
				t.Errorf("HTTP/2 used %d connections", n)
			}
		}
	})
}

// randomBody is 8 MiB of noise, more than all the buffers on the way hold.
var randomBody = sync.OnceValue(func() []byte {
	body := make([]byte, 8<<20)
	mathrand.New(mathrand.NewSource(9)).Read(body)
	return body
})

func TestHTTPLargeBodies(t *testing.T) {
	handler := http.NewServeMux()
	handler.HandleFunc("/sum", sum)
	handler.HandleFunc("/body", func(w http.ResponseWriter, r *http.Request) { w.Write(randomBody()) })
	eachProtocol(t, handler, func(t *testing.T, w *web) {
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := w.do(t.Context(), randomBody()); err != nil {
					t.Error("upload:", err)
				}
			})
			wg.Go(func() {
				resp, err := w.client.Get(w.url + "/body")
				if err != nil {
					t.Error("download:", err)
					return
				}
				defer resp.Body.Close()
				h := sha256.New()
				n, err := io.Copy(h, resp.Body)
				if want := sha256.Sum256(randomBody()); err != nil || !bytes.Equal(h.Sum(nil), want[:]) {
					t.Errorf("download: %d bytes, %v, checksums differ", n, err)
				}
			})
		}
		wg.Wait()
	})
}

// Shutdown lets a request that is being served finish, and then ends.
func TestHTTPShutdownLetsRequestsFinish(t *testing.T) {
	entered, leave := make(chan struct{}, 1), make(chan struct{}, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-leave
		sum(w, r)
	})
	eachProtocol(t, handler, func(t *testing.T, w *web) {
		answered := make(chan error, 1)
		go func() { answered <- w.do(t.Context(), []byte("slow")) }()
		kit.Within(t, "the request", entered)
		closed, down := make(chan struct{}), make(chan error, 1)
		w.server.RegisterOnShutdown(sync.OnceFunc(func() { close(closed) })) // Shutdown comes twice
		go func() { down <- w.server.Shutdown(context.Background()) }()
		kit.Within(t, "the listener to be closed", closed)
		select {
		case err := <-down:
			t.Error("Shutdown did not wait:", err)
		default:
		}
		leave <- struct{}{}
		if err := kit.Within(t, "the answer", answered); err != nil {
			t.Error(err)
		}
		if err := kit.Within(t, "Shutdown", down); err != nil {
			t.Error("Shutdown:", err)
		}
		if err := w.do(t.Context(), nil); err == nil {
			t.Error("a request after Shutdown succeeded")
		}
	})
}

// A request that its context ends while the answer is on its way takes nothing else with it.
func TestHTTPCancelledRequest(t *testing.T) {
	handler := http.NewServeMux()
	handler.HandleFunc("/sum", sum)
	handler.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(randomBody()[:1<<16]); err != nil {
				break
			}
		}
		// A handler that returned would end the answer, and a client over TLS could read that end between its close_notify
		// and the close of its connection.
		panic(http.ErrAbortHandler)
	})
	eachProtocol(t, handler, func(t *testing.T, w *web) {
		ctx, cancel := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.url+"/endless", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := w.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if _, err := io.CopyN(io.Discard, resp.Body, 1<<20); err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("read after the cancel: %v", err)
		}
		if err := w.do(t.Context(), []byte("next")); err != nil {
			t.Error("the next request:", err)
		}
	})
}

// A server that is closed at once leaves its clients with an error and nothing open.
func TestHTTPServerClosed(t *testing.T) {
	entered := make(chan struct{}, 1)
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entered <- struct{}{}
		<-r.Context().Done()
	})
	eachProtocol(t, handler, func(t *testing.T, w *web) {
		answered := make(chan error, 1)
		go func() { answered <- w.do(t.Context(), nil) }()
		kit.Within(t, "the request", entered)
		if err := w.server.Close(); err != nil {
			t.Error("Close:", err)
		}
		if err := kit.Within(t, "the answer", answered); err == nil {
			t.Error("a request that was cut off succeeded")
		}
	})
}
