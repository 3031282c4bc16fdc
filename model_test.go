package netstream

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// A program is what some goroutines do at the same time to one stream, or to two of one group. TestModel runs it over a
// faulty transport, in a bubble, so whatever hangs is a deadlock that fails at once; TestModelOverSockets runs it over
// real connections. The model of what must hold afterwards is in model_check_test.go.
type program struct {
	seed    uint64
	kind    faultyKind
	chance  chances
	config  Config // Group: filled in by the run
	streams int    // more than one: of one group
	bytes   int64  // the group's limits; 0: none
	writes  int
	workers [][]step

	unit  time.Duration // what one of a step's number is worth where it means a time
	scale int           // and where it means a size
}

// step is one call: what it does and a number that it may use.
type step struct {
	do  string
	arg int
}

// largestStep is the largest number of a step, and so the most units of bytes in one message.
const largestStep = 120

var stepNames = []string{
	"write", "write", "write", "write-bare", "write-bare", "writev", "blocking", "context", "zero",
	"read", "read", "read-callback", "read-blocking", "read-zero", "end", "end", "end-twice", "wait-end", "end-read",
	"cancel", "cancel-read", "deadline-past", "deadline-soon", "deadline-none",
	"drain", "room", "pause", "close-write", "close", "close-timeout", "socket-close", "shutdown",
	"post", "post", "post", "post", "wait-room",
}

func drawProgram(t *rapid.T) program {
	p := program{
		seed:    rapid.Uint64().Draw(t, "seed"),
		kind:    rapid.SampledFrom([]faultyKind{likeLoop, likeForeign, likeDirect}).Draw(t, "kind"),
		streams: rapid.SampledFrom([]int{1, 1, 2}).Draw(t, "streams"),
		config: Config{
			Access:           rapid.SampledFrom([]Access{0, 0, 0, 0, 0, 0, AccessRead, AccessWrite}).Draw(t, "access"),
			Overflow:         rapid.SampledFrom([]Overflow{OverflowFail, OverflowDropOldest, OverflowClose}).Draw(t, "overflow"),
			Send:             rapid.SampledFrom([]SendMode{SendNow, SendDeferred}).Draw(t, "send"),
			MaxPendingBytes:  rapid.SampledFrom([]int64{-1, 200, 2000}).Draw(t, "maxBytes"),
			MaxPendingWrites: rapid.SampledFrom([]int{-1, -1, 1, 5}).Draw(t, "maxWrites"),
			LeaveOpen:        rapid.SampledFrom([]bool{false, false, false, true}).Draw(t, "leaveOpen"),
		},
		bytes:  rapid.SampledFrom([]int64{0, 300}).Draw(t, "groupBytes"),
		writes: rapid.SampledFrom([]int{0, 0, 3}).Draw(t, "groupWrites"),
		chance: chances{
			block:  rapid.SampledFrom([]int{0, 300, 800, stalled}).Draw(t, "block"),
			short:  rapid.SampledFrom([]int{0, 500}).Draw(t, "short"),
			reset:  rapid.SampledFrom([]int{0, 0, 0, 20}).Draw(t, "reset"),
			nobufs: rapid.SampledFrom([]int{0, 0, 20}).Draw(t, "nobufs"),
			refuse: rapid.SampledFrom([]int{0, 200}).Draw(t, "refuse"),
			late:   rapid.SampledFrom([]int{0, 500}).Draw(t, "late"),
		},
		unit: time.Millisecond, scale: 1,
	}
	steps := rapid.Custom(func(t *rapid.T) step {
		return step{rapid.SampledFrom(stepNames).Draw(t, "do"), rapid.IntRange(1, largestStep).Draw(t, "arg")}
	})
	for range rapid.IntRange(1, 4).Draw(t, "workers") {
		p.workers = append(p.workers, rapid.SliceOfN(steps, 1, 25).Draw(t, "steps"))
	}
	return p
}

