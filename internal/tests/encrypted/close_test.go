package encrypted_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
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

// An end that waits for room is not lost to what was not meant for it: a deadline, or a Shutdown that waits for a second. After
// close_notify comes the end of the connection's half.
func TestCloseWriteIsInterrupted(t *testing.T) {
	const size, wire = 1024, 1024 + 22 // of data, and on the wire with TLS 1.3
	kit.TLSConfigs()                   // its once must not belong to a bubble
	for name, interrupt := range map[string]func(s *netstream.NetworkStream) error{
		"deadline": func(s *netstream.NetworkStream) error { return s.SetWriteDeadline(time.Unix(1, 0)) },
		"Shutdown": func(s *netstream.NetworkStream) error {
			if err := s.Socket().Shutdown(netstream.ShutdownSend); !errors.Is(err, os.ErrDeadlineExceeded) {
				return errors.Join(errors.New("the end is not out, and Shutdown does not say so"), err)
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			kit.InBubble(t, nil, func(t *testing.T, a, b *netstream.NetworkStream) {
				peer := kit.MustAuthenticateWith(t, a, b)
				kit.Must(t, a.Socket().SetWriteBuffer(wire))
				_, err := a.Write(make([]byte, size)) // it is full
				kit.Must(t, err)
				kit.Must(t, a.CloseWrite())
				synctest.Wait()
				kit.Must(t, interrupt(a))
				drained := kit.Async(func() error { return a.Drain(t.Context()) })
				synctest.Wait()
				if len(drained) > 0 {
					t.Error("Drain returns, and the end is not out")
				}
				kit.ReadExactly(t, peer, make([]byte, size))
				if n, err := peer.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("close_notify: %d, %v", n, err)
				}
				kit.Must(t, b.SetReadDeadline(time.Now().Add(time.Minute)))
				if n, err := b.Read(make([]byte, 1)); n != 0 || err != io.EOF {
					t.Errorf("the end of the half: %d, %v", n, err)
				}
				kit.Must(t, <-drained)
			})
		})
	}
}
