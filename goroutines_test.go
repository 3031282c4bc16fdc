package netstream_test

import (
	"net"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What a stream costs in goroutines: nothing on a loop, whatever waits; on the portable engine one for each direction
// that waits, and none otherwise.

// afterLingering waits until nothing lingers: goroutines that end later would be missed.
func afterLingering(t *testing.T) func(what string, least, most int) {
	t.Helper()
	kit.Eventually(t, "nothing lingers", func() bool { return netstream.Lingering() == 0 })
	return kit.Budget(t)
}

// crowd is many streams with the plain connections at their other ends.
type crowd struct {
	streams []*netstream.NetworkStream
	peers   []net.Conn
}

func newCrowd(t *testing.T, c kit.ConnCase, n int) *crowd {
	t.Helper()
	if !c.Usable() {
		t.Skip("not this engine")
	}
	warm, _ := c.WithPeer(t, nil) // starts the loops
	warm.Close()
	w := new(crowd)
	for range n {
		s, peer := c.WithPeer(t, nil)
		w.streams, w.peers = append(w.streams, s), append(w.peers, peer)
	}
	return w
}

// beginReads begins a read on each stream; the channel gets what each callback is told.
func (w *crowd) beginReads(t *testing.T) <-chan error {
	t.Helper()
	ended := make(chan error, len(w.streams))
	for _, s := range w.streams {
		_, err := s.BeginRead(make([]byte, 1), 0, 1, func(ar netstream.AsyncResult) {
			_, err := s.EndRead(ar)
			ended <- err
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return ended
}

// feed gives each stream a byte and waits for all reads to end.
func (w *crowd) feed(t *testing.T, ended <-chan error) {
	t.Helper()
	if len(ended) != 0 {
		t.Error("reads ended before there was anything to read")
	}
	for _, peer := range w.peers {
		if _, err := peer.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	for range w.streams {
		if err := kit.Within(t, "a read", ended); err != nil {
			t.Fatal("EndRead:", err)
		}
	}
}

// beginWrites begins a write on each stream that the kernel cannot take whole.
func (w *crowd) beginWrites(t *testing.T) <-chan error {
	t.Helper()
	ended, big := make(chan error, len(w.streams)), make([]byte, 8<<20)
	for _, s := range w.streams {
		_, err := s.BeginWrite(big, 0, len(big), func(ar netstream.AsyncResult) { ended <- s.EndWrite(ar) }, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	return ended
}

func TestGoroutinesOfPendingReadsOnTheLoop(t *testing.T) {
	for _, c := range []kit.ConnCase{
		{Name: "epoll-tcp", Engine: netstream.EngineEpoll, Network: "tcp"},
		{Name: "epoll-unix", Engine: netstream.EngineEpoll, Network: "unix"},
		{Name: "auto-tcp", Engine: netstream.EngineAuto, Network: "tcp"},
		{Name: "auto-unix", Engine: netstream.EngineAuto, Network: "unix"},
	} {
		t.Run(c.Name, func(t *testing.T) {
			if !kit.HaveEpoll {
				t.Skip("needs a loop")
			}
			w := newCrowd(t, c, 500)
			more := afterLingering(t)
			ended := w.beginReads(t)
			more("500 pending reads", -kit.Slack, kit.Slack)
			for _, s := range w.streams {
				if engine, why := s.Socket().Engine(); engine != netstream.EngineEpoll {
					t.Fatalf("on %v: %s", engine, why)
				}
			}
			w.feed(t, ended)
			more("500 reads ended", -kit.Slack, kit.Slack)
		})
	}
}

func TestGoroutinesOfPendingWritesOnTheLoop(t *testing.T) {
	for _, c := range []kit.ConnCase{
		{Name: "epoll-tcp", Engine: netstream.EngineEpoll, Network: "tcp"},
		{Name: "auto-tcp", Engine: netstream.EngineAuto, Network: "tcp"},
	} {
		t.Run(c.Name, func(t *testing.T) {
			if !kit.HaveEpoll {
				t.Skip("needs a loop")
			}
			w := newCrowd(t, c, 30)
			more := afterLingering(t)
			ended := w.beginWrites(t)
			more("30 pending writes", -kit.Slack, kit.Slack)
			if len(ended) > 0 {
				t.Errorf("%d writes ended although nobody reads", len(ended))
			}
			for _, s := range w.streams {
				s.Close()
			}
			for range w.streams {
				if err := kit.Within(t, "a write", ended); err == nil {
					t.Error("a write succeeded although nobody reads")
				}
			}
			more("all closed", -kit.Slack, kit.Slack)
		})
	}
}

func TestGoroutinesOfThePortableEngine(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			const n = 100
			w := newCrowd(t, kit.ConnCase{Name: "portable-" + network, Engine: netstream.EnginePortable, Network: network}, n)
			more := afterLingering(t)
			for _, s := range w.streams {
				ar, err := s.BeginWrite([]byte("small"), 0, 5, nil, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.EndWrite(ar); err != nil {
					t.Fatal(err)
				}
				if _, err := s.Write([]byte("small")); err != nil {
					t.Fatal(err)
				}
			}
			more("idle streams that have written", 0, 0)
			ended := w.beginReads(t)
			more("pending reads", n, n)
			again := w.beginReads(t) // behind the first
			more("two pending reads each", n, n)
			w.feed(t, ended)
			w.feed(t, again)
			more("reads ended", 0, 0)
		})
	}
}

func TestGoroutinesOfPipes(t *testing.T) {
	more := afterLingering(t)
	const n = 50
	var reads []netstream.AsyncResult
	var ends [][2]*netstream.NetworkStream
	for range n {
		a, b := netstream.Pipe(nil)
		ends = append(ends, [2]*netstream.NetworkStream{a, b})
	}
	more("idle pipes", 0, 0)
	for _, end := range ends {
		ar, err := end[0].BeginRead(make([]byte, 1), 0, 1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		reads = append(reads, ar)
	}
	more("pending reads", n, n)
	for i, end := range ends {
		end[1].Close()
		end[0].EndRead(reads[i])
		end[0].Close()
	}
	more("closed", 0, 0)
}
