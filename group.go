package netstream

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"weak"
)

// Group is a set of streams and listeners that stop together and may share limits. The zero value works. Name
// it in a Config; streams join when they are made, also those a Listener of the group accepts, and leave
// when they are done. A Group must not be copied after first use.
type Group struct {
	// MaxPendingBytes and MaxPendingWrites bound the pending writes of all streams together, besides the limits
	// of each. Zero: none. Set them before use.
	MaxPendingBytes  int64
	MaxPendingWrites int

	// MaxStreams bounds the streams that are in the group at the same time, from when they are made until they are
	// [NetworkStream.Done]. Zero: no bound. Set it before use. While the group is full its listeners do not accept:
	// new connections wait in the kernel's backlog until a stream leaves. (An accept that is waiting already when the
	// last place is taken, by another listener, goroutine or Dial, may hold one accepted connection meanwhile.) Dial,
	// BeginConnect and New do not wait: they fail with [ErrGroupFull]. Pipe panics with it.
	MaxStreams int

	limits groupLimits

	// mu guards the members, that is, what follows. Lock order: a group's mu, a stream's mu, the mu of the group's limits.
	// So nobody who holds a stream's mu may lock this one.
	mu        sync.Mutex
	stopped   bool
	streams   []member
	listeners map[*Listener]struct{}
	past      Stats         // sums of the streams that have left
	reserved  int           // places of streams that are being made
	left      chan struct{} // made by whoever waits for a place, closed when one is given up
}

// member is a stream in a group. The pointer is weak, so a stream that is forgotten open can be collected; its counters
// are kept, and know where in the group the member is.
type member struct {
	stream   weak.Pointer[NetworkStream]
	counters *counters
}

var errGroupStopped = &InvalidOperationError{Message: "the group was shut down"}

// ErrGroupFull is what making a stream fails with when its group has MaxStreams already. Its chain holds a [SocketError]
// with [CodeTooManyOpenSockets].
var ErrGroupFull error = codeError(CodeTooManyOpenSockets, errors.New("the group is full"))

// check refuses early what reserve would refuse.
func (g *Group) check() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.checkLocked()
}

func (g *Group) checkLocked() error {
	switch {
	case g.stopped:
		return errGroupStopped
	case g.fullLocked():
		return &IOError{Err: ErrGroupFull}
	}
	return nil
}

func (g *Group) fullLocked() bool {
	return g.MaxStreams > 0 && len(g.streams)+g.reserved >= g.MaxStreams
}

// reserve keeps a place for a stream that is being made, which either joins or gives the place up.
func (g *Group) reserve() error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	err := g.checkLocked()
	if err == nil {
		g.reserved++
	}
	return err
}

func (g *Group) giveUp() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reserved--
	g.announceLocked()
}

// announceLocked wakes whoever waits for a place.
func (g *Group) announceLocked() {
	if g.left != nil {
		close(g.left)
		g.left = nil
	}
}

// full returns a channel that is closed when the group may have a place again, nil when it has one or was stopped.
func (g *Group) full() <-chan struct{} {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped || !g.fullLocked() {
		return nil
	}
	if g.left == nil {
		g.left = make(chan struct{})
	}
	return g.left
}

// join takes the place that was reserved.
func (g *Group) join(s *NetworkStream) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reserved--
	if g.stopped {
		return errGroupStopped
	}
	g.streams = append(g.streams, member{weak.Make(s), s.counters})
	s.counters.place = len(g.streams)
	runtime.AddCleanup(s, g.collected, s.counters)
	return nil
}

// collected takes a stream out that was forgotten open.
func (g *Group) collected(c *counters) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.removeLocked(c, c.orphaned())
}

// remove takes a finished stream out.
func (g *Group) remove(s *NetworkStream) {
	s.mu.Lock()
	sums := s.counters.stats()
	s.mu.Unlock()
	g.mu.Lock()
	defer g.mu.Unlock()
	g.removeLocked(s.counters, sums)
}

