package promises_test

import (
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// blockage is a way for a callback of a to block. It returns when release is closed, or what that leads to comes.
type blockage struct {
	name  string
	block func(a, b *netstream.NetworkStream, other netstream.AsyncResult, release <-chan struct{})
}

// blockages takes the mutex that its "mutex" callbacks wait for, held by the caller until the release.
func blockages(mu *sync.Mutex) []blockage {
	return []blockage{
		{"on a channel", func(_, _ *netstream.NetworkStream, _ netstream.AsyncResult, release <-chan struct{}) { <-release }},
		{"on a mutex", func(_, _ *netstream.NetworkStream, _ netstream.AsyncResult, _ <-chan struct{}) {
			mu.Lock()
			defer mu.Unlock()
		}},
		{"in Sleep", func(_, _ *netstream.NetworkStream, _ netstream.AsyncResult, release <-chan struct{}) {
			for {
				select {
				case <-release:
					return
				default:
					time.Sleep(50 * time.Millisecond)
				}
			}
		}},
		{"computing", func(_, _ *netstream.NetworkStream, _ netstream.AsyncResult, release <-chan struct{}) {
			for { // never gives its processor away of its own accord
				select {
				case <-release:
					return
				default: //nolint:staticcheck // to spin is the point
				}
			}
		}},
		{"in Read of the same stream", func(a, _ *netstream.NetworkStream, _ netstream.AsyncResult, _ <-chan struct{}) {
			a.Read(make([]byte, 1))
		}},
		{"in EndWrite of another write", func(a, _ *netstream.NetworkStream, other netstream.AsyncResult, _ <-chan struct{}) {
			a.EndWrite(other)
		}},
		{"in Write of the same stream", func(a, _ *netstream.NetworkStream, _ netstream.AsyncResult, _ <-chan struct{}) {
			a.Write(make([]byte, 10))
		}},
		{"in Drain", func(a, _ *netstream.NetworkStream, _ netstream.AsyncResult, _ <-chan struct{}) { a.Drain(kit.CtxNever) }},
	}
}

// endToEnd is a pair of streams.
type endToEnd struct{ a, b *netstream.NetworkStream }

func TestPromise08_ABlockedCallbackDelaysOnlyItsOwnDirection(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		others := make([]endToEnd, 100)
		for i := range others {
			others[i].a, others[i].b = c.Pair(t, nil, nil)
		}
		var mu sync.Mutex
		for _, how := range blockages(&mu) {
			t.Run(how.name, func(t *testing.T) {
				mu.Lock()
				release := make(chan struct{})
				many := 1 + runtime.GOMAXPROCS(0) // so many that each loop has one: streams go round them
				if how.name == "computing" {
					many = 1 // more would take all processors, and with them everybody's time
				}
				var blocked []endToEnd
				for range many {
					blocked = append(blocked, blockCallback(t, c, how, release))
				}
				servedInTime(t, others)
				for _, p := range blocked {
					otherDirectionGoesOn(t, p)
				}
				close(release)
				mu.Unlock()
				for _, p := range blocked {
					kit.CloseAndWait(t, p.a)
					p.b.Close()
				}
			})
		}
	})
}

// blockCallback returns a pair in whose a a write's callback has started and blocks.
func blockCallback(t *testing.T, c kit.ConnKind, how blockage, release <-chan struct{}) endToEnd {
	t.Helper()
	a, b := c.Pair(t, nil, nil)
	kit.SmallBuffers(t, a, b)
	started, plugged := make(chan struct{}), make(chan netstream.AsyncResult, 1)
	kit.MustBegin(t, a, []byte("x"), func(netstream.AsyncResult) {
		other := <-plugged
		close(started)
		how.block(a, b, other, release)
	})
	ar := kit.MustBegin(t, a, make([]byte, kit.PlugSize), nil) // what EndWrite, Write and Drain wait for
	plugged <- ar
	kit.Within(t, "the callback that blocks", started)
	return endToEnd{a, b}
}

