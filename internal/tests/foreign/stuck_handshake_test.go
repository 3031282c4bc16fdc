package foreign_test

import (
	"context"
	"crypto/tls"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A handshake of the stream's own that was given up, over a connection whose call does not come back, closes the connection
// under it, as Close does. The stream is open all the same, Close waits for nothing, and the handshake ends when the call does.
func TestForeignHandshakeThatIsGivenUpUnderAStuckCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, peer := newRude(t, nil, func(c *rude) {
			c.read = func(p []byte) (int, error) { <-release; return c.Conn.Read(p) }
			c.setDeadline = func(string, time.Time) error { return nil }
		})
		go func() { // it takes the hello, and never answers
			for p := make([]byte, 1000); ; {
				if _, err := peer.Read(p); err != nil {
					return
				}
			}
		}()
		ctx, cancel := context.WithCancel(t.Context())
		done := kit.Async(func() error { return s.AuthenticateAsClient(ctx, &tls.Config{InsecureSkipVerify: true}) })
		synctest.Wait()
		cancel()
		time.Sleep(time.Minute)
		select {
		case err := <-done:
			t.Fatalf("the handshake is over, and its buffer is lent: %v", err)
		default:
		}
		began := time.Now()
		kit.Must(t, s.Close())
		kit.Took(t, "Close", began, 0)
		close(release)
		kit.WantIs(t, "the handshake", kit.Within(t, "the handshake", done), context.Canceled)
		kit.Within(t, "Done", s.Done())
	})
}