// removeLocked takes the stream of c out, if it is a member, and keeps its sums. The last member gets its place.
func (g *Group) removeLocked(c *counters, sums Stats) {
	if c.place == 0 {
		return
	}
	last := len(g.streams) - 1
	g.streams[c.place-1] = g.streams[last]
	g.streams[last].counters.place = c.place
	c.place = 0
	g.streams[last] = member{}
	g.streams = g.streams[:last]
	if capacity := cap(g.streams); capacity > fewMembers && last < capacity/4 { // of a crowd that has left
		g.streams = append(make([]member, 0, capacity/2), g.streams...)
	}
	g.past.add(sums)
	g.announceLocked()
}

// fewMembers is how many places are not worth giving back.
const fewMembers = 64

func (g *Group) joinListener(l *Listener) error {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.stopped {
		return errGroupStopped
	}
	if g.listeners == nil {
		g.listeners = make(map[*Listener]struct{})
	}
	g.listeners[l] = struct{}{}
	return nil
}

func (g *Group) leaveListener(l *Listener) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.listeners, l)
}

// snapshot returns the streams that are in the group now, and forgets those that were collected.
func (g *Group) snapshot() []*NetworkStream {
	streams, _ := g.snapshotPast()
	return streams
}

// snapshotPast also returns the sums of those that have left, as of the same moment.
func (g *Group) snapshotPast() ([]*NetworkStream, Stats) {
	g.mu.Lock()
	defer g.mu.Unlock()
	streams := make([]*NetworkStream, 0, len(g.streams))
	for i := len(g.streams) - 1; i >= 0; i-- { // backwards: the last one takes the place of one that is removed
		m := g.streams[i]
		if s := m.stream.Value(); s != nil {
			streams = append(streams, s)
		} else {
			g.removeLocked(m.counters, m.counters.orphaned()) // its cleanup is still to come
		}
	}
	return streams, g.past
}

// Streams returns the streams that are in the group at the time of the call, in no order.
func (g *Group) Streams() iter.Seq[*NetworkStream] {
	streams := g.snapshot()
	return func(yield func(*NetworkStream) bool) {
		for _, s := range streams {
			if !yield(s) {
				return
			}
		}
	}
}

// Stats returns the sums over all streams the group has had. Streams is the number of those still in it.
func (g *Group) Stats() Stats {
	streams, sum := g.snapshotPast()
	for _, s := range streams {
		sum.add(s.Stats())
	}
	return sum
}

// Shutdown closes the group's listeners, lets every stream send what was begun, and closes it. Streams that have
// not finished when ctx is done are cut. No stream can join any more. It returns nil when nothing was lost,
// else an [*IOError] whose Unsent is the number of bytes that were begun and not accepted by the kernel, and
// which matches ctx.Err when that was the reason.
func (g *Group) Shutdown(ctx context.Context) error {
	if ctx == nil {
		return &ArgumentNullError{ParamName: "ctx"}
	}
	g.mu.Lock()
	g.stopped = true
	listeners := make([]*Listener, 0, len(g.listeners))
	for l := range g.listeners {
		listeners = append(listeners, l)
	}
	g.mu.Unlock()
	for _, l := range listeners {
		l.Close()
	}
	streams := g.snapshot()
	var wg sync.WaitGroup
	results := make([]drained, len(streams))
	for i, s := range streams {
		wg.Go(func() { results[i] = s.closeDrained(ctx) })
	}
	wg.Wait()
	return shutdownResult(ctx, results)
}

// drained is how the orderly end of one stream went.
type drained struct {
	lost int64
	err  error
}

func shutdownResult(ctx context.Context, results []drained) error {
	var lost int64
	var first error
	cut := 0
	for _, r := range results {
		lost += r.lost
		if r.err != nil || r.lost > 0 {
			cut++
			if first == nil {
				first = r.err
			}
		}
	}
	if cut == 0 {
		return nil
	}
	var failure *IOError
	if err := ctx.Err(); err != nil { // a cut stream may have broken another one's pipe: the cut is the reason
		first = canceledError(err)
	} else if errors.As(first, &failure) {
		first = failure.Err
	}
	return &IOError{Unsent: lost, Err: fmt.Errorf("%d of %d streams lost writes, %d bytes in all: %w", cut, len(results), lost, first)}
}
