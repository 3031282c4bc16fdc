package netstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// A program is what some goroutines do to one stream at the same time, over a faulty transport. It runs in a bubble,
// so whatever hangs is a deadlock that fails at once. The model of what must hold afterwards is in check.
type program struct {
	seed     uint64
	keep     int
	chance   chances
	overflow Overflow
	deferred bool
	maxBytes int64
	workers  [][]step
}

// step is one call: what it does and a number that it may use.
type step struct {
	do  string
	arg int
}

var stepNames = []string{
	"write", "write", "write", "write-bare", "write-bare", "writev", "blocking", "context", "zero",
	"read", "read-blocking", "end", "cancel", "cancel-read", "deadline-past", "deadline-soon", "deadline-none",
	"drain", "room", "pause", "close-write", "close", "close-timeout", "socket-close",
}

func drawProgram(t *rapid.T) program {
	p := program{
		seed:     rapid.Uint64().Draw(t, "seed"),
		keep:     rapid.SampledFrom([]int{0, 1, 64}).Draw(t, "keep"),
		overflow: rapid.SampledFrom([]Overflow{OverflowFail, OverflowDropOldest, OverflowClose}).Draw(t, "overflow"),
		deferred: rapid.Bool().Draw(t, "deferred"),
		maxBytes: rapid.SampledFrom([]int64{0, 200, 2000}).Draw(t, "maxBytes"),
		chance: chances{
			block:  rapid.SampledFrom([]int{0, 300, 800}).Draw(t, "block"),
			short:  rapid.SampledFrom([]int{0, 500}).Draw(t, "short"),
			reset:  rapid.SampledFrom([]int{0, 0, 0, 20}).Draw(t, "reset"),
			nobufs: rapid.SampledFrom([]int{0, 0, 20}).Draw(t, "nobufs"),
			refuse: rapid.SampledFrom([]int{0, 200}).Draw(t, "refuse"),
		},
	}
	steps := rapid.Custom(func(t *rapid.T) step {
		return step{rapid.SampledFrom(stepNames).Draw(t, "do"), rapid.IntRange(1, 120).Draw(t, "arg")}
	})
	for range rapid.IntRange(1, 4).Draw(t, "workers") {
		p.workers = append(p.workers, rapid.SliceOfN(steps, 1, 25).Draw(t, "steps"))
	}
	return p
}

// message is one write and all that became of it.
type message struct {
	id       uint32
	worker   int
	want     []byte // what it was when it was begun
	buffer   []byte // lent; filled with poison as soon as the operation has completed
	result   AsyncResult
	begun    bool
	err      error
	n        int64
	ended    bool
	blocking bool // a plain Write: a cut leaves the stream to the next one
	callback int
	after    bool // worker order: index of the message within its worker
}

// run is one execution of a program.
type run struct {
	s        *NetworkStream
	t        *faulty
	mu       sync.Mutex
	messages []*message
	faults   []string
}

func (r *run) faultf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

func (r *run) newMessage(worker, size int) *message {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := &message{id: uint32(len(r.messages) + 1), worker: worker}
	m.want = make([]byte, size)
	for i := range m.want { // the first byte alone tells which one it is
		m.want[i] = byte(m.id) + byte(i)*7
	}
	m.buffer = bytes.Clone(m.want)
	r.messages = append(r.messages, m)
	return m
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
	m.n = int64(len(m.want))
	if err != nil {
		m.n = 0
		var io *IOError
		if errors.As(err, &io) {
			m.n = io.N
		}
	}
	if m.n > int64(len(m.want)) {
		r.faults = append(r.faults, fmt.Sprintf("message %d of %d bytes ended with N %d: %v", m.id, len(m.want), m.n, err))
		m.n = 0
	}
	for i := range m.buffer {
		m.buffer[i] = 0xDD
	}
}

func (p program) execute() []string {
	s := bareStream(Config{Overflow: p.overflow, MaxPendingWrites: -1, MaxPendingBytes: p.maxBytes}, pipeAddr("a"), pipeAddr("b"))
	if p.maxBytes == 0 {
		s.config.MaxPendingBytes = -1
	}
	if p.deferred {
		s.config.Send = SendDeferred
	}
	r := &run{s: s, t: newFaulty(s, p.seed, p.keep, p.chance)}
	r.t.inbound = make([]byte, 500)
	var wg sync.WaitGroup
	for i, steps := range p.workers {
		wg.Go(func() { r.work(i, steps) })
	}
	wg.Wait()
	s.Close()
	<-s.Done()
	synctest.Wait()
	r.check()
	return r.faults
}

// work is one goroutine of the program.
func (r *run) work(worker int, steps []step) {
	s := r.s
	var open []*message
	var reads []AsyncResult
	for _, st := range steps {
		switch st.do {
		case "write", "write-bare", "writev", "zero":
			if m := r.begin(worker, st); m != nil {
				open = append(open, m)
			}
		case "blocking", "context":
			r.writeBlocking(worker, st)
		case "read":
			if ar, err := s.BeginRead(make([]byte, st.arg), 0, st.arg, nil, nil); err == nil {
				reads = append(reads, ar)
			}
		case "read-blocking":
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Millisecond)
			s.ReadContext(ctx, make([]byte, st.arg))
			cancel()
		case "end":
			if len(open) > 0 {
				r.finish(open[0], s.EndWrite(open[0].result))
				open = open[1:]
			}
		case "cancel":
			if len(open) > 0 {
				r.cancel(open[st.arg%len(open)])
			}
		case "cancel-read":
			if len(reads) > 0 {
				s.Cancel(reads[st.arg%len(reads)])
			}
		default:
			r.control(st)
		}
	}
	for _, m := range open {
		if m.result.op != nil {
			r.finish(m, s.EndWrite(m.result))
		}
	}
	for _, ar := range reads {
		if _, err := s.EndRead(ar); errors.Is(err, errEndedTwice) {
			r.faultf("EndRead: %v", err)
		}
	}
}

