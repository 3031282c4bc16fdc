package encrypted_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// eachPlain runs f for every way to connect two streams that have made no handshake.
func eachPlain(t *testing.T, f func(t *testing.T, c kit.ConnCase)) {
	t.Helper()
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.TLS() {
			t.Skip("they have made it")
		}
		f(t, c)
	})
}

func TestAuthenticateOnEveryEngine(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		client, server := c.Pair(t, nil, nil)
		for _, s := range []*netstream.NetworkStream{client, server} {
			if _, ok := s.ConnectionState(); ok || s.IsAuthenticated() || s.IsEncrypted() || s.IsServer() || s.SslProtocol() != 0 {
				t.Error("a plain stream says that it is authenticated")
			}
		}
		kit.MustAuthenticate(t, client, server)
		if !client.IsAuthenticated() || !client.IsEncrypted() || client.IsServer() || !server.IsServer() ||
			client.SslProtocol() != tls.VersionTLS13 || client.NegotiatedCipherSuite() == 0 {
			t.Error("the properties are wrong")
		}
		if state, ok := server.ConnectionState(); !ok || !state.HandshakeComplete {
			t.Error("no connection state")
		}
		data := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			for _, way := range [][2]*netstream.NetworkStream{{client, server}, {server, client}} {
				sent := make(chan error, 1)
				go func() { sent <- st.Write(way[0], data) }()
				got := make([]byte, 0, len(data))
				p := make([]byte, 10_000)
				for len(got) < len(data) {
					n, err := st.Read(way[1], p)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, p[:n]...)
				}
				if err := <-sent; err != nil || !bytes.Equal(got, data) {
					t.Fatal("something else came", err)
				}
			}
		})
		if err := client.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("after close_notify: %d, %v", n, err)
		}
		if _, err := server.Write([]byte("still open")); err != nil {
			t.Error(err)
		}
		if n, err := client.Read(make([]byte, 20)); n != 10 || err != nil {
			t.Error(n, err)
		}
	})
}

func TestAuthenticateArguments(t *testing.T) {
	client, _ := netstream.Pipe(nil)
	t.Cleanup(func() { client.Close() })
	good, server := kit.TLSConfigs()
	var null *netstream.ArgumentNullError
	var argument *netstream.ArgumentError
	var noContext context.Context
	if err := client.AuthenticateAsClient(noContext, good); !errors.As(err, &null) || null.ParamName != "ctx" {
		t.Error(err)
	}
	if err := client.AuthenticateAsClient(t.Context(), nil); !errors.As(err, &null) || null.ParamName != "config" {
		t.Error(err)
	}
	if err := client.AuthenticateAsServer(t.Context(), &tls.Config{}); !errors.As(err, &argument) {
		t.Error("a server without a certificate:", err)
	}
	argument = nil
	if err := client.AuthenticateAsClient(t.Context(), &tls.Config{}); !errors.As(err, &argument) {
		t.Error("a client without a name:", err)
	}
	if _, err := client.Write([]byte("in the clear")); err != nil {
		t.Error("an argument error has changed the stream:", err)
	}
	again := good.Clone()
	again.Renegotiation = tls.RenegotiateOnceAsClient
	if err := client.AuthenticateAsClient(t.Context(), again); !errors.As(err, &argument) {
		t.Error("renegotiation:", err)
	}
	conn, peer := net.Pipe()
	defer peer.Close()
	open := kit.MustNew(t, conn, &netstream.Config{LeaveOpen: true})
	if err := open.AuthenticateAsClient(t.Context(), good); !errors.As(err, &argument) {
		t.Error("LeaveOpen:", err)
	}
	open.Close()
	if _, err := netstream.New(conn, &netstream.Config{TLS: good}); !errors.As(err, &argument) {
		t.Error("New:", err)
	}
	conn.Close()
	if _, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{TLS: &tls.Config{}}); !errors.As(err, &argument) {
		t.Error("Listen:", err)
	}
	client.Close()
	if err := client.AuthenticateAsServer(t.Context(), server); !errors.Is(err, net.ErrClosed) {
		t.Error("closed:", err)
	}
}