// servedInTime has each of the pairs pass a message in both directions, with callbacks throughout. The promise is that
// nobody waits for a blocked callback longer than about 10 ms; without it they would wait for ever. 1 s leaves
// room for the race detector and a machine whose two processors are busy with other things, and of ten rounds
// one has to keep it.
func servedInTime(t *testing.T, pairs []endToEnd) {
	t.Helper()
	var took time.Duration
	for range 10 {
		start := time.Now()
		var all sync.WaitGroup
		for _, p := range pairs {
			all.Add(4)
			passMessage(t, p.a, p.b, &all)
			passMessage(t, p.b, p.a, &all)
		}
		kit.Within(t, "100 other streams while callbacks block", kit.Async(func() error { all.Wait(); return nil }))
		if took = time.Since(start); took < time.Second {
			return
		}
	}
	t.Errorf("while a callback blocks, 100 other streams take %v for a message each", took)
}

// passMessage has from send a message to to; all is done twice, by the two callbacks.
func passMessage(t *testing.T, from, to *netstream.NetworkStream, all *sync.WaitGroup) {
	t.Helper()
	message, got := kit.Patterned(1, 32), make([]byte, 32)
	kit.MustBeginRead(t, to, got, func(ar netstream.AsyncResult) {
		defer all.Done()
		if n, err := to.EndRead(ar); n != len(got) || err != nil || string(got) != string(message) {
			t.Errorf("read %d, %v", n, err)
		}
	})
	kit.MustBegin(t, from, message, func(ar netstream.AsyncResult) {
		defer all.Done()
		if err := from.EndWrite(ar); err != nil {
			t.Error(err)
		}
	})
}

// otherDirectionGoesOn checks that the reading of a stream whose write callback blocks is served, unless the callback
// itself reads, and that its peer gets what was written meanwhile.
func otherDirectionGoesOn(t *testing.T, p endToEnd) {
	t.Helper()
	got := make(chan struct{}, 2)
	note := func(netstream.AsyncResult) { got <- struct{}{} }
	kit.MustBeginRead(t, p.a, make([]byte, 1), note)
	kit.MustBeginRead(t, p.a, make([]byte, 1), note)
	for _, q := range []string{"r", "s", "t"} { // one of them is for the callback in Read
		if _, err := p.b.Write([]byte(q)); err != nil {
			t.Fatal(err)
		}
	}
	kit.Within(t, "a read's callback while a write's callback blocks", got)
	kit.Within(t, "another one", got)
	kit.ReadExactly(t, p.b, append([]byte("x"), make([]byte, kit.PlugSize)...)) // sending has gone on
}

func TestPromise08_GoexitInACallbackLeavesEverythingRunning(t *testing.T) {
	eachSide(t, func(t *testing.T, a *netstream.NetworkStream, begin func(netstream.AsyncCallback) (netstream.AsyncResult, error), end func(netstream.AsyncResult) error) {
		endings := map[string]func(){
			"Goexit": runtime.Goexit,
			"a panic that is recovered": func() {
				defer func() { recover() }()
				panic("in a callback")
			},
		}
		for name, ending := range endings {
			t.Run(name, func(t *testing.T) {
				const count = 300
				ran := make(chan int, count)
				for i := range count {
					ar, err := begin(func(ar netstream.AsyncResult) {
						ran <- i
						if i%3 != 0 {
							ending()
						}
					})
					if err != nil {
						t.Fatal(err)
					}
					if i%2 == 0 {
						if err := end(ar); err != nil { // End elsewhere does not depend on the callback
							t.Fatal(err)
						}
					}
				}
				for i := range count {
					if got := kit.Within(t, "a callback after such ones", ran); got != i {
						t.Fatalf("callback %d came in place of %d", got, i)
					}
				}
			})
		}
		kit.CloseAndWait(t, a) // Done does not wait for what a Goexit has skipped
	})
}

// Goexit ends a goroutine of the loop: all streams of the loop go on, polling included.
func TestPromise08_GoexitLeavesTheOtherStreamsRunning(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		pairs := make([]endToEnd, 10)
		for i := range pairs {
			pairs[i].a, pairs[i].b = c.Pair(t, nil, nil)
		}
		for range 20 {
			for _, p := range pairs[:5] { // a read that has to wait: its callback runs on the poller's goroutine
				kit.MustBeginRead(t, p.a, make([]byte, 1), func(netstream.AsyncResult) { runtime.Goexit() })
				kit.MustBegin(t, p.b, []byte("x"), func(netstream.AsyncResult) { runtime.Goexit() })
			}
			servedInTime(t, pairs[5:])
		}
		for _, p := range pairs[:5] {
			servedInTime(t, []endToEnd{p})
		}
	})
}
