package lifecycle_test

import (
	"runtime"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A stream that is forgotten open leaves the group when it is collected. What it has done stays counted, at every moment.
func TestGroup_StatsNeverGoDown(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		group := new(netstream.Group)
		const streams = 10
		for i := range streams {
			kit.ForgetStream(t, c, group, i)
		}
		want := group.Stats()
		if want.BytesWritten == 0 || want.BytesRead == 0 {
			t.Fatalf("%+v", want)
		}
		kit.Eventually(t, "all are collected", func() bool {
			runtime.GC()
			st := group.Stats()
			left := st.Streams
			st.Streams = want.Streams
			if st != want {
				t.Fatalf("%+v with %d streams left, %+v before", st, left, want)
			}
			return left == 0
		})
		for s := range group.Streams() {
			t.Errorf("%v is still there", s)
		}
	})
}