func TestAuthenticateNeedsAnIdleStream(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		client, server := c.Pair(t, nil, nil)
		clientConfig, serverConfig := kit.TLSConfigs()
		var invalid *netstream.InvalidOperationError
		ar, err := server.BeginRead(make([]byte, 1), 0, 1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := server.AuthenticateAsServer(t.Context(), serverConfig); !errors.As(err, &invalid) {
			t.Error("with a read pending:", err)
		}
		if _, err := client.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		if n, err := server.EndRead(ar); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		ar, err = server.BeginAuthenticateAsServer(serverConfig, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		for what, err := range map[string]error{
			"read":    second(server.Read(make([]byte, 1))),
			"write":   second(server.Write([]byte("x"))),
			"begin":   second(server.BeginWrite([]byte("x"), 0, 1, nil, nil)),
			"FIN":     server.CloseWrite(),
			"a third": server.AuthenticateAsServer(t.Context(), serverConfig),
		} {
			if !errors.As(err, &invalid) {
				t.Errorf("%s during the handshake: %v", what, err)
			}
		}
		if err := client.AuthenticateAsClient(t.Context(), clientConfig); err != nil {
			t.Fatal(err)
		}
		if err := server.EndAuthenticateAsServer(ar); err != nil {
			t.Fatal(err)
		}
		if err := server.EndAuthenticateAsServer(ar); !errors.As(err, &invalid) {
			t.Error("a second End:", err)
		}
		if err := server.AuthenticateAsServer(t.Context(), serverConfig); !errors.As(err, &invalid) {
			t.Error("a second handshake:", err)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestBeginAuthenticate(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		client, server := c.Pair(t, nil, nil)
		clientConfig, serverConfig := kit.TLSConfigs()
		results := make(chan error, 2)
		_, err := client.BeginAuthenticateAsClient(clientConfig, func(ar netstream.AsyncResult) {
			if ar.AsyncState() != "client" || !ar.IsCompleted() {
				results <- errors.New("the result is another one")
			}
			results <- client.EndAuthenticateAsClient(ar)
		}, "client")
		if err != nil {
			t.Fatal(err)
		}
		ar, err := server.BeginAuthenticateAsServer(serverConfig, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		ar.AsyncWaitHandle().WaitOne()
		if err := server.EndAuthenticateAsClient(ar); err == nil {
			t.Error("the client's End takes the server's result")
		}
		if err := server.EndAuthenticateAsServer(ar); err != nil {
			t.Error(err)
		}
		if err := <-results; err != nil {
			t.Error(err)
		}
	})
}

// TestAuthenticateFails lets the handshake fail in several ways: AuthenticationError now and at every later call.
func TestAuthenticateFails(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		_, serverConfig := kit.TLSConfigs()
		stranger := &tls.Config{ServerName: "127.0.0.1", RootCAs: x509.NewCertPool()}
		for name, f := range map[string]struct {
			peer func(s *netstream.NetworkStream)
			want func(err error) bool
		}{
			"refused": {
				func(s *netstream.NetworkStream) { s.AuthenticateAsClient(context.Background(), stranger) },
				func(err error) bool { var a tls.AlertError; return errors.As(err, &a) && a == 42 },
			},
			"plain": {
				func(s *netstream.NetworkStream) { s.Write([]byte("GET / HTTP/1.1\r\n\r\n")) },
				func(err error) bool { var h tls.RecordHeaderError; return errors.As(err, &h) && h.Conn == nil },
			},
			"end": {
				func(s *netstream.NetworkStream) { s.CloseWrite() },
				func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) },
			},
			"close_notify in the clear": {
				func(s *netstream.NetworkStream) { s.Write([]byte{21, 3, 1, 0, 2, 1, 0}) },
				func(err error) bool { return errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) },
			},
		} {
			client, server := c.Pair(t, nil, nil)
			go f.peer(client)
			err := server.AuthenticateAsServer(t.Context(), serverConfig)
			wantAuthenticationError(t, name, err)
			if !f.want(err) {
				t.Errorf("%s: %v", name, err)
			}
			wantAuthenticationError(t, name, second(server.Read(make([]byte, 1))))
			wantAuthenticationError(t, name, second(server.BeginWrite([]byte("x"), 0, 1, nil, nil)))
			wantAuthenticationError(t, name, server.AuthenticateAsServer(t.Context(), serverConfig))
			server.Close()
			if _, err := server.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
				t.Errorf("%s, closed: %v", name, err)
			}
		}
		client, server := c.Pair(t, nil, nil)
		go server.AuthenticateAsServer(context.Background(), serverConfig)
		err := client.AuthenticateAsClient(t.Context(), stranger)
		wantAuthenticationError(t, "the one that refuses", err)
		var verify *tls.CertificateVerificationError
		if !errors.As(err, &verify) {
			t.Error(err)
		}
	})
}

