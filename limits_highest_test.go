package netstream_test

import (
	"io"
	"math"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
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
			must(t, err)
			wantPending(t, s, 1, 256<<30) // what one write counts for at most
			_, behind := begin(t, s, []byte("behind"))
			wantPending(t, s, 2, 256<<30+6)
			must(t, s.Close())
			wantAborted(t, "the large write", s.EndWrite(ar), "NetworkStream")
			within(t, "the write behind", behind)
			wantIdle(t, s)
			if n, err := io.Copy(io.Discard, peer); n > 128<<10 || err == nil {
				t.Errorf("the peer got %d bytes, %v", n, err)
			}
		})
	}
}
