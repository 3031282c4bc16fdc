package engine

import (
	"math"
	"reflect"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
)

// What an idle connection costs in memory: a size class of the allocator, and a word more would cost the next one.
func TestEpollFitsInItsSizeClass(t *testing.T) {
	if size := reflect.TypeFor[epoll]().Size(); size > 48 {
		t.Errorf("an engine on a loop has %d bytes", size)
	}
}

// A cancel that comes late does not take back one of a later wait. Ids wrap around.
func TestEpoll_ALateCancelHidesNoLaterOne(t *testing.T) {
	const last = math.MaxUint32
	for _, ids := range [][2]uint32{{1, 2}, {last - 1, last}, {last, 0}} {
		e := &epoll{socket: new(loop.Socket)}
		for _, id := range []uint32{ids[0], ids[1], ids[0]} {
			e.Cancel(Read, id, false)
		}
		if !e.wasCancelled(Read, ids[1]) || e.wasCancelled(Read, ids[0]) || e.wasCancelled(Write, ids[1]) {
			t.Errorf("%v: the second one is not the one that was cancelled", ids)
		}
	}
}
