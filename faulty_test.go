package netstream

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
)

// faulty is a transport that does everything the seam allows, by chance: short counts, waits that end early, late or
// for nothing, errors of all kinds, completions that come before start has returned. What it takes goes onto a wire
// that the test can look at. It is the reason why no production code needs a hook for tests.
type faulty struct {
	stream *NetworkStream
	keep   int // vectors startWrite holds on to: 0 as epoll, more as portable
	join   joining

	mu       sync.Mutex
	rng      *rand.Rand
	wire     []byte
	inbound  []byte // what reads will get, then the end
	chance   chances
	dead     error         // what everything fails with from now on
	broken   chan struct{} // closed with dead: the kernel wakes whoever waits
	reported bool          // the reset was told once, as the kernel does
	fin      bool
	ended    *ending
	calls    [2]*faultyCall // under way, by direction
	asked    [2]uint64      // set<<32 | turn of the last cancel
}

// chances are in a thousand, for each attempt. late: a read that was asked back has got its data all the same.
type chances struct {
	block, short, reset, nobufs, refuse, late int
}

// stalled is the chance of a connection that takes nothing and brings nothing until it is closed.
const stalled = 1000

type faultyCall struct {
	turn      uint32
	cancelled chan struct{}
}

func newFaulty(s *NetworkStream, seed uint64, keep int, c chances) *faulty {
	t := &faulty{stream: s, keep: keep, rng: rand.New(rand.NewPCG(seed, 1)), chance: c, broken: make(chan struct{})}
	if keep == 1 { // as over a foreign connection, which takes one slice
		t.join = joining(seed % 3)
	}
	s.transport = t
	return t
}

func (t *faulty) hitLocked(chance int) bool { return t.rng.IntN(1000) < chance }

// failureLocked returns the error an attempt ends with, if it is to end with one.
func (t *faulty) failureLocked(d direction) error {
	if t.dead == nil && t.hitLocked(t.chance.reset) {
		t.dead = syscall.ECONNRESET
		close(t.broken)
	}
	switch {
	case t.dead != nil && !t.reported:
		t.reported = true
		return t.dead
	case t.dead != nil && d == dirRead:
		return io.EOF // the kernel tells a reset once
	case t.dead != nil, t.fin && d == dirWrite:
		return syscall.EPIPE
	case d == dirWrite && t.hitLocked(t.chance.nobufs):
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

func (t *faulty) mayPush() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return !t.hitLocked(t.chance.block)
}

// canTryWrite: a transport that holds on to one vector is as a foreign connection, which can only be written to.
func (t *faulty) canTryWrite() bool { return t.keep != 1 }

func (t *faulty) tryWrite(vectors [][]byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.failureLocked(dirWrite); err != nil {
		return 0, err
	}
	if !t.canTryWrite() || t.hitLocked(t.chance.block) {
		return 0, errWouldBlock
	}
	return t.takeLocked(vectors), nil
}

func (t *faulty) tryRead(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.failureLocked(dirRead); err != nil {
		return 0, err
	}
	if t.hitLocked(t.chance.block) {
		return 0, errWouldBlock
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
func (t *faulty) begin(d direction, turn uint32, mayRefuse bool) *faultyCall {
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
func (t *faulty) wait(d direction, c *faultyCall) (cancelled bool) {
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

func (t *faulty) startRead(turn uint32, p []byte) bool {
	c := t.begin(dirRead, turn, true)
	if c == nil {
		return false
	}
	go func() {
		cancelled := t.wait(dirRead, c)
		t.mu.Lock()
		if t.keep == 0 || cancelled && !t.hitLocked(t.chance.late) || t.chance.block == stalled {
			t.mu.Unlock()
			t.stream.readReturned(0, errInterrupted)
			return
		}
		n, err := t.giveLocked(p) // also when it was cancelled: it had its data by then
		t.mu.Unlock()
		t.stream.readReturned(n, err)
	}()
	return true
}

func (t *faulty) startWrite(turn uint32, vectors [][]byte) bool {
	c := t.begin(dirWrite, turn, true)
	if c == nil {
		return false
	}
	held := append([][]byte(nil), vectors...)
	go func() {
		n, err := t.blockingWrite(c, held)
		t.stream.writeReturned(n, err)
	}()
	return true
}

func (t *faulty) blockingWrite(c *faultyCall, held [][]byte) (int, error) {
	cancelled := t.wait(dirWrite, c)
	if t.keep == 0 {
		return 0, errInterrupted
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.chance.block == stalled && t.dead == nil { // a dead one fails, or a caller that only writes would ask for ever
		return 0, errInterrupted
	}
	if err := t.failureLocked(dirWrite); err != nil {
		n := 0
		if len(held) > 0 && len(held[0]) > 1 { // some went out before it failed
			n = t.takeLocked([][]byte{held[0][:1]})
		}
		return n, err
	}
	n := t.takeLocked(held)
	if cancelled { // it comes back with what it had done by then
		return n, errInterrupted
	}
	return n, nil
}

func (t *faulty) readThrough(turn uint32, p []byte) (int, error) {
	if t.keep == 0 {
		return 0, errWouldBlock
	}
	c := t.begin(dirRead, turn, false)
	if c == nil || t.wait(dirRead, c) {
		return 0, errInterrupted
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.chance.block == stalled {
		return 0, errInterrupted
	}
	return t.giveLocked(p)
}

func (t *faulty) writeThrough(turn uint32, vectors [][]byte) (int, error) {
	if t.keep == 0 {
		return 0, errWouldBlock
	}
	c := t.begin(dirWrite, turn, false)
	if c == nil {
		return 0, errInterrupted
	}
	return t.blockingWrite(c, vectors)
}

func (t *faulty) hasDescriptor() bool { return false }

func (t *faulty) cancel(d direction, turn uint32) {
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

func (t *faulty) joins() joining          { return t.join }
func (t *faulty) keeps() int              { return t.keep }
func (t *faulty) post(task *loop.Task)    { go task.Runner.Run() }
func (t *faulty) available() (int, error) { return 0, errors.ErrUnsupported }
func (t *faulty) unsent() (int, error)    { return 0, errors.ErrUnsupported }
func (t *faulty) sawReset() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.dead != nil
}
func (t *faulty) control(func(uintptr)) error { return errors.ErrUnsupported }
func (t *faulty) rawCall(direction, uint32, func(uintptr) bool) error {
	return errors.ErrUnsupported
}
func (t *faulty) setOption(option, int) error { return errors.ErrUnsupported }
func (t *faulty) canCloseWrite() bool         { return true }
func (t *faulty) startCloseWrite(uint32) bool { return false }
func (t *faulty) closeRead() error            { return nil }
func (t *faulty) engine() (Engine, string)    { return EnginePortable, "test" }

func (t *faulty) closeWrite() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fin = true
	return nil
}

func (t *faulty) close(how ending) {
	t.mu.Lock()
	if t.calls[0] != nil || t.calls[1] != nil || t.ended != nil {
		panic("closed while something is under way, or twice")
	}
	t.ended = &how
	t.mu.Unlock()
	t.stream.transportClosed()
}
