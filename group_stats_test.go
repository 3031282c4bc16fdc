package netstream_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// A stream that is forgotten open leaves the group when it is collected. What it has done stays counted, at every moment.
func TestGroup_StatsNeverGoDown(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		group := new(netstream.Group)
		const streams = 10
		for i := range streams {
			forgetStream(t, c, group, i)
		}
		want := group.Stats()
		if want.BytesWritten == 0 || want.BytesRead == 0 {
			t.Fatalf("%+v", want)
		}
		eventually(t, "all are collected", func() bool {
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

// forgetStream makes a stream of the group, uses it and forgets it open.
func forgetStream(t *testing.T, c connCase, group *netstream.Group, i int) {
	if c.network == "pipe" { // both ends are in the group
		a, b := netstream.Pipe(c.config(&netstream.Config{Group: group}))
		useStream(t, a, b, i)
		return
	}
	conn, peer := c.netPair(t)
	t.Cleanup(func() { peer.Close() })
	useStream(t, mustNew(t, conn, c.config(&netstream.Config{Group: group})), peer, i)
}

func useStream(t *testing.T, s *netstream.NetworkStream, peer io.ReadWriter, i int) {
	p := make([]byte, 100+i)
	rowOK(t, s.EndWrite(mustBegin(t, s, p, nil)))
	if _, err := io.ReadFull(peer, p); err != nil {
		t.Fatal(err)
	}
	if _, err := peer.Write(p[:10]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(s, p[:10]); err != nil {
		t.Fatal(err)
	}
}
