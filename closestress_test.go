package netstream_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

var stress = flag.Int("stress", 0, "rounds of TestCloseStress, over all engines; 0: as many as two seconds allow")

// stressEnds are all the ways to end a stream. Each says what it may return; raceEnds of closerace_test.go does not.
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
		ctx, cancel := context.WithTimeout(ctxNever, 200*time.Microsecond)
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
	var cases []connCase
	for _, c := range connCases {
		if c.usable() {
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
func stressRound(t *testing.T, c connCase, rng *rand.Rand) int64 {
	g := new(netstream.Group)
	a, b, err := c.stressPair(&netstream.Config{Group: g, MaxPendingBytes: 400_000, Overflow: netstream.Overflow(rng.IntN(3))})
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
				t.Errorf("%s: %s: %v", c.name, name, err)
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
	if !returned(t, c.name+": the calls", async(func() error { wg.Wait(); return nil })) {
		return 0
	}
	a.Close()
	returned(t, c.name+": Done", a.Done())
	if w, n := a.Pending(); w != 0 || n != 0 || a.Stats().OldestPending != 0 {
		t.Errorf("%s: %d writes, %d bytes are pending for ever", c.name, w, n)
	}
	if err := a.Err(); err == nil {
		t.Errorf("%s: a closed stream does not say why", c.name)
	}
	b.Close() // a lingers until its peer has closed
	if other, ok := b.(*netstream.NetworkStream); ok {
		returned(t, c.name+": Done of the other end", other.Done())
	}
	if n := g.Stats().Streams; n != 0 {
		t.Errorf("%s: %d streams are left in the group after Done", c.name, n)
	}
	return int64(calls) + 2
}

// stressPair is pair for a million rounds: the peer is a plain connection, and nothing is kept until the test ends.
func (c connCase) stressPair(cfg *netstream.Config) (*netstream.NetworkStream, net.Conn, error) {
	if c.network == "pipe" {
		a, b := netstream.Pipe(c.config(cfg))
		return a, b, nil
	}
	ca, cb, err := c.plainPair()
	if err != nil {
		return nil, nil, err
	}
	s, err := netstream.New(ca, c.config(cfg))
	return s, cb, err
}

// plainPair is netPair without a test to clean up after it.
func (c connCase) plainPair() (client, server net.Conn, err error) {
	address := "127.0.0.1:0"
	if c.network == "unix" {
		dir, err := os.MkdirTemp("", "ns")
		if err != nil {
			return nil, nil, err
		}
		defer os.RemoveAll(dir)
		address = dir + "/s"
	}
	ln, err := net.Listen(c.network, address)
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	if client, err = net.Dial(c.network, ln.Addr().String()); err != nil {
		return nil, nil, err
	}
	server, err = ln.Accept()
	return client, server, err
}

// returned is within for goroutines that must not end the test. A round takes a millisecond.
func returned[T any](t *testing.T, what string, ch <-chan T) bool {
	select {
	case <-ch:
		return true
	case <-time.After(patience):
		stacks := make([]byte, 1<<20)
		t.Errorf("not within %v: %s\n%s", patience, what, slices.Clone(stacks[:runtime.Stack(stacks, true)]))
		return false
	}
}

// A write that is cancelled gives its room at once to whoever waits for it, although nothing moves on the connection.
func TestCancelLetsInWhoWaitsForRoom(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, &netstream.Config{MaxPendingWrites: 80}, nil)
		small(t, a, b)
		plug(t, a)
		var last netstream.AsyncResult
		for range 79 { // more than the portable engine holds on to
			last = mustBegin(t, a, []byte("x"), func(netstream.AsyncResult) {})
		}
		waiting := async(func() error { return a.WaitRoom(ctxNever, 1) })
		eventually(t, "WaitRoom waits", func() bool { return a.RoomWaiters() == 1 })
		if !a.Cancel(last) {
			t.Fatal("a queued write was not cancelled")
		}
		if err := within(t, "WaitRoom after the cancel", waiting); err != nil {
			t.Fatal(err)
		}
	})
}
