package netstream_test

import (
	"runtime"
	"runtime/debug"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A result is kept while its operation lives a million other lives.
func TestPromise06_AStaleResultAfterAMillionReuses(t *testing.T) {
	reuses := 1_000_000
	if kit.RaceEnabled || testing.Short() {
		reuses = 20_000 // the race detector is slow, and has the pool drop a part of what it is given
	}
	a, b := kit.ConnCase{Name: "pipe", Engine: netstream.EnginePortable, Network: "pipe"}.Pair(t, nil, nil)
	// A zero-byte write into a pipe completes at once and leaves nothing. One processor and no collection mean that
	// one operation serves nearly all: the pool can lose it only to goroutines of other tests.
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	write := func() netstream.AsyncResult {
		ar := kit.MustBegin(t, a, []byte{}, nil)
		if err := a.EndWrite(ar); err != nil {
			t.Fatal(err)
		}
		return ar
	}
	stale, lives := write(), 0
	for range reuses {
		if netstream.SameOperation(stale, write()) {
			lives++
		}
	}
	if lives < 1000 && !kit.RaceEnabled { // goroutines that earlier tests have left may take it from the pool
		t.Errorf("%d of %d operations were in the same place", lives, reuses)
	}
	wantStale(t, a, stale)
	// And so it is while somebody else's operation is pending in the same place, if the pool has it that way.
	pending := kit.MustBeginRead(t, b, make([]byte, 1), nil)
	for i := 0; i < 100 && !netstream.SameOperation(stale, pending); i++ {
		pending = kit.MustBeginRead(t, b, make([]byte, 1), nil)
	}
	t.Logf("a later life is pending: %t", netstream.SameOperation(stale, pending))
	wantStale(t, a, stale)
	if pending.IsCompleted() {
		t.Error("a stale result completed somebody else's operation")
	}
}

// wantStale checks everything that a result says whose operation was ended long ago.
func wantStale(t *testing.T, s *netstream.NetworkStream, stale netstream.AsyncResult) {
	t.Helper()
	kit.WantEndedAlready(t, "EndWrite of a stale result", s.EndWrite(stale))
	if _, err := s.EndRead(stale); err == nil {
		t.Error("EndRead took a stale result of a write")
	}
	if !stale.IsCompleted() {
		t.Error("a stale result is not completed")
	}
	if !stale.AsyncWaitHandle().WaitOneTimeout(0) {
		t.Error("the wait handle of a stale result is not set")
	}
	if s.Cancel(stale) {
		t.Error("a stale result was cancelled")
	}
}
