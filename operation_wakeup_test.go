package netstream_test

import (
	"io"
	"runtime"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A blocking Read that has to wait allocates nothing, on any engine.
func TestABlockingReadThatWaitsAllocatesNothing(t *testing.T) {
	if kit.RaceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH == "386" || runtime.GOARCH == "s390x" {
		t.Skip("golang.org/x/sys, which makes the system calls here, allocates")
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.TLS() {
			t.Skip("crypto/tls allocates 24 bytes for each look")
		}
		if c.Network == "pipe" {
			t.Skip("a Pipe waits on channels of its own, for the sake of testing/synctest")
		}
		s, peer := c.WithPeer(t, nil)
		more := make(chan bool)
		go func() {
			one := []byte("1")
			for reads := uint64(1); <-more; reads++ {
				for s.Stats().ReadOps < reads { // it waits as soon as it is counted
					runtime.Gosched()
				}
				if _, err := peer.Write(one); err != nil {
					t.Error(err)
				}
			}
		}()
		defer close(more)
		buffer := make([]byte, 8)
		readOne := func() {
			more <- true
			if n, err := s.Read(buffer); n != 1 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
		}
		n := testing.AllocsPerRun(500, readOne)
		for range 4 { // what else runs allocates too
			n = min(n, testing.AllocsPerRun(500, readOne))
		}
		if n >= 1 {
			t.Errorf("%v allocations for each Read", n)
		}
	})
}

// A pooled wakeup serves one waiter after the other, in whatever order signal and wait come.
func TestEnd_WaitsAgainAndAgain(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		echo := kit.Async(func() error { _, err := io.CopyN(b, b, 2000); return err })
		for range 2000 {
			ar, err := a.BeginRead(make([]byte, 1), 0, 1, nil, nil)
			kit.Must(t, err)
			if _, err := a.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if n, err := a.EndRead(ar); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		kit.Must(t, kit.Within(t, "the echo", echo))
	})
}
