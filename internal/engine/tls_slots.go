package engine

import (
	"runtime"
	"sync/atomic"
	"time"
)

// slots bound how many handshakes compute at a time, so that a flood of them leaves the processors to others now and then.
// A handshake that waits for its peer holds none. A callback of a tls.Config may wait for anything while it holds one:
// when nobody has given a slot back for slotPatience, one more handshake goes on without.
type slots struct {
	tokens   chan struct{}
	progress atomic.Uint64 // counts slots that were given back, and handshakes that went on without
}

const slotPatience = 10 * time.Millisecond

var computing = newSlots(runtime.GOMAXPROCS(0))

func newSlots(count int) *slots { return &slots{tokens: make(chan struct{}, count)} }

// acquire waits for a slot, and reports whether one was had, to be given back.
func (s *slots) acquire() bool {
	select {
	case s.tokens <- struct{}{}:
		return true
	default:
	}
	for {
		seen := s.progress.Load()
		timer := time.NewTimer(slotPatience)
		select {
		case s.tokens <- struct{}{}:
			timer.Stop()
			return true
		case <-timer.C:
			if s.progress.CompareAndSwap(seen, seen+1) {
				return false
			}
		}
	}
}

func (s *slots) release() {
	s.progress.Add(1)
	<-s.tokens
}
