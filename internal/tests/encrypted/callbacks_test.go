package encrypted_test

import (
	"crypto/tls"
	"errors"
	"net"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// serverWith is the server's config with a callback that is asked for it.
func serverWith(f func(hello *tls.ClientHelloInfo) error) *tls.Config {
	_, server := kit.TLSConfigs()
	server = server.Clone()
	server.GetConfigForClient = func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return nil, f(hello) }
	return server
}

// A callback of the tls.Config may close the connection that it is shown, as it could that of net. The error is its own, or
// says what has happened.
func TestCallbackClosesItsConnection(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		denied := errors.New("denied")
		for _, want := range []error{denied, nil} {
			client, server := c.Pair(t, nil, nil)
			clientConfig, _ := kit.TLSConfigs()
			over := kit.Async(func() error { return client.AuthenticateAsClient(t.Context(), clientConfig) })
			err := server.AuthenticateAsServer(t.Context(), serverWith(func(hello *tls.ClientHelloInfo) error {
				hello.Conn.Close()
				return want
			}))
			wantAuthenticationError(t, "the server's handshake", err)
			if err.Error() == "" || want != nil && !errors.Is(err, want) {
				t.Errorf("%v, want %v", err, want)
			}
			server.Close()
			if err := kit.Within(t, "the client", over); err == nil {
				t.Error("the client's handshake succeeds")
			}
		}
	})
}

// A callback may keep the connection that it is shown. When the stream is closed its descriptor is somebody else's.
func TestCallbackKeepsItsConnection(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		client, server := c.Pair(t, nil, nil)
		clientConfig, _ := kit.TLSConfigs()
		var kept net.Conn
		over := kit.Async(func() error {
			return server.AuthenticateAsServer(t.Context(), serverWith(func(hello *tls.ClientHelloInfo) error {
				kept = hello.Conn
				return nil
			}))
		})
		kit.Must(t, client.AuthenticateAsClient(t.Context(), clientConfig))
		kit.Must(t, kit.Within(t, "the server", over))
		raw, err := kept.(syscall.Conn).SyscallConn()
		kit.Must(t, err)
		called := false
		look := func(uintptr) { called = true }
		if err := raw.Control(look); called == errors.Is(err, errors.ErrUnsupported) {
			t.Error("open:", called, err)
		}
		server.Close()
		called = false
		if err := raw.Control(look); called || !errors.Is(err, net.ErrClosed) {
			t.Errorf("closed: called %v, %v", called, err)
		}
	})
}

// SendQueue may be asked at any time, in the middle of a handshake as well.
func TestSendQueueDuringAHandshake(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		client, server := c.Pair(t, nil, nil)
		over := make(chan struct{})
		asked := kit.Async(func() error {
			for {
				select {
				case <-over:
					return nil
				default:
					server.Socket().SendQueue()
				}
			}
		})
		kit.MustAuthenticate(t, client, server)
		close(over)
		kit.Must(t, kit.Within(t, "the last question", asked))
	})
}
