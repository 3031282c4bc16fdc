package netstream_test

import (
	"runtime"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// onOneProcessor runs f, with a single processor, until it returns true: what f starts elsewhere does not run before f
// waits, so what has been done when a call returns was done by that call. A machine that stands still can let others run
// all the same, therefore f has several tries.
func onOneProcessor(t *testing.T, promise string, f func() bool) {
	t.Helper()
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range 5 {
		if f() {
			return
		}
	}
	t.Errorf("not once in 5 tries: %s", promise)
}

// A BeginRead that makes the stream move to the loop leaves the queued writes to the loop.
func TestPromise01_BeginReadSendsNothingForOthers(t *testing.T) {
	c := kit.ConnCase{Name: "auto-tcp", Engine: netstream.EngineAuto, Network: "tcp"}
	if !kit.HaveEpoll || !c.Usable() {
		t.Skip("only an EngineAuto stream of Linux moves")
	}
	onOneProcessor(t, "BeginRead leaves the queued writes to the loop", func() bool {
		s, _ := c.Pair(t, &netstream.Config{Send: netstream.SendDeferred}, nil)
		defer s.Close()
		block := make([]byte, 64<<10)
		for range 16 {
			if _, err := s.BeginWrite(block, 0, len(block), nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := s.BeginRead(block, 0, 1, nil, nil); err != nil {
			t.Fatal(err)
		}
		return s.Stats().BytesWritten == 0
	})
}

// However much waits and however large the buffer, a BeginRead copies 64 KiB at most.
func TestPromise01_BeginReadTakesLittle(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.TLS() {
			t.Skip("Available does not tell how much has arrived, and a read takes a record at most")
		}
		s, peer := c.Pair(t, nil, nil)
		writing := kit.Async(func() error { _, err := peer.Write(make([]byte, 4<<20)); return err })
		kit.Eventually(t, "much has arrived", func() bool {
			n, err := s.Socket().Available()
			return n >= 64<<10 && err == nil
		})
		buffer := make([]byte, 4<<20)
		ar, err := s.BeginRead(buffer, 0, len(buffer), nil, nil)
		kit.Must(t, err)
		n, err := s.EndRead(ar)
		kit.Must(t, err)
		if !ar.CompletedSynchronously() || n > 64<<10 {
			t.Errorf("%d bytes, synchronously: %t; want at most 65,536 at once", n, ar.CompletedSynchronously())
		}
		s.Close()
		<-writing
	})
}

// A blocking Read returns with its own data; the reads begun behind it are served elsewhere.
func TestARead_DoesNotServeThoseBehindIt(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Engine == netstream.EngineEpoll {
			t.Skip("a blocking Read of this engine is served by the loop")
		}
		onOneProcessor(t, "Read leaves the reads behind it to others", func() bool {
			s, peer := c.Pair(t, &netstream.Config{Engine: netstream.EnginePortable}, nil)
			const behind = 200
			results := make([]netstream.AsyncResult, behind)
			completed := make(chan int)
			go func() {
				if _, err := s.Read(make([]byte, 1)); err != nil {
					t.Error(err)
				}
				n := 0
				for _, ar := range results {
					if ar.IsCompleted() {
						n++
					}
				}
				completed <- n
			}()
			kit.Eventually(t, "the Read waits", kit.BegunReads(s, 1))
			for i := range results {
				var err error
				if results[i], err = s.BeginRead(make([]byte, 1), 0, 1, nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := peer.Write(make([]byte, behind+1)); err != nil {
				t.Fatal(err)
			}
			n := <-completed
			for _, ar := range results {
				if _, err := s.EndRead(ar); err != nil {
					t.Fatal(err)
				}
			}
			return n < behind
		})
	})
}
