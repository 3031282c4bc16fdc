package encrypted_test

import (
	"context"
	"runtime"
	"testing"
	"weak"

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

type valueKey struct{}

// valuedContext returns a context with a value, and whether somebody still keeps that.
func valuedContext(t *testing.T) (context.Context, weak.Pointer[[1 << 10]byte]) {
	value := new([1 << 10]byte)
	return context.WithValue(t.Context(), valueKey{}, value), weak.Make(value)
}

// A stream lives for longer than the call that made its handshake, and does not keep that call's context.
func TestAuthenticate_ForgetsItsContext(t *testing.T) {
	eachPlain(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		client, server := kit.TLSConfigs()
		over := kit.Async(func() error { return peer.AuthenticateAsServer(t.Context(), server) })
		ctx, kept := valuedContext(t)
		kit.Must(t, s.AuthenticateAsClient(ctx, client))
		kit.Must(t, kit.Within(t, "the server", over))
		kit.Eventually(t, "the context is collected", func() bool {
			runtime.GC()
			return kept.Value() == nil
		})
		runtime.KeepAlive(s)
	})
}
