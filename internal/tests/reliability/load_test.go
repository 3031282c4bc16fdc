package reliability_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

const loadMessage = 64 // bytes

// TestLoad has two processes talk on very many connections at once: this one asks, the child echoes, both with callbacks
// on the loop. Each connection has one message on its way at any time.
func TestLoad(t *testing.T) {
	c := kit.ConnCase{Name: "epoll-tcp", Engine: netstream.EngineEpoll, Network: "tcp"}
	if !c.Usable() {
		t.Skip("not this engine")
	}
	n := scaled(1000, 10000)
	if have := descriptorLimit(); have < n+500 {
		t.Skipf("%d connections need as many descriptors, the hard limit is %d", n, have)
	}
	ch := kit.NewChild(t, "TestLoadChild", 0)
	ch.Start(t)
	var address string
	ch.Answer(t, time.Minute, &address)
	empty := askLoad(t, ch)
	kit.SocketsClosed(t)
	goroutines := kit.Budget(t)

	l := &load{failed: make(chan error, 1)}
	l.connect(t, address, n)
	kit.Eventually(t, "the child has accepted all", func() bool { return askLoad(t, ch).Streams == n })
	goroutines("with every connection open and idle", -kit.Slack, kit.Slack)
	idle := askLoad(t, ch)

	l.begin()
	var busiest, here int
	for end := time.Now().Add(lasting(500 * time.Millisecond)); time.Now().Before(end); {
		select {
		case err := <-l.failed:
			t.Fatal(err)
		case <-time.After(min(time.Second, lasting(500*time.Millisecond)/4)):
		}
		here = max(here, runtime.NumGoroutine())
		busiest = max(busiest, askLoad(t, ch).Goroutines)
	}
	l.finish(t)
	// The loops take turns, and start fresh runners on a busy machine (56 were seen). One for each connection would be more
	// than there are connections.
	if most := empty.Goroutines + max(300, n/2); busiest > most || here > most {
		t.Errorf("up to %d goroutines in the echoing process, %d in the asking one, for %d connections", busiest, here, n)
	}
	last := askLoad(t, ch)
	l.close(t)
	kit.Eventually(t, "the child has seen all connections end", func() bool { return askLoad(t, ch).Streams == 0 })
	over := askLoad(t, ch)
	ch.Stop(t)

	slices.Sort(l.rounds())
	per := func(a, b int64) int64 { return (b - a) / int64(n) }
	t.Logf("%d connections, %d round trips of %d bytes in %v: %.0f a second; each connection had %d to %d, median %d",
		n, l.total, loadMessage, l.took.Round(time.Millisecond), float64(l.total)/l.took.Seconds(), l.counts[0], l.counts[n-1], l.counts[n/2])
	t.Logf("bytes for each connection in the echoing process: heap %d idle with a pending read, %d after the traffic; resident %d, %d",
		per(empty.Heap, idle.Heap), per(empty.Heap, last.Heap), per(empty.Resident, idle.Resident), per(empty.Resident, last.Resident))
	t.Logf("goroutines in the echoing process: %d before, %d idle, at most %d under load, %d after", empty.Goroutines, idle.Goroutines, busiest, over.Goroutines)
	if l.counts[0] == 0 {
		t.Error("there was a connection without traffic")
	}
	if st := over.Stats; st.PendingBytes != 0 || st.PendingWrites != 0 || st.BytesRead != st.BytesWritten {
		t.Errorf("at the end: %+v", st)
	}
}

// load is the asking side.
type load struct {
	conns  []*loadConn
	stop   atomic.Bool
	failed chan error
	open   sync.WaitGroup
	start  time.Time
	took   time.Duration
	total  int
	counts []int
}

// loadConn is one connection of it: write a message, read it back, and again.
type loadConn struct {
	l             *load
	s             *netstream.NetworkStream
	tag           uint32
	rounds        int
	out, in       [loadMessage]byte
	have          int
	wrote, echoed netstream.AsyncCallback
}

