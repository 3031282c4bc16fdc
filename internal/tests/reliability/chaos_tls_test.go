package reliability_test

import (
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// chaosHandshake is how long a handshake may take: the proxy hangs in the middle of some.
const chaosHandshake = 3 * time.Second

// TestChaosTLS is TestChaos with TLS: the proxy stands between the two ends, does its harm to handshakes and records alike, and
// says in the clear which of its connections it is. A clean end is one that the sender has signed.
func TestChaosTLS(t *testing.T) {
	testChaos(t, true)
}

// handshake makes the handshake of s, where there is to be one.
func (r *chaos) handshake(s *netstream.NetworkStream, server bool) error {
	client, config := kit.TLSConfigs()
	switch {
	case !r.tls:
		return nil
	case server:
		return s.AuthenticateAsServer(context.Background(), config)
	}
	return s.AuthenticateAsClient(context.Background(), client)
}

// mayFail complains about a handshake that failed although nobody did any harm. A busy machine may need longer than it has.
func (r *chaos) mayFail(l *link, err error) {
	timeout, ok := err.(net.Error)
	if slow := ok && timeout.Timeout(); !slow && !l.harmed.Load() {
		r.fail("a handshake on an undisturbed connection: %v", err)
	}
}

// excuse is for a conversation whose client has made its handshake, which says nothing about the server's.
func (r *chaos) excuse(l *link) {
	err, _ := r.refusals.Load(l.number)
	r.mayFail(l, err.(error))
	l.harmed.Store(true)
}

// abandon ends a conversation whose client could not make its handshake.
func (r *chaos) abandon(l *link, s *netstream.NetworkStream, err error) {
	r.mayFail(l, err)
	s.Close()
	l.harmed.Store(true)
	l.cut.Store(true)
	l.end()
	r.mu.Lock()
	r.unshaken++
	for i := range l.pumps {
		for _, kind := range l.pumps[i].happened {
			r.kinds[kind]++
		}
	}
	r.mu.Unlock()
}

// judgeSealed compares what one end has sent with what the other end has read of it, over TLS: the proxy cannot say.
func (r *chaos) judgeSealed(from, to *talker) {
	if to.readErr != io.EOF {
		return
	}
	if in := &to.in; in.bytes != from.sum.BytesOut || len(in.buf) > 0 {
		r.fail("a signed end after %d bytes, %d of them of half a frame; %d were sent: %v", in.bytes, len(in.buf), from.sum.BytesOut, from.s.WriteErr())
	}
}
