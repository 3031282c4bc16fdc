package netstream_test

import (
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// What a stream costs in goroutines: nothing on a loop, whatever waits; on the portable engine one for each direction
// that waits, and none otherwise.

// budget counts the goroutines that are there now and returns a function that fails the test unless, soon, there are
// between least and most more than that.
func budget(t *testing.T) func(what string, least, most int) {
	t.Helper()
	settled, same := 0, 0
	// What earlier tests have closed lingers on goroutines, which would be missed if they ended later.
	eventually(t, "nothing lingers", func() bool { return netstream.Lingering() == 0 })
	eventually(t, "the number of goroutines settles", func() bool { // the watchdog watches for 32 ms after the last work
		if now := runtime.NumGoroutine(); now == settled {
			same++
		} else {
			settled, same = now, 0
		}
		time.Sleep(10 * time.Millisecond)
		return same >= 10
	})
	return func(what string, least, most int) {
		t.Helper()
		var more int
		within := func() bool {
			more = runtime.NumGoroutine() - settled
			return more >= least && more <= most
		}
		for end := time.Now().Add(patience); !within(); time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%s: %d goroutines more, want %d to %d", what, more, least, most)
			}
		}
	}
}

// slack is what the loops' own goroutines (pollers, those that were relieved, runners, the watchdog) may add or, when the
// loops end, take away.
var slack = 8 + runtime.GOMAXPROCS(0)

// crowd is many streams with the plain connections at their other ends.
type crowd struct {
	streams []*netstream.NetworkStream
	peers   []net.Conn
}

func newCrowd(t *testing.T, c connCase, n int) *crowd {
	t.Helper()
	if !c.usable() {
		t.Skip("not this engine")
	}
	warm, _ := c.withPeer(t, nil) // starts the loops
	warm.Close()
	w := new(crowd)
	for range n {
		s, peer := c.withPeer(t, nil)
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
		if err := within(t, "a read", ended); err != nil {
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
	for _, c := range []connCase{
		{"epoll-tcp", netstream.EngineEpoll, "tcp"},
		{"epoll-unix", netstream.EngineEpoll, "unix"},
		{"auto-tcp", netstream.EngineAuto, "tcp"},
		{"auto-unix", netstream.EngineAuto, "unix"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !haveEpoll {
				t.Skip("needs a loop")
			}
			w := newCrowd(t, c, 500)
			more := budget(t)
			ended := w.beginReads(t)
			more("500 pending reads", -slack, slack)
			for _, s := range w.streams {
				if engine, why := s.Socket().Engine(); engine != netstream.EngineEpoll {
					t.Fatalf("on %v: %s", engine, why)
				}
			}
			w.feed(t, ended)
			more("500 reads ended", -slack, slack)
		})
	}
}

func TestGoroutinesOfPendingWritesOnTheLoop(t *testing.T) {
	for _, c := range []connCase{
		{"epoll-tcp", netstream.EngineEpoll, "tcp"},
		{"auto-tcp", netstream.EngineAuto, "tcp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !haveEpoll {
				t.Skip("needs a loop")
			}
			w := newCrowd(t, c, 30)
			more := budget(t)
			ended := w.beginWrites(t)
			more("30 pending writes", -slack, slack)
			if len(ended) > 0 {
				t.Errorf("%d writes ended although nobody reads", len(ended))
			}
			for _, s := range w.streams {
				s.Close()
			}
			for range w.streams {
				if err := within(t, "a write", ended); err == nil {
					t.Error("a write succeeded although nobody reads")
				}
			}
			more("all closed", -slack, slack)
		})
	}
}

func TestGoroutinesOfThePortableEngine(t *testing.T) {
	for _, network := range []string{"tcp", "unix"} {
		t.Run(network, func(t *testing.T) {
			const n = 100
			w := newCrowd(t, connCase{"portable-" + network, netstream.EnginePortable, network}, n)
			more := budget(t)
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
	more := budget(t)
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
