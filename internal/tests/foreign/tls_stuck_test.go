package foreign_test

import (
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// noteClose is a connection that remembers when it was closed.
type noteClose struct {
	net.Conn
	mu sync.Mutex
	at time.Time // guarded by mu
}

func (c *noteClose) Close() error {
	c.mu.Lock()
	if c.at.IsZero() {
		c.at = time.Now()
	}
	c.mu.Unlock()
	return c.Conn.Close()
}

func (c *noteClose) closedAt() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// The peer does not read, and a call is stuck in crypto/tls, which has its lock: Close returns within its seconds, and the
// connection below is closed, whatever the call may still wait for. In a bubble, where whoever waits for a lock
// stops the clock, Close may not wait for that lock either.
func TestForeignTLSCloseUnderAStuckCall(t *testing.T) {
	kit.TLSConfigs() // its once must not belong to a bubble
	for _, stuck := range []string{"CloseWrite", "Write", "Write and CloseWrite"} {
		t.Run(stuck, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := net.Pipe() // without a reader it is full
				below := &noteClose{Conn: a}
				client, _ := kit.MustTLSOver(t, below, b)
				defer b.Close()
				s := kit.MustNew(t, client, nil)
				var wrote <-chan error
				if stuck != "CloseWrite" {
					_, wrote = kit.Begin(t, s, kit.Patterned(1, 1<<20))
				}
				if stuck != "Write" {
					kit.Must(t, s.CloseWrite())
				}
				synctest.Wait() // until it is stuck
				begun := time.Now()
				kit.Must(t, s.Close())
				if took := time.Since(begun); took > 2*time.Second {
					t.Errorf("Close took %v", took)
				}
				time.Sleep(time.Minute)
				if took := below.closedAt().Sub(begun); took < 0 || took > 7*time.Second { // crypto/tls has 5 s for its alert
					t.Errorf("the connection below was closed after %v", took)
				}
				if wrote != nil && <-wrote == nil {
					t.Error("a write that nobody has read succeeded")
				}
			})
		})
	}
}
