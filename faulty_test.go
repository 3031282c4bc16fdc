package netstream

import (
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// faulty is a transport that does everything the seam allows, by chance: short counts, waits that end early, late or
// for nothing, errors of all kinds, completions that come before start has returned. What it takes goes onto a wire
// that the test can look at. It is the reason why no production code needs a hook for tests.
type faulty struct {
	stream *NetworkStream
	kind   faultyKind
	traits engine.Traits

	mu       sync.Mutex
	rng      *rand.Rand
	wire     []byte
	inbound  []byte // what reads will get, then the end
	chance   chances
	dead     error         // what everything fails with from now on
	broken   chan struct{} // closed with dead: the kernel wakes whoever waits
	reported bool          // the reset was told once, as the kernel does
	fin      bool
	ended    *engine.Ending
	calls    [2]*faultyCall // under way, by direction
	asked    [2]uint64      // set<<32 | turn of the last cancel
}

// faultyKind says what a faulty transport does like which engine.
type faultyKind int

const (
	likeLoop    faultyKind = iota // only waits
	likeForeign                   // takes one slice, and can only be written to
	likeDirect                    // waits for room, reads into the buffer, and makes blocking calls
)

// chances are in a thousand, for each attempt. late: a read that was interrupted has got its data all the same.
type chances struct {
	block, short, reset, nobufs, refuse, late int
}

// stalled is the chance of a connection that takes nothing and brings nothing until it is closed.
const stalled = 1000

type faultyCall struct {
	turn      uint32
	cancelled chan struct{}
}

func newFaulty(s *NetworkStream, seed uint64, kind faultyKind, c chances) *faulty {
	t := &faulty{stream: s, kind: kind, rng: rand.New(rand.NewPCG(seed, 1)), chance: c, broken: make(chan struct{})}
	waits := [2]bool{engine.Read: kind == likeLoop, engine.Write: kind != likeForeign}
	t.traits = engine.Traits{TriesWrite: kind != likeForeign, OnlyWaits: waits, Through: kind != likeLoop, Halves: true}
	if kind == likeForeign {
		t.traits.Joining = engine.JoinPieces + engine.Joining(seed%2)
	}
	s.transport = t
	return t
}

func (t *faulty) hitLocked(chance int) bool { return t.rng.IntN(1000) < chance }

// failureLocked returns the error an attempt ends with, if it is to end with one.
func (t *faulty) failureLocked(d engine.Direction) error {
	if t.dead == nil && t.hitLocked(t.chance.reset) {
		t.dead = syscall.ECONNRESET
		close(t.broken)
	}
	switch {
	case t.dead != nil && !t.reported:
		t.reported = true
		return t.dead
	case t.dead != nil && d == engine.Read:
		return io.EOF // the kernel tells a reset once
	case t.dead != nil, t.fin && d == engine.Write:
		return syscall.EPIPE
	case d == engine.Write && t.hitLocked(t.chance.nobufs):
		return syscall.ENOBUFS
	case t.hitLocked(t.chance.nobufs): // a foreign connection may say so; the connection goes on
		return syscall.EINTR
	}
	return nil
}

func (t *faulty) takeLocked(vectors [][]byte) int {
	total := 0
	for _, v := range vectors {
		total += len(v)
	}
	n := total
	if total > 0 && t.hitLocked(t.chance.short) {
		n = 1 + t.rng.IntN(total)
	}
	left := n
	for _, v := range vectors {
		m := min(left, len(v))
		t.wire = append(t.wire, v[:m]...)
		left -= m
	}
	return n
}

func (t *faulty) MayPush(uint8) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.hitLocked(t.chance.block)
}

func (t *faulty) TryWrite(vectors [][]byte) (taken, done int, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.failureLocked(engine.Write); err != nil {
		return 0, 0, err
	}
	if !t.traits.TriesWrite || t.hitLocked(t.chance.block) {
		return 0, 0, engine.ErrWouldBlock
	}
	n := t.takeLocked(vectors)
	return n, n, nil
}

func (t *faulty) TryRead(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.failureLocked(engine.Read); err != nil {
		return 0, err
	}
	if t.hitLocked(t.chance.block) {
		return 0, engine.ErrWouldBlock
	}
	return t.giveLocked(p)
}

func (t *faulty) giveLocked(p []byte) (int, error) {
	if len(t.inbound) == 0 {
		return 0, io.EOF
	}
	n := copy(p, t.inbound)
	if n > 1 && t.hitLocked(t.chance.short) {
		n = 1 + t.rng.IntN(n)
	}
	t.inbound = t.inbound[n:]
	return n, nil
}

// begin starts a wait or a call; nil when it was cancelled before, or refuses by chance.
func (t *faulty) begin(d engine.Direction, turn uint32, mayRefuse bool) *faultyCall {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.asked[d] == 1<<32|uint64(turn) || mayRefuse && t.hitLocked(t.chance.refuse) {
		return nil
	}
	if t.calls[d] != nil {
		panic("two calls of one direction at once")
	}
	c := &faultyCall{turn: turn, cancelled: make(chan struct{}, 1)}
	t.calls[d] = c
	return c
}

