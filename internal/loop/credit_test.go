package loop

import (
	"sync"
	"sync/atomic"
	"testing"
)

func TestCreditIsGivenOncePerMoment(t *testing.T) {
	var c Credit
	for _, now := range []uint64{0, 1, 2, 1 << 40, 7, 1<<56 + 7} { // the last one is 7 again
		var wg sync.WaitGroup
		var taken atomic.Int64
		for range 8 {
			wg.Go(func() {
				for range 100 {
					if c.Take(now, 5) {
						taken.Add(1)
					}
				}
			})
		}
		wg.Wait()
		want := int64(5)
		if now == 1<<56+7 {
			want = 0
		}
		if n := taken.Load(); n != want {
			t.Errorf("moment %d: taken %d times, want %d", now, n, want)
		}
	}
	if c.Take(8, 0) {
		t.Error("took one of none")
	}
}
