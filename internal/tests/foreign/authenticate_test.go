package foreign_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A handshake is stopped while its call on the connection does not come back, whatever is done about that: nothing ends but
// the handshake, when the call comes back after all.
func TestAuthenticateOverAStuckRead(t *testing.T) {
	kit.TLSConfigs() // its once must not belong to a bubble
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		s, _ := newRude(t, nil, func(c *rude) {
			c.read = func([]byte) (int, error) { <-release; return 0, errors.New("at last") }
			c.setDeadline = func(string, time.Time) error { return nil }
		})
		ctx, cancel := context.WithCancel(t.Context())
		_, config := kit.TLSConfigs()
		over := kit.Async(func() error { return s.AuthenticateAsServer(ctx, config) })
		synctest.Wait()
		cancel()
		time.Sleep(time.Minute) // the connection is closed meanwhile, to no avail
		if err := s.Err(); err != nil {
			t.Error("nobody has closed the stream:", err)
		}
		close(release)
		if err := <-over; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		wantOver(t, s)
	})
}
