package netstream_test

import (
	"io"
	"runtime"
	"testing"
)

// A blocking Read that has to wait allocates nothing, on any engine.
func TestABlockingReadThatWaitsAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	if runtime.GOOS != "linux" || runtime.GOARCH == "386" || runtime.GOARCH == "s390x" {
		t.Skip("golang.org/x/sys, which makes the system calls here, allocates")
	}
	eachConn(t, func(t *testing.T, c connCase) {
		if c.network == "pipe" {
			t.Skip("a Pipe waits on channels of its own, for the sake of testing/synctest")
		}
		s, peer := c.withPeer(t, nil)
		more := make(chan bool)
		go func() {
			one := []byte("1")
			for range more {
				for !s.ReadWaits() {
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
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		echo := async(func() error { _, err := io.CopyN(b, b, 2000); return err })
		for range 2000 {
			ar, err := a.BeginRead(make([]byte, 1), 0, 1, nil, nil)
			must(t, err)
			if _, err := a.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
			if n, err := a.EndRead(ar); n != 1 || err != nil {
				t.Fatal(n, err)
			}
		}
		must(t, within(t, "the echo", echo))
	})
}
