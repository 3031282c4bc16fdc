package netstream

import (
	"fmt"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// What the library itself costs, step by step, over a transport that makes no system call; bench_test.go has what a
// user sees. The benchmark's own goroutine does everything, unless a comment says otherwise: so the figures do not
// depend on the scheduler, and benchstat shows small changes.

// nullTransport moves no bytes. It takes the place of the stream's own transport, which still closes the connection,
// and posts tasks when they are not held: to the loop, or to goroutines of their own.
//
// The owner of a direction alone calls try and start, so the fields need no lock.
type nullTransport struct {
	engine.Connection
	stream   *NetworkStream
	callback AsyncCallback // endWrite, bound once: a method value as argument allocates each time

	held   bool          // posted tasks are kept for runNext
	posted []engine.Task // oldest first

	taking taking
	paused bool    // the last attempt took nothing
	empty  bool    // there is nothing to read
	waits  [2]bool // by direction: it waits until Cancel is called
}

// taking says how much an attempt to write takes. The zero value takes everything at once.
type taking struct {
	half      bool // half of the batch, at least a byte
	pauses    bool // nothing at every other attempt, the first one included
	elsewhere bool // another goroutine ends the wait that follows
}

var (
	microMessage = make([]byte, 64)
	deferred     = Config{Send: SendDeferred} // every write goes through the queue
)

// newNull makes a stream over a nullTransport that holds tasks.
func newNull(b testing.TB, config Config, how taking) *nullTransport {
	client, server, err := dialTCPPair()
	mustDo(err)
	if config.Engine == EngineAuto { // the stream would want to move
		config.Engine = EnginePortable
	}
	s, err := New(client, &config)
	mustDo(err)
	t := &nullTransport{Connection: s.transport, stream: s, held: true, taking: how}
	t.callback = t.endWrite
	s.transport = t
	b.Cleanup(func() { s.Close(); t.settle(); <-s.Done(); server.Close() })
	if b, ok := b.(*testing.B); ok {
		b.ReportAllocs()
	}
	return t
}

// mustDo panics rather than ask for a testing.B, because callbacks call it, on any goroutine.
func mustDo(err error) {
	if err != nil {
		panic(err)
	}
}

func (t *nullTransport) TryRead(p []byte) (int, error) {
	if t.empty {
		return 0, engine.ErrWouldBlock
	}
	return len(p), nil
}

func (t *nullTransport) TryWrite(vectors [][]byte) (taken, done int, err error) {
	t.paused = t.taking.pauses && !t.paused
	if t.paused {
		return 0, 0, engine.ErrWouldBlock
	}
	n := 0
	for _, v := range vectors {
		n += len(v)
	}
	if t.taking.half {
		n -= n / 2
	}
	return n, n, nil
}

func (t *nullTransport) StartRead(uint32, []byte) bool { t.waits[engine.Read] = true; return true }

func (t *nullTransport) StartWrite(uint32, [][]byte) bool {
	t.waits[engine.Write] = !t.taking.elsewhere
	if t.taking.elsewhere {
		go t.stream.engineOwner().WriteReturned(0, engine.ErrInterrupted)
	}
	return true
}

// As of epoll: a wait holds on to no vectors.
var nullTraits = engine.Traits{TriesWrite: true, OnlyWaits: [2]bool{true, true}, Socket: true, Halves: true}

func (t *nullTransport) Traits() *engine.Traits { return &nullTraits }

// cancel ends the wait, if there is one. It is also how a benchmark says that what was waited for is there: the stream
// tries again in either case.
func (t *nullTransport) Cancel(d engine.Direction, _ uint32, _ bool) {
	waited := t.waits[d]
	t.waits[d] = false
	switch {
	case waited && d == engine.Read:
		t.stream.engineOwner().ReadReturned(0, engine.ErrInterrupted)
	case waited:
		t.stream.engineOwner().WriteReturned(0, engine.ErrInterrupted)
	}
}

// Hold is Post: what is posted waits for runNext anyway.
func (t *nullTransport) Hold(_ *engine.Batch, task engine.Task) { t.Post(task) }

func (t *nullTransport) Post(task engine.Task) {
	if t.held {
		t.posted = append(t.posted, task)
	} else {
		t.Connection.Post(task)
	}
}

func (t *nullTransport) runNext() {
	task := t.posted[0]
	t.posted = t.posted[:copy(t.posted, t.posted[1:])]
	task.Run()
}

// settle works until everything has been written and all callbacks have returned.
func (t *nullTransport) settle() {
	for t.waits[engine.Write] || len(t.posted) > 0 {
		t.Cancel(engine.Write, 0, false)
		for len(t.posted) > 0 {
			t.runNext()
		}
	}
}

func (t *nullTransport) beginWrite(callback AsyncCallback) AsyncResult {
	ar, err := t.stream.BeginWrite(microMessage, 0, len(microMessage), callback, nil)
	mustDo(err)
	return ar
}

func (t *nullTransport) endWrite(ar AsyncResult) { mustDo(t.stream.EndWrite(ar)) }

func (t *nullTransport) endAll(results []AsyncResult) {
	for _, ar := range results {
		t.endWrite(ar)
	}
}

// read calls meanwhile between Begin and End.
func (t *nullTransport) read(size int, meanwhile func()) {
	ar, err := t.stream.BeginRead(microMessage, 0, size, nil, nil)
	mustDo(err)
	meanwhile()
	_, err = t.stream.EndRead(ar)
	mustDo(err)
}

// BenchmarkMicroBeginEnd is one operation at a time, with nothing ahead.
func BenchmarkMicroBeginEnd(b *testing.B) {
	idle := func(b *testing.B) *nullTransport { return newNull(b, Config{}, taking{}) }
	benchEach(b, "write", idle, func(t *nullTransport) { t.endWrite(t.beginWrite(nil)) })
	benchEach(b, "write-callback", idle, func(t *nullTransport) { t.beginWrite(t.callback); t.settle() })
	benchEach(b, "read", idle, func(t *nullTransport) { t.read(64, func() {}) })
	benchEach(b, "zero-byte-read-waits", idle, func(t *nullTransport) {
		t.empty = true
		t.read(0, func() { t.empty = false; t.Cancel(engine.Read, 0, false) })
	})
	// EndWrite sends, finds no room, and waits for another goroutine to go on.
	full := func(b *testing.B) *nullTransport { return newNull(b, deferred, taking{pauses: true, elsewhere: true}) }
	benchEach(b, "queued-write-waits", full, func(t *nullTransport) { t.endWrite(t.beginWrite(nil)) })
}

func benchEach(b *testing.B, name string, open func(*testing.B) *nullTransport, operation func(*nullTransport)) {
	b.Run(name, func(b *testing.B) {
		t := open(b)
		for b.Loop() {
			operation(t)
		}
	})
}

// inBatches makes one write for each operation of b, and calls complete for every size of them. If that returns how
// long a part of it took, ns/op stands for those parts: to stop and start b's timer costs more than they do. The last
// batch is filled up outside the timing, so that a run of a single operation goes through all of it too.
func inBatches(b *testing.B, t *nullTransport, size int, callback AsyncCallback, complete func([]AsyncResult) time.Duration) {
	results := make([]AsyncResult, 0, size)
	parts, completed := time.Duration(0), 0
	step := func() {
		results = append(results, t.beginWrite(callback))
		if len(results) == size {
			parts += complete(results)
			completed += size
			results = results[:0]
		}
	}
	for b.Loop() {
		step()
	}
	for len(results) > 0 {
		step()
	}
	if parts > 0 {
		b.ReportMetric(float64(parts.Nanoseconds())/float64(completed), "ns/op")
	}
}

// BenchmarkMicroQueue is a write's way through the queue: so many are begun, flushed together, and ended.
func BenchmarkMicroQueue(b *testing.B) {
	for _, how := range []taking{{}, {half: true}, {half: true, pauses: true}} {
		for _, size := range []int{1, 16, 1024} {
			b.Run(fmt.Sprintf("half=%t/pauses=%t/writes=%d", how.half, how.pauses, size), func(b *testing.B) {
				t := newNull(b, deferred, how)
				inBatches(b, t, size, nil, func(results []AsyncResult) time.Duration {
					t.settle()
					t.endAll(results)
					return 0
				})
			})
		}
	}
}

// BenchmarkMicroDispatch is what follows a completion; posted has the way there in it too. Of a single write, the time
// to read the clock is a large part.
func BenchmarkMicroDispatch(b *testing.B) {
	for _, size := range []int{1, 16, 1024} {
		suffix := fmt.Sprint("/writes=", size)
		b.Run("callback"+suffix, func(b *testing.B) { benchCallback(b, size) })
		b.Run("end-elsewhere"+suffix, func(b *testing.B) { benchEndElsewhere(b, size) })
		b.Run("posted/engine=portable"+suffix, func(b *testing.B) { benchPosted(b, EnginePortable, size) })
		if engine.HasLoops {
			b.Run("posted/engine=epoll"+suffix, func(b *testing.B) { benchPosted(b, EngineEpoll, size) })
		}
	}
}

// benchCallback runs the callbacks of completed writes.
func benchCallback(b *testing.B, size int) {
	t := newNull(b, deferred, taking{})
	inBatches(b, t, size, t.callback, func([]AsyncResult) time.Duration {
		t.runNext() // sends
		start := time.Now()
		t.settle()
		return time.Since(start)
	})
}

// benchEndElsewhere has another goroutine end completed writes.
func benchEndElsewhere(b *testing.B, size int) {
	t, took := newNull(b, deferred, taking{}), make(chan time.Duration)
	inBatches(b, t, size, nil, func(results []AsyncResult) time.Duration {
		t.settle()
		go func() {
			start := time.Now()
			t.endAll(results)
			took <- time.Since(start)
		}()
		return <-took
	})
}

// benchPosted leaves tasks to the engine's own goroutines.
func benchPosted(b *testing.B, e Engine, size int) {
	t, all := newNull(b, Config{Engine: e}, taking{}), make(chan struct{})
	t.held = false
	called := 0
	callback := func(ar AsyncResult) {
		t.endWrite(ar)
		if called++; called%size == 0 {
			all <- struct{}{}
		}
	}
	inBatches(b, t, size, callback, func([]AsyncResult) time.Duration { <-all; return 0 })
}

// BenchmarkMicroDeadline moves a deadline that never comes, with so many writes queued.
func BenchmarkMicroDeadline(b *testing.B) {
	at := time.Now().Add(time.Hour)
	set := func(t *nullTransport) { at = at.Add(time.Microsecond); mustDo(t.stream.SetWriteDeadline(at)) }
	unset := func(t *nullTransport) { mustDo(t.stream.SetWriteDeadline(time.Time{})) }
	for _, pending := range []int{0, 16} {
		open := func(b *testing.B) *nullTransport {
			t := newNull(b, deferred, taking{})
			for range pending {
				t.beginWrite(nil)
			}
			return t
		}
		suffix := fmt.Sprint("/pending=", pending)
		benchEach(b, "set-clear"+suffix, open, func(t *nullTransport) { set(t); unset(t) })
		benchEach(b, "push-out"+suffix, open, set)
		benchEach(b, "clear-none"+suffix, open, unset)
	}
}
