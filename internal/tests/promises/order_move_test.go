package promises_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A stream of EngineAuto moves to the loop at its first asynchronous operation that has to wait, and whatever else
// is under way at that moment comes with it: blocking calls, queues, cancels, questions about the socket. Every
// stream moves once, so there are many.
func TestPromise03_NothingIsLostWhileAStreamMovesToTheLoop(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		c := kit.ConnCase{Name: "auto-" + network, Engine: netstream.EngineAuto, Network: network}
		if !c.Usable() || !kit.HaveEpoll {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			for round := range 60 {
				a, b := c.Pair(t, nil, nil)
				kit.SmallBuffers(t, a, b)
				moveUnderWay(t, a, b, round)
				moveUnderWay(t, b, a, round)
				if e, why := a.Socket().Engine(); e != netstream.EngineEpoll {
					t.Fatalf("the stream has not moved: %v, %s", e, why)
				}
				kit.CloseAndWait(t, a)
				kit.CloseAndWait(t, b)
			}
		})
	}
}

// moveUnderWay writes to a in all ways at once and reads at b in all ways at once.
func moveUnderWay(t *testing.T, a, b *netstream.NetworkStream, round int) {
	t.Helper()
	const size = 60_000
	blocking, begun := kit.Patterned(round, size), kit.Patterned(round+1, size)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := a.Write(blocking); err != nil {
			t.Errorf("Write: %v", err)
		}
	})
	wg.Go(func() {
		for i := range 6 {
			part := begun[i*size/6 : (i+1)*size/6]
			ar, err := a.BeginWrite(part, 0, len(part), nil, nil)
			if err == nil {
				err = a.EndWrite(ar)
			}
			if err != nil {
				t.Errorf("BeginWrite: %v", err)
			}
		}
	})
	wg.Go(func() { // looks use the connection beside both directions
		for range 20 {
			if _, err := a.DataAvailable(); err != nil {
				t.Errorf("DataAvailable: %v", err)
			}
			a.Socket().SetNoDelay(true)
		}
	})
	wg.Go(func() { // reads of a that never get anything, since b does not write
		for i := range 20 {
			if i%2 == 0 {
				ar, err := a.BeginRead(make([]byte, 1), 0, 1, nil, nil)
				if err != nil {
					t.Errorf("BeginRead: %v", err)
					return
				}
				if !a.Cancel(ar) {
					t.Error("a read that can get nothing was not cancelled")
				}
				if _, err := a.EndRead(ar); !errors.Is(err, context.Canceled) {
					t.Errorf("a cancelled read: %v", err)
				}
				continue
			}
			ctx, cancel := context.WithCancel(context.Background())
			go cancel()
			if _, err := a.ReadContext(ctx, make([]byte, 1)); !errors.Is(err, context.Canceled) {
				t.Errorf("ReadContext: %v", err)
			}
		}
	})
	counts := make([]int, 256)
	read := 0
	for i := 0; read < 2*size; i++ {
		p := make([]byte, 3000)
		var n int
		outcome := kit.Async(func() (err error) {
			n, err = kit.Styles[i%len(kit.Styles)].Read(b, p)
			return err
		})
		if err := kit.Within(t, "a read while the streams move", outcome); err != nil {
			t.Fatal(err)
		}
		for _, x := range p[:n] {
			counts[x]++
		}
		read += n
	}
	kit.Within(t, "all who write", kit.Async(func() error { wg.Wait(); return nil }))
	for _, x := range append(blocking, begun...) { // the two are mixed, but whole: see the other tests
		counts[x]--
	}
	for x, n := range counts {
		if n != 0 {
			t.Fatalf("byte %#x arrived %d times too often", x, n)
		}
	}
}