func (l *load) connect(t *testing.T, address string, n int) {
	t.Helper()
	l.conns = make([]*loadConn, n)
	var wg sync.WaitGroup
	for part := range 8 {
		wg.Go(func() {
			for i := part; i < n; i += 8 {
				s, err := netstream.Dial(context.Background(), "tcp", address, &netstream.Config{Engine: netstream.EngineEpoll})
				if err != nil {
					t.Error(err)
					return
				}
				t.Cleanup(func() { s.Close() })
				k := &loadConn{l: l, s: s, tag: uint32(i)}
				k.wrote, k.echoed = k.afterWrite, k.afterRead
				l.conns[i] = k
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

func (l *load) begin() {
	l.start = time.Now()
	l.open.Add(len(l.conns))
	for _, k := range l.conns {
		k.ask()
	}
}

// finish lets every connection finish its round.
func (l *load) finish(t *testing.T) {
	t.Helper()
	l.stop.Store(true)
	kit.Within(t, "the last rounds", kit.Async(func() error { l.open.Wait(); return nil }))
	l.took = time.Since(l.start)
}

func (l *load) rounds() []int {
	for _, k := range l.conns {
		l.counts = append(l.counts, k.rounds)
		l.total += k.rounds
	}
	return l.counts
}

func (l *load) close(t *testing.T) {
	t.Helper()
	for _, k := range l.conns {
		k.s.Close()
	}
	for _, k := range l.conns {
		kit.Within(t, "Done", k.s.Done())
	}
}

func (k *loadConn) fail(err error) {
	select {
	case k.l.failed <- fmt.Errorf("connection %d, round %d: %w", k.tag, k.rounds, err):
	default:
	}
}

func (k *loadConn) ask() {
	fillFrame(k.out[:], k.tag, uint32(k.rounds), frameData)
	k.have = 0
	if _, err := k.s.BeginWrite(k.out[:], 0, loadMessage, k.wrote, nil); err != nil {
		k.fail(err)
	}
}

func (k *loadConn) afterWrite(ar netstream.AsyncResult) {
	if err := k.s.EndWrite(ar); err != nil {
		k.fail(err)
		return
	}
	k.read()
}

func (k *loadConn) read() {
	if _, err := k.s.BeginRead(k.in[:], k.have, loadMessage-k.have, k.echoed, nil); err != nil {
		k.fail(err)
	}
}

func (k *loadConn) afterRead(ar netstream.AsyncResult) {
	n, err := k.s.EndRead(ar)
	k.have += n
	switch {
	case err != nil:
		k.fail(err)
	case k.have < loadMessage:
		k.read()
	case k.in != k.out:
		k.fail(fmt.Errorf("got % x, want % x", k.in, k.out))
	default:
		k.rounds++
		if k.l.stop.Load() {
			k.l.open.Done()
		} else {
			k.ask()
		}
	}
}

// loadState is what the echoing process says about itself.
type loadState struct {
	Streams, Goroutines int
	Heap, Resident      int64
	Stats               netstream.Stats
}

func askLoad(t *testing.T, ch *kit.Child) (st loadState) {
	t.Helper()
	ch.Tell("state")
	ch.Answer(t, 2*time.Minute, &st)
	return st
}

// TestLoadChild echoes whatever comes.
func TestLoadChild(t *testing.T) {
	var task int
	stdin := kit.ChildTask(t, &task)
	var group netstream.Group
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{Engine: netstream.EngineEpoll, Group: &group})
	kit.Must(t, err)
	var accept func()
	accept = func() {
		ln.BeginAccept(func(ar netstream.AsyncResult) {
			s, err := ln.EndAccept(ar)
			if err != nil {
				return // closed
			}
			accept()
			e := &echo{s: s}
			e.read, e.wrote = e.afterRead, e.afterWrite
			e.next()
		}, nil)
	}
	accept()
	kit.Say(ln.Addr().String())
	for stdin.Scan() {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		st := group.Stats()
		kit.Say(loadState{st.Streams, runtime.NumGoroutine(), int64(m.HeapAlloc), residentBytes(), st})
	}
	ctx, cancel := context.WithTimeout(context.Background(), kit.Patience)
	defer cancel()
	kit.Must(t, group.Shutdown(ctx))
}

type echo struct {
	s           *netstream.NetworkStream
	buf         [loadMessage]byte
	read, wrote netstream.AsyncCallback
}

func (e *echo) next() {
	if _, err := e.s.BeginRead(e.buf[:], 0, loadMessage, e.read, nil); err != nil {
		e.s.Close()
	}
}

func (e *echo) afterRead(ar netstream.AsyncResult) {
	n, err := e.s.EndRead(ar)
	if err == nil {
		_, err = e.s.BeginWrite(e.buf[:], 0, n, e.wrote, nil)
	}
	if err != nil {
		e.s.Close()
	}
}

func (e *echo) afterWrite(ar netstream.AsyncResult) {
	if e.s.EndWrite(ar) != nil {
		e.s.Close()
		return
	}
	e.next()
}
