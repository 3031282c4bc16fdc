package netstream_test

import (
	"bytes"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// audience connects so many peers to streams of that configuration, each of which reads until it has got want.
func audience(t *testing.T, count int, cfg *netstream.Config, want []byte) (streams []*netstream.NetworkStream, arrived <-chan error) {
	t.Helper()
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", cfg)
	kit.Must(t, err)
	t.Cleanup(func() { ln.Close() })
	var wg sync.WaitGroup
	failed := make(chan error, count)
	for range count {
		peer, err := net.Dial("tcp", ln.Addr().String())
		kit.Must(t, err)
		s, err := ln.AcceptStream()
		kit.Must(t, err)
		t.Cleanup(func() { s.Close(); peer.Close() })
		streams = append(streams, s)
		wg.Go(func() {
			got := make([]byte, len(want))
			if _, err := io.ReadFull(peer, got); err != nil {
				failed <- err
			} else if !bytes.Equal(got, want) {
				failed <- io.ErrNoProgress
			}
		})
	}
	return streams, kit.Async(func() error {
		wg.Wait()
		close(failed)
		return <-failed
	})
}

// A publisher that comes to many idle streams makes few system calls itself, so that what it begins next on each can
// gather: the loop sends. Everything arrives.
func TestSender_OfManyIdleStreamsTheLoopSends(t *testing.T) {
	const count, rounds = 1000, 10
	for _, engine := range []netstream.Engine{netstream.EngineAuto, netstream.EngineEpoll} {
		t.Run(engine.String(), func(t *testing.T) {
			line := kit.Patterned(1, 128)
			streams, arrived := audience(t, count, &netstream.Config{Engine: engine}, bytes.Repeat(line, rounds))
			inline, started := 0, time.Now()
			for round := range rounds {
				for _, s := range streams {
					ar, err := s.BeginWrite(line, 0, len(line), func(ar netstream.AsyncResult) { s.EndWrite(ar) }, nil)
					kit.Must(t, err)
					if round == 0 && ar.CompletedSynchronously() {
						inline++
					}
				}
				if round == 0 { // every stream was idle
					took := time.Since(started)
					credits := (runtime.GOMAXPROCS(0) + 1) * netstream.PushesAtOnce * int(took/time.Millisecond+2)
					if t.Logf("%d of %d sent by the publisher, in %v", inline, count, took); inline > credits {
						t.Errorf("the publisher sent %d of %d itself in %v", inline, count, took)
					}
				}
			}
			kit.Must(t, kit.Within(t, "every line on every peer", arrived))
		})
	}
}

// A stream of EngineAuto that is used to push, and never to read, moves to the loop as well.
func TestSender_WhoPushesMoves(t *testing.T) {
	for _, send := range []netstream.SendMode{netstream.SendNow, netstream.SendDeferred} {
		a, b := kit.ConnCases[0].Pair(t, &netstream.Config{Send: send}, nil)
		go io.Copy(io.Discard, b)
		kit.Eventually(t, "it has moved to the loop", func() bool {
			for range 20 * netstream.PushesAtOnce {
				_, done := kit.Begin(t, a, []byte("pushed"))
				kit.Must(t, kit.Within(t, "a pushed write", done))
			}
			e, _ := a.Socket().Engine()
			return e == netstream.EngineEpoll
		})
	}
}
