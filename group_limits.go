package netstream

import (
	"math"
	"sync"
	"sync/atomic"
)

// groupLimits is what the streams of a group have pending together.
type groupLimits struct {
	bytes, writes atomic.Int64
	wanted        atomic.Bool // some stream waits for the group's room
	serving       atomic.Bool // a goroutine is about to see who can be let in

	// mu makes the check against a limit and the count that follows one step, and guards what follows. It comes last: it
	// is locked with a stream's mu held, and nothing is locked under it.
	mu      sync.Mutex
	waiting map[*NetworkStream]struct{}
}

// limited reports whether anything is to be counted. The counts are one cache line for all streams of a group, and each
// write changes them twice.
func (g *Group) limited() bool { return g.MaxPendingBytes > 0 || g.MaxPendingWrites > 0 }

// charge counts a write of that size if it fits. One larger than the limit fits when nothing is pending.
func (g *Group) charge(size int64) bool {
	if !g.limited() {
		return true
	}
	g.limits.mu.Lock() // no count goes up and down again: another stream could be refused by it, and nobody would wake it
	defer g.limits.mu.Unlock()
	if !g.fits(size) {
		return false
	}
	g.force(size)
	return true
}

func (g *Group) force(size int64) {
	if g.limited() {
		g.limits.bytes.Add(size)
		g.limits.writes.Add(1)
	}
}

// shrink makes a write of that size one of n bytes.
func (g *Group) shrink(size, n int64) {
	if g.limited() {
		g.limits.bytes.Add(n - size)
	}
}

func (g *Group) fits(size int64) bool {
	bytes := g.limits.bytes.Load()
	return g.within(bytes+min(size, math.MaxInt64-bytes), g.limits.writes.Load()+1) // a WaitRoom may ask for any size
}

func (g *Group) within(bytes, writes int64) bool {
	if writes <= 1 {
		return true
	}
	return (g.MaxPendingBytes <= 0 || bytes <= g.MaxPendingBytes) &&
		(g.MaxPendingWrites <= 0 || writes <= int64(g.MaxPendingWrites))
}

// discharge takes writes of so many bytes together off the count. Whoever waits on another stream of the group is let in
// by a goroutine, because the caller may hold its own stream's mu.
func (g *Group) discharge(writes, bytes int64) {
	if !g.limited() {
		return
	}
	g.limits.bytes.Add(-bytes)
	g.limits.writes.Add(-writes)
	if g.limits.wanted.Load() && g.limits.serving.CompareAndSwap(false, true) {
		go g.serve()
	}
}

func (g *Group) serve() {
	g.limits.serving.Store(false) // before the look: whoever frees room from here on starts another
	g.limits.mu.Lock()
	waiting := make([]*NetworkStream, 0, len(g.limits.waiting))
	for s := range g.limits.waiting {
		waiting = append(waiting, s)
	}
	g.limits.mu.Unlock()
	for _, s := range waiting {
		s.serveRoom()
	}
}

func (g *Group) want(s *NetworkStream) {
	g.limits.mu.Lock()
	defer g.limits.mu.Unlock()
	if g.limits.waiting == nil {
		g.limits.waiting = make(map[*NetworkStream]struct{})
	}
	g.limits.waiting[s] = struct{}{}
	g.limits.wanted.Store(true)
}

func (g *Group) unwant(s *NetworkStream) {
	g.limits.mu.Lock()
	defer g.limits.mu.Unlock()
	delete(g.limits.waiting, s)
	g.limits.wanted.Store(len(g.limits.waiting) > 0)
}