// message is one write and all that became of it. The stamps order what the goroutines of a program did: an operation
// whose Begin had returned before another one's was called is ahead of it.
type message struct {
	id               uint32
	want             []byte // what it was when it was begun
	buffer           []byte // lent; filled with poison as soon as the operation has completed
	result           AsyncResult
	begun            bool
	err              error
	n                int64
	ended            bool
	resumable        bool // a plain Write: a cut leaves the stream to the next one
	blocking         bool
	called, returned int64
	endedAt          int64
	cancelled        bool
	callbacks        int
	wantCallback     bool
	sync             bool // as the callback saw it
	posted           bool // nobody is told what became of it: n is what settlePosts has found
	drained          bool // a Drain has said that it was sent
}

// reading is one read and what became of it.
type reading struct {
	buffer           []byte
	result           AsyncResult
	err              error
	n                int
	got              []byte
	ended            bool
	called, returned int64
	endedAt          int64
	cancelled        bool
	callbacks        int
	wantCallback     bool
}

// run is what a program does to one of its streams.
type run struct {
	p     program
	s     *NetworkStream
	group *Group

	clock  atomic.Int64
	inside [2]atomic.Int32 // callbacks that run, by direction

	blocking, blockingCalls atomic.Int64 // blocking writes under way, and how many there have been

	mu       sync.Mutex
	messages []*message
	readings []*reading
	rooms    []*roomWait
	order    []*message // in the order of their callbacks
	unsent   []error    // what CloseTimeout has said
	closers  int        // calls that close the stream
	faults   []string

	// What the other end has seen; set before check.
	wire    []byte
	taken   int   // bytes that the library took from the connection
	seen    error // how the wire ended: io.EOF, or a reset
	whole   bool  // wire is everything that was accepted
	resets  bool  // the connection can be reset
	ending  *engine.Ending
	readAll bool // taken is known
	tls     bool // the engine holds bytes of its own
}

func (r *run) faultf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *run) newMessage(size int) *message {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &message{id: uint32(len(r.messages) + 1)}
	m.want = make([]byte, size)
	for i := range m.want { // the first byte alone tells which one it is
		m.want[i] = byte(m.id) + byte(i*7+i>>8*29)
	}
	m.buffer = bytes.Clone(m.want)
	r.messages = append(r.messages, m)
	m.called = r.clock.Add(1)
	return m
}

const poison = 0xDD

func poisoned(p []byte) bool {
	for _, b := range p {
		if b != poison {
			return false
		}
	}
	return true
}

func fillPoison(p []byte) {
	for i := range p {
		p[i] = poison
	}
}

// finish notes the outcome of a message, exactly once, and poisons its buffer: whatever touches it from here on
// shows on the wire.
func (r *run) finish(m *message, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.ended {
		r.faults = append(r.faults, fmt.Sprintf("message %d ended twice", m.id))
	}
	m.ended, m.err = true, err
	m.endedAt = r.clock.Add(1)
	m.n = int64(len(m.want))
	if err != nil {
		m.n = 0
		var io *IOError
		if errors.As(err, &io) {
			m.n = io.N
		}
	}
	if m.n > int64(len(m.want)) || m.n < 0 {
		r.faults = append(r.faults, fmt.Sprintf("message %d of %d bytes ended with N %d: %v", m.id, len(m.want), m.n, err))
		m.n = 0
	}
	fillPoison(m.buffer)
}

func (r *run) finishRead(o *reading, n int, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if o.ended {
		r.faults = append(r.faults, "a read ended twice")
	}
	o.ended, o.err, o.n, o.endedAt = true, err, n, r.clock.Add(1)
	if n < 0 || n > len(o.buffer) || n > 0 && err != nil {
		r.faults = append(r.faults, fmt.Sprintf("a read of %d bytes ended with %d, %v", len(o.buffer), n, err))
		return
	}
	o.got = bytes.Clone(o.buffer[:n])
	fillPoison(o.buffer)
}

