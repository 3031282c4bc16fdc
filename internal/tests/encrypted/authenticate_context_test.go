package encrypted_test

import (
	"context"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// watchedContext is a caller's context that looks at the stream whenever it is asked for something.
type watchedContext struct {
	context.Context
	stream *netstream.NetworkStream
}

func (c watchedContext) Value(key any) any {
	c.stream.Stats()
	return c.Context.Value(key)
}

func (c watchedContext) Done() <-chan struct{} {
	c.stream.Stats()
	return c.Context.Done()
}

// A handshake that Close ends runs code of the caller's context, and no lock is held then.
func TestAuthenticate_ClosedUnderAContextThatUsesTheStream(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.TLS() {
			t.Skip("it is the handshake that is looked at")
		}
		s, peer := c.Pair(t, nil, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		client, _ := kit.TLSConfigs()
		over := kit.Async(func() error { return s.AuthenticateAsClient(watchedContext{ctx, s}, client) })
		kit.HasInput(t, peer) // the handshake has begun
		kit.CloseSoon(t, s)
		if err := kit.Within(t, "the handshake", over); err == nil {
			t.Error("it succeeds")
		}
	})
}