// begin makes one of the asynchronous writes. Those with a callback are ended there.
func (r *run) begin(worker int, st step) *message {
	size := st.arg
	if st.do == "zero" {
		size = 0
	}
	m := r.newMessage(worker, size)
	callback := func(ar AsyncResult) {
		r.mu.Lock()
		m.callback++
		r.mu.Unlock()
		r.finish(m, r.s.EndWrite(ar))
	}
	var err error
	switch st.do {
	case "write", "zero":
		_, err = r.s.BeginWrite(m.buffer, 0, size, callback, nil)
	case "writev":
		half := size / 2
		_, err = r.s.BeginWritev([][]byte{m.buffer[:half], {}, m.buffer[half:]}, callback, nil)
	default:
		m.result, err = r.s.BeginWrite(m.buffer, 0, size, nil, nil)
	}
	r.mu.Lock()
	m.begun = err == nil
	r.mu.Unlock()
	if err != nil || st.do != "write-bare" {
		return nil
	}
	return m
}

func (r *run) writeBlocking(worker int, st step) {
	m := r.newMessage(worker, st.arg)
	m.begun, m.blocking = true, st.do == "blocking"
	var err error
	var n int
	if st.do == "blocking" {
		n, err = r.s.Write(m.buffer)
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(st.arg%5)*time.Millisecond)
		n, err = r.s.WriteContext(ctx, m.buffer)
		cancel()
	}
	r.finish(m, err)
	if int64(n) != m.n {
		r.faultf("message %d: Write returned %d, its error says %d (%v)", m.id, n, m.n, err)
	}
}

func (r *run) cancel(m *message) {
	before := m.result.IsCompleted()
	if r.s.Cancel(m.result) {
		if before {
			r.faultf("message %d was cancelled after it had completed", m.id)
		}
		if !m.result.IsCompleted() {
			r.faultf("message %d was cancelled and has not completed", m.id)
		}
		r.mu.Lock()
		m.after = true
		r.mu.Unlock()
	}
}

// control makes the calls that act on the whole stream.
func (r *run) control(st step) {
	s := r.s
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(st.arg)*time.Millisecond)
	defer cancel()
	switch st.do {
	case "deadline-past":
		s.SetDeadline(time.Unix(1, 0))
	case "deadline-soon":
		s.SetDeadline(time.Now().Add(time.Duration(st.arg%7) * time.Millisecond))
	case "deadline-none":
		s.SetDeadline(time.Time{})
	case "drain":
		s.Drain(ctx)
	case "room":
		s.WaitRoom(ctx, int64(st.arg))
	case "pause":
		time.Sleep(time.Duration(st.arg%5) * time.Millisecond)
	case "close-write":
		s.CloseWrite()
	case "close":
		if st.arg < 10 { // rarely: everything is over then
			s.CloseWithError(io.ErrNoProgress)
		}
	case "close-timeout":
		if st.arg < 10 {
			s.CloseTimeout(time.Duration(st.arg) * time.Millisecond)
		}
	case "socket-close":
		if st.arg < 5 {
			s.Socket().Close()
		}
	}
}

// check holds the outcome of a run to the promises.
func (r *run) check() {
	writes, size := r.s.Pending()
	if writes != 0 || size != 0 {
		r.faultf("Pending is %d writes, %d bytes when all is over", writes, size)
	}
	if st := r.s.Stats(); st.BytesWritten != uint64(len(r.t.wire)) {
		r.faultf("Stats says %d bytes written, the wire has %d", st.BytesWritten, len(r.t.wire))
	}
	last := make(map[int]uint32) // by worker: the last message seen on the wire
	wire := r.t.wire
	torn := false
	for len(wire) > 0 {
		m := r.at(wire)
		if m == nil {
			r.faultf("the wire goes on with %x, which no message begins with", wire[:min(len(wire), 8)])
			return
		}
		if torn && !m.blocking {
			r.faultf("message %d follows a torn one", m.id)
		}
		if m.id < last[m.worker] {
			r.faultf("message %d of worker %d is behind its message %d", m.id, m.worker, last[m.worker])
		}
		last[m.worker] = m.id
		torn = m.n < int64(len(m.want))
		wire = wire[m.n:]
		m.n = 0 // on the wire once
	}
	for _, m := range r.messages {
		switch {
		case m.begun && !m.ended:
			r.faultf("message %d never ended", m.id)
		case !m.begun && (m.ended || m.callback > 0):
			r.faultf("message %d was refused and ended all the same", m.id)
		case m.n != 0:
			r.faultf("message %d: %d bytes are missing on the wire", m.id, m.n)
		case m.after && m.err != nil && !errors.Is(m.err, context.Canceled):
			r.faultf("message %d was cancelled and ended with %v", m.id, m.err)
		case m.after && m.err == nil:
			r.faultf("message %d was cancelled and succeeded", m.id)
		}
	}
	if r.t.ended == nil {
		r.faultf("the connection was never given up")
	} else if torn != (*r.t.ended == endReset) && torn {
		r.faultf("the connection ends orderly behind half a message")
	}
}

// at returns the message whose bytes the wire goes on with.
func (r *run) at(wire []byte) *message {
	for _, m := range r.messages {
		if m.ended && m.n > 0 && int64(len(wire)) >= m.n && bytes.Equal(wire[:m.n], m.want[:m.n]) {
			return m
		}
	}
	return nil
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