func wantAuthenticationError(t *testing.T, what string, err error) {
	t.Helper()
	var e *netstream.AuthenticationError
	if !errors.As(err, &e) {
		t.Errorf("%s: %T %v", what, err, err)
	}
}

// TestAuthenticateStopped ends a handshake whose peer is silent: by a context, the deadline, the limit, Close.
func TestAuthenticateStopped(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		_, serverConfig := kit.TLSConfigs()
		start := func(cfg *netstream.Config, ctx context.Context) (*netstream.NetworkStream, chan error) {
			_, s := c.Pair(t, cfg, cfg)
			over := make(chan error, 1)
			go func() { over <- s.AuthenticateAsServer(ctx, serverConfig) }()
			return s, over
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, over := start(nil, ctx)
		cancel()
		err := <-over
		wantAuthenticationError(t, "context", err)
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		why := errors.New("no longer needed")
		_, over = start(nil, causedContext(t, why))
		err = <-over
		wantAuthenticationError(t, "context with a cause", err)
		if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Error("a context with a cause:", err)
		}
		s, over := start(nil, t.Context())
		s.SetDeadline(time.Now().Add(time.Millisecond))
		wantTimeout(t, "deadline", <-over)
		_, over = start(&netstream.Config{HandshakeTimeout: time.Millisecond}, t.Context())
		wantTimeout(t, "limit", <-over)
		_, s = c.Pair(t, nil, nil)
		ar, err := s.BeginAuthenticateAsServer(serverConfig, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if err := s.EndAuthenticateAsServer(ar); !errors.Is(err, net.ErrClosed) {
			t.Error("Close:", err)
		}
	})
}

// causedContext returns a context that was cancelled with a cause.
func causedContext(t *testing.T, why error) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	return ctx
}

func wantTimeout(t *testing.T, what string, err error) {
	t.Helper()
	wantAuthenticationError(t, what, err)
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("%s: %v is no timeout", what, err)
	}
}

func TestDialAndListenTLS(t *testing.T) {
	clientConfig, serverConfig := kit.TLSConfigs()
	clientConfig = clientConfig.Clone()
	clientConfig.ServerName = "" // taken from the address
	for _, e := range []netstream.Engine{netstream.EngineAuto, netstream.EnginePortable} {
		t.Run(e.String(), func(t *testing.T) {
			l, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{TLS: serverConfig, Engine: e})
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			go echoStreams(l)
			for i := range 20 {
				s, err := netstream.Dial(t.Context(), "tcp", l.Addr().String(), &netstream.Config{TLS: clientConfig, Engine: e})
				if err != nil {
					t.Fatal(err)
				}
				text := fmt.Sprint("message ", i)
				if _, err := s.Write([]byte(text)); err != nil {
					t.Fatal(err)
				}
				got := make([]byte, len(text))
				if _, err := io.ReadFull(s, got); err != nil || string(got) != text {
					t.Fatal(err, string(got))
				}
				s.Close()
			}
		})
	}
}

// echoStreams accepts streams and returns what comes.
func echoStreams(l *netstream.Listener) {
	for {
		s, err := l.AcceptStream()
		if err != nil {
			return
		}
		go func() {
			io.Copy(s, struct{ io.Reader }{s})
			s.Close()
		}()
	}
}
