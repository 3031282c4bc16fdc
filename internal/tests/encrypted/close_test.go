package encrypted_test

import (
	"crypto/tls"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Close does not wait for a callback of the tls.Config for longer than for a connection that does not answer: the callback may
// wait for anything, and may be what calls it.
func TestCloseInACallback(t *testing.T) {
	kit.TLSConfigs() // its once must not belong to a bubble
	kit.InBubble(t, nil, func(t *testing.T, client, server *netstream.NetworkStream) {
		clientConfig, _ := kit.TLSConfigs()
		go client.AuthenticateAsClient(t.Context(), clientConfig)
		begun := time.Now()
		err := server.AuthenticateAsServer(t.Context(), serverWith(func(*tls.ClientHelloInfo) error { return server.Close() }))
		if !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		kit.Took(t, "Close", begun, time.Second)
		<-server.Done()
	})
}

// Done is closed behind the callback of a handshake that Close has ended.
func TestDoneBehindTheCallbackOfAHandshake(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		_, server := c.Pair(t, nil, nil)
		_, serverConfig := kit.TLSConfigs()
		release := make(chan struct{})
		returned := false
		ar, err := server.BeginAuthenticateAsServer(serverConfig, func(netstream.AsyncResult) { <-release; returned = true }, nil)
		kit.Must(t, err)
		server.Close()
		if err := server.EndAuthenticateAsServer(ar); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		select {
		case <-server.Done():
			t.Error("Done is closed while the callback runs")
		default:
		}
		close(release)
		kit.Within(t, "Done", server.Done())
		if !returned {
			t.Error("the callback has not returned")
		}
	})
}