// execute runs the program over faulty transports, in a bubble.
func (p program) execute() []string {
	runs := p.prepare()
	faulties := make([]*faulty, len(runs))
	for i, r := range runs {
		c, err := r.p.config.withDefaults()
		if err != nil {
			panic(err)
		}
		r.s = bareStream(c, endA, endB)
		if err := c.Group.join(r.s); err != nil {
			r.faultf("joining: %v", err)
		}
		faulties[i] = newFaulty(r.s, p.seed+uint64(i), p.kind, p.chance)
		faulties[i].inbound = inboundBytes()
	}
	if p.chance.block == stalled { // nothing but this ends what waits
		for _, r := range runs {
			defer time.AfterFunc(5*time.Second, func() { r.s.Close() }).Stop()
		}
	}
	p.perform(runs)
	if p.chance.block != stalled {
		time.Sleep(time.Minute) // all the transport's waits together are seconds
		for _, r := range runs {
			r.checkIdle()
		}
	}
	for i, r := range runs {
		r.s.Close()
		<-r.s.Done()
		synctest.Wait()
		t := faulties[i]
		r.wire, r.whole, r.resets, r.ending = t.wire, true, true, t.ended
		r.taken, r.readAll = inboundSize-len(t.inbound), true
	}
	return p.faults(runs)
}

// checkIdle looks for what has not ended although the connection has moved everything, or has failed, long since:
// Close would hide a wake-up that was lost.
func (r *run) checkIdle() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range r.messages {
		if m.begun && !m.ended && !m.posted {
			r.fault("message %d has not ended after a minute", m.id)
		}
	}
	if writes, size := r.s.Pending(); writes != 0 && len(r.faults) == 0 {
		r.fault("%d writes of %d bytes are pending after a minute", writes, size)
	}
	for _, o := range r.readings {
		if !o.ended {
			r.fault("a read has not ended after a minute")
		}
	}
}

// inboundSize is how many bytes the peer of each stream sends. Each of them tells its place.
const inboundSize = 256

func inboundBytes() []byte {
	p := make([]byte, inboundSize)
	for i := range p {
		p[i] = byte(i)
	}
	return p
}

// prepare makes the runs, without their streams.
func (p program) prepare() []*run {
	if p.streams > 1 || p.bytes != 0 || p.writes != 0 {
		p.config.Group = &Group{MaxPendingBytes: p.bytes * int64(p.scale), MaxPendingWrites: p.writes}
	}
	if p.config.MaxPendingBytes > 0 {
		p.config.MaxPendingBytes *= int64(p.scale)
	}
	var runs []*run
	for range p.streams {
		runs = append(runs, &run{p: p, group: p.config.Group})
	}
	return runs
}

// perform has the workers do their steps, shared out among the streams, and ends when all are back.
func (p program) perform(runs []*run) {
	var wg sync.WaitGroup
	for i, steps := range p.workers {
		wg.Go(func() { runs[i%len(runs)].work(steps) })
	}
	wg.Wait()
}

// faults checks all runs and their group when everything is over.
func (p program) faults(runs []*run) (faults []string) {
	closers := 0
	for _, r := range runs {
		closers += r.closers // one that shut the group down has closed them all
	}
	for _, r := range runs {
		r.closers = closers
		r.check()
		faults = append(faults, r.faults...)
	}
	return append(faults, checkGroup(runs)...)
}

// TestModel runs random programs over the faulty transport and holds what happens to the promises. Failing programs
// shrink; rapid keeps their seeds in testdata/rapid, which is committed.
func TestModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := drawProgram(rt)
		var faults []string
		synctest.Test(t, func(*testing.T) { faults = p.execute() })
		if len(faults) > 0 {
			rt.Fatalf("%d faults, the first ones: %q", len(faults), faults[:min(len(faults), 5)])
		}
	})
}
