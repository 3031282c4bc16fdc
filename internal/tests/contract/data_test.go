package contract_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func discard(r io.Reader, n int) { io.CopyN(io.Discard, r, int64(n)) }

// Rows 54, 68, 70, 72: twenty writes of all sizes, begun ahead of a slow reader, arrive whole and in order; a
// blocking one in between waits its turn.
func TestContractWritesInOrder(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		var want []byte
		results := []netstream.AsyncResult{kit.StartStuckWrite(t, s, nil)} // so that all the others have to wait
		for i := range 20 {
			p := bytes.Repeat([]byte{byte('a' + i)}, 100<<(i*2%12))
			want = append(want, p...)
			ar, err := s.BeginWrite(p, 0, len(p), nil, nil)
			rowOK(t, err)
			results = append(results, ar)
		}
		blocking := make(chan error, 1)
		writes, _ := s.Pending()
		go func() { _, err := s.Write([]byte("blocking")); blocking <- err }()
		kit.Eventually(t, "the blocking write has its place", func() bool { n, _ := s.Pending(); return n > writes })
		last := kit.StartWrite(t, s, "last")
		want = append(want, "blockinglast"...)
		discard(peer, len(kit.Large))
		got := make([]byte, len(want))
		if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("not whole or not in order (%v)", err)
		}
		rowOK(t, kit.Within(t, "Write", blocking))
		for _, ar := range append(results, last) {
			rowOK(t, s.EndWrite(ar))
		}
	})
}

// Rows 71, 150, 184: writers on many goroutines, blocking and begun, never mix their bytes.
func TestContractWritersDoNotInterleave(t *testing.T) {
	const writers, each, size = 4, 50, 2000
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		var wg sync.WaitGroup
		defer wg.Wait()
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					p := bytes.Repeat([]byte{byte(w)}, size)
					binary.BigEndian.PutUint32(p, uint32(i))
					var err error
					if w%2 == 0 {
						_, err = s.Write(p)
					} else {
						ar, beginErr := s.BeginWrite(p, 0, size, nil, nil)
						if err = beginErr; err == nil {
							err = s.EndWrite(ar)
						}
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		next := make([]uint32, writers)
		p := make([]byte, size)
		for range writers * each {
			if _, err := io.ReadFull(peer, p); err != nil {
				t.Fatal(err)
			}
			w, i := p[size-1], binary.BigEndian.Uint32(p)
			if int(w) >= writers || i != next[w] || bytes.Count(p[4:], []byte{w}) != size-4 {
				t.Fatalf("record %d of writer %d is mixed or out of order", i, w)
			}
			next[w]++
		}
	})
}

// Row 69: success says that the kernel has the bytes; nobody needs to have read them.
func TestContractSuccessIsNotDelivery(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		rowOK(t, s.EndWrite(kit.StartWrite(t, s, "unread")))
		kit.ReadText(t, peer, "unread")
	})
}

// Rows 73 to 75: a write of nothing is an operation like any other.
func TestContractZeroByteWrite(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R73 healthy", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			ran := make(chan error, 1)
			_, err := s.BeginWrite([]byte{}, 0, 0, func(ar netstream.AsyncResult) { ran <- s.EndWrite(ar) }, nil)
			rowOK(t, err)
			rowOK(t, kit.Within(t, "callback", ran))
			kit.WriteText(t, s, "next")
			kit.ReadText(t, peer, "next")
		})
		t.Run("R74 behind a pending write", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			stuck := kit.StartStuckWrite(t, s, nil)
			none := kit.StartWrite(t, s, "")
			if none.AsyncWaitHandle().WaitOneTimeout(10*time.Millisecond) || stuck.IsCompleted() {
				t.Error("completed before the write ahead of it")
			}
			go discard(peer, len(kit.Large))
			rowOK(t, s.EndWrite(none))
			if !stuck.IsCompleted() {
				t.Error("completed before the write ahead of it")
			}
			rowOK(t, s.EndWrite(stuck))
		})
		t.Run("R75 shut down", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			rowOK(t, s.Socket().Shutdown(netstream.ShutdownSend))
			kit.Code(netstream.CodeShutdown)(t, s.EndWrite(kit.StartWrite(t, s, "")))
		})
		t.Run("R147 Write of nothing", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			n, err := s.Write(nil)
			if n != 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			s.Close()
			_, err = s.Write(nil)
			kit.Aborted("NetworkStream")(t, err)
		})
	})
}

// Row 77: a pending read does not hold a write up, nor the other way round.
func TestContractDirectionsAreIndependent(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		read, p := kit.StartRead(t, s, 2)
		rowOK(t, s.EndWrite(kit.StartWrite(t, s, "out")))
		kit.ReadText(t, peer, "out")
		stuck := kit.StartStuckWrite(t, s, nil)
		kit.WriteText(t, peer, "in")
		if n, err := s.EndRead(read); n != 2 || err != nil || string(p) != "in" {
			t.Errorf("%d, %v, %q", n, err, p)
		}
		if stuck.IsCompleted() {
			t.Error("8 MiB went out and nobody reads")
		}
	})
}

// Row 66: a panic in a callback ends the process, as an unhandled exception does. The test runs itself.
func TestContractPanicInCallback(t *testing.T) {
	if os.Getenv("NETSTREAM_TEST_PANIC") != "" {
		a, _ := netstream.Pipe(nil)
		if _, err := a.BeginWrite([]byte("x"), 0, 1, func(netstream.AsyncResult) { panic("out of a callback") }, nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(kit.Patience) // the process ends during this
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestContractPanicInCallback$")
	cmd.Env = append(os.Environ(), "NETSTREAM_TEST_PANIC=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "panic: out of a callback") {
		t.Errorf("the process ended with %v:\n%s", err, out)
	}
}
