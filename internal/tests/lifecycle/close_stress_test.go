package lifecycle_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

var stress = flag.Int("stress", 0, "rounds of TestCloseStress, over all engines; 0: as many as two seconds allow")

// stressEnds are all the ways to end a stream. Each says what it may return; raceEnds of close_race_test.go does not.
var stressEnds = []struct {
	name string
	end  func(g *netstream.Group, s *netstream.NetworkStream) error
}{
	{"Close", func(_ *netstream.Group, s *netstream.NetworkStream) error { return never(s.Close()) }},
	{"CloseWithError", func(_ *netstream.Group, s *netstream.NetworkStream) error { return never(s.CloseWithError(errWhy)) }},
	{"Socket.Close", func(_ *netstream.Group, s *netstream.NetworkStream) error { return never(s.Socket().Close()) }},
	{"CloseTimeout at once", func(_ *netstream.Group, s *netstream.NetworkStream) error { return unsentOrNil(s.CloseTimeout(0)) }},
	{"CloseTimeout", func(_ *netstream.Group, s *netstream.NetworkStream) error {
		return unsentOrNil(s.CloseTimeout(200 * time.Microsecond))
	}},
	{"Shutdown", func(g *netstream.Group, _ *netstream.NetworkStream) error {
		ctx, cancel := context.WithTimeout(kit.CtxNever, 200*time.Microsecond)
		defer cancel()
		return unsentOrNil(g.Shutdown(ctx))
	}},
}

var errWhy = errors.New("why")

func never(err error) error {
	if err != nil {
		return errors.Join(errors.New("this returns nil, always"), err)
	}
	return nil
}

// unsentOrNil is what CloseTimeout and Shutdown may return.
func unsentOrNil(err error) error {
	var failure *netstream.IOError
	if err == nil || errors.As(err, &failure) && failure.Unsent >= 0 {
		return nil
	}
	return errors.Join(errors.New("this is no IOError with Unsent"), err)
}

// stressErrors is what the calls of raceCalls may return when the stream is ended under them in any of these ways, and
// its peer reads, does not read, or goes away.
func stressErrors(err error) bool {
	return expectedWhileClosing(err) || errors.Is(err, errWhy) || errors.Is(err, netstream.ErrDropped)
}

// Each round: a pair of streams, two ends and some of the calls, all at once. Every call returns, with a documented
// outcome; then Done is closed, nothing is pending, the group is empty, and Err says why. TestMain looks for goroutines
// and descriptors that are left over.
//
//	go test -race -run TestCloseStress -stress 1000000 -timeout 0 .
func TestCloseStress(t *testing.T) {
	var cases []kit.ConnCase
	for _, c := range kit.ConnCases {
		if c.Usable() {
			cases = append(cases, c)
		}
	}
	rounds, until := int64(*stress), time.Now().Add(2*time.Second)
	if testing.Short() {
		until = time.Now().Add(300 * time.Millisecond)
	}
	var round, calls atomic.Int64
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !t.Failed() {
				n := round.Add(1)
				if rounds > 0 && n > rounds || rounds == 0 && time.Now().After(until) {
					return
				}
				calls.Add(stressRound(t, cases[n%int64(len(cases))], rand.New(rand.NewPCG(uint64(n), 3))))
			}
		})
	}
	workers.Wait()
	t.Logf("%d rounds, %d calls", round.Load()-int64(runtime.GOMAXPROCS(0)), calls.Load())
}

// stressRound is one round; it returns how many calls it made.
func stressRound(t *testing.T, c kit.ConnCase, rng *rand.Rand) int64 {
	g := new(netstream.Group)
	a, b, err := c.StressPair(&netstream.Config{Group: g, MaxPendingBytes: 400_000, Overflow: netstream.Overflow(rng.IntN(3))})
	if err != nil {
		t.Error(err)
		return 0
	}
	var wg sync.WaitGroup
	start := make(chan struct{})
	run := func(name string, delay int, f func() error) {
		wg.Go(func() {
			<-start
			for range delay {
				runtime.Gosched()
			}
			if err := f(); !stressErrors(err) {
				t.Errorf("%s: %s: %v", c.Name, name, err)
			}
		})
	}
	calls := 4 + rng.IntN(5)
	for range calls {
		call := raceCalls[rng.IntN(len(raceCalls))]
		run(call.name, rng.IntN(20), func() error { return call.call(a) })
	}
	for range 2 {
		end := stressEnds[rng.IntN(len(stressEnds))]
		run(end.name, rng.IntN(40), func() error { return end.end(g, a) })
	}
	switch rng.IntN(3) {
	case 0:
		run("the peer reads", 0, func() error { io.Copy(io.Discard, b); return nil })
	case 1:
		run("the peer goes away", rng.IntN(40), func() error { b.Close(); return nil })
	}
	close(start)
	if !returned(t, c.Name+": the calls", kit.Async(func() error { wg.Wait(); return nil })) {
		return 0
	}
	a.Close()
	returned(t, c.Name+": Done", a.Done())
	if w, n := a.Pending(); w != 0 || n != 0 || a.Stats().OldestPending != 0 {
		t.Errorf("%s: %d writes, %d bytes are pending for ever", c.Name, w, n)
	}
	if err := a.Err(); err == nil {
		t.Errorf("%s: a closed stream does not say why", c.Name)
	}
	b.Close() // a lingers until its peer has closed
	if other, ok := b.(*netstream.NetworkStream); ok {
		returned(t, c.Name+": Done of the other end", other.Done())
	}
	if n := g.Stats().Streams; n != 0 {
		t.Errorf("%s: %d streams are left in the group after Done", c.Name, n)
	}
	return int64(calls) + 2
}

// returned is within for goroutines that must not end the test. A round takes a millisecond.
func returned[T any](t *testing.T, what string, ch <-chan T) bool {
	select {
	case <-ch:
		return true
	case <-time.After(kit.Patience):
		stacks := make([]byte, 1<<20)
		t.Errorf("not within %v: %s\n%s", kit.Patience, what, slices.Clone(stacks[:runtime.Stack(stacks, true)]))
		return false
	}
}
