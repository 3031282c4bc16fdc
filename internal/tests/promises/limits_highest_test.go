package promises_test

import (
	"io"
	"math"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Without a limit, what is pending is counted right however large a write is: 2 TiB are one write, and not none.
func TestPromise13_PendingIsRightForAnySize(t *testing.T) {
	for name, cfg := range map[string]*netstream.Config{
		"no limit": {MaxPendingBytes: -1, MaxPendingWrites: -1},
		"highest":  {MaxPendingBytes: math.MaxInt64, MaxPendingWrites: math.MaxInt},
	} {
		t.Run(name, func(t *testing.T) {
			s, peer := netstream.Pipe(cfg)
			defer peer.Close()
			block := make([]byte, 64<<20)
			pieces := make([][]byte, 1<<15) // 2 TiB
			for i := range pieces {
				pieces[i] = block
			}
			ar, err := s.BeginWritev(pieces, nil, nil)
			kit.Must(t, err)
			kit.WantPending(t, s, 1, 256<<30) // what one write counts for at most
			_, behind := kit.Begin(t, s, []byte("behind"))
			kit.WantPending(t, s, 2, 256<<30+6)
			kit.Must(t, s.Close())
			kit.WantAborted(t, "the large write", s.EndWrite(ar), "NetworkStream")
			kit.Within(t, "the write behind", behind)
			kit.WantIdle(t, s)
			if n, err := io.Copy(io.Discard, peer); n > 128<<10 || err == nil {
				t.Errorf("the peer got %d bytes, %v", n, err)
			}
		})
	}
}