// wait lasts for a random time or until the call is cancelled.
func (t *faulty) wait(d engine.Direction, c *faultyCall) (cancelled bool) {
	t.mu.Lock()
	pause := time.Duration(t.rng.IntN(4)) * time.Millisecond
	t.mu.Unlock()
	var over <-chan time.Time // never, when nothing moves: only a cancel ends it
	if t.chance.block != stalled {
		over = time.After(pause)
	}
	select {
	case <-c.cancelled:
		cancelled = true
	case <-t.broken:
	case <-over:
	}
	t.mu.Lock()
	t.calls[d] = nil
	t.mu.Unlock()
	return cancelled
}

func (t *faulty) StartRead(turn uint32, p []byte) bool {
	c := t.begin(engine.Read, turn, true)
	if c == nil {
		return false
	}
	go func() {
		cancelled := t.wait(engine.Read, c)
		t.mu.Lock()
		if t.traits.OnlyWaits[engine.Read] || cancelled && !t.hitLocked(t.chance.late) || t.chance.block == stalled {
			t.mu.Unlock()
			t.stream.engineOwner().ReadReturned(0, engine.ErrInterrupted)
			return
		}
		n, err := t.giveLocked(p) // also when it was cancelled: it had its data by then
		t.mu.Unlock()
		t.stream.engineOwner().ReadReturned(n, err)
	}()
	return true
}

func (t *faulty) StartWrite(turn uint32, vectors [][]byte) bool {
	c := t.begin(engine.Write, turn, true)
	if c == nil {
		return false
	}
	go func() {
		n, err := 0, engine.ErrInterrupted
		if t.traits.OnlyWaits[engine.Write] {
			t.wait(engine.Write, c)
		} else {
			n, err = t.blockingWrite(c, vectors)
		}
		t.stream.engineOwner().WriteReturned(n, err)
	}()
	return true
}

func (t *faulty) blockingWrite(c *faultyCall, held [][]byte) (int, error) {
	cancelled := t.wait(engine.Write, c)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.chance.block == stalled && t.dead == nil { // a dead one fails, or a caller that only writes would ask for ever
		return 0, engine.ErrInterrupted
	}
	if err := t.failureLocked(engine.Write); err != nil {
		n := 0
		if len(held) > 0 && len(held[0]) > 1 { // some went out before it failed
			n = t.takeLocked([][]byte{held[0][:1]})
		}
		return n, err
	}
	n := t.takeLocked(held)
	if cancelled { // it comes back with what it had done by then
		return n, engine.ErrInterrupted
	}
	return n, nil
}

func (t *faulty) ReadThrough(turn uint32, p []byte) (int, error) {
	if t.kind == likeLoop {
		return 0, engine.ErrInterrupted
	}
	c := t.begin(engine.Read, turn, false)
	if c == nil || t.wait(engine.Read, c) {
		return 0, engine.ErrInterrupted
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.chance.block == stalled {
		return 0, engine.ErrInterrupted
	}
	return t.giveLocked(p)
}

func (t *faulty) WriteThrough(turn uint32, vectors [][]byte) (int, error) {
	if t.kind == likeLoop {
		return 0, engine.ErrInterrupted
	}
	c := t.begin(engine.Write, turn, false)
	if c == nil {
		return 0, engine.ErrInterrupted
	}
	return t.blockingWrite(c, vectors)
}

func (t *faulty) Cancel(d engine.Direction, turn uint32, _ bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.asked[d] = 1<<32 | uint64(turn)
	if c := t.calls[d]; c != nil && c.turn == turn {
		select {
		case c.cancelled <- struct{}{}:
		default:
		}
	}
}

func (t *faulty) Traits() *engine.Traits                 { return &t.traits }
func (t *faulty) Held() bool                             { return false }
func (t *faulty) Post(task engine.Task)                  { go task.Run() }
func (t *faulty) Hold(b *engine.Batch, task engine.Task) { b.AddLone(task) }
func (t *faulty) Available() (int, error)                { return 0, errors.ErrUnsupported }
func (t *faulty) Unacknowledged() (int, error)           { return 0, errors.ErrUnsupported }
func (t *faulty) SawReset() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dead != nil
}
func (t *faulty) Control(func(uintptr)) error { return errors.ErrUnsupported }
func (t *faulty) RawCall(engine.Direction, uint32, func(uintptr) bool) error {
	return errors.ErrUnsupported
}
func (t *faulty) Set(engine.Setting, int) error { return errors.ErrUnsupported }
func (t *faulty) StartCloseWrite(uint32) bool   { return false }
func (t *faulty) CloseRead() error              { return nil }

func (t *faulty) CloseWrite() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fin = true
	return nil
}

func (t *faulty) Close(how engine.Ending) {
	t.mu.Lock()
	if t.calls[0] != nil || t.calls[1] != nil || t.ended != nil {
		panic("closed while something is under way, or twice")
	}
	t.ended = &how
	t.mu.Unlock()
	t.stream.engineOwner().Closed()
}

// endA and endB are where the two ends of a faulty connection say that they are.
var endA, endB = &net.UnixAddr{Name: "a", Net: "unix"}, &net.UnixAddr{Name: "b", Net: "unix"}
