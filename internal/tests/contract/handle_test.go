package contract_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Rows 56 to 59: what a callback gets, and that neither it nor a state is needed.
func TestContractCallback(t *testing.T) {
	type state struct{ n int }
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		kit.WriteText(t, peer, "in")
		for _, b := range rowBegins {
			for _, want := range []any{&state{1}, state{2}, 3, nil, []int{4}} {
				var calls atomic.Int32
				ch := make(chan netstream.AsyncResult, 2)
				size := 0 // may be repeated as often as one likes, in both directions
				begun, err := b.begin(s, []byte{1}, 0, size, func(ar netstream.AsyncResult) {
					calls.Add(1)
					if !ar.IsCompleted() || !ar.AsyncWaitHandle().WaitOneTimeout(0) {
						t.Errorf("R57 %s: not completed in its callback", b.name)
					}
					ch <- ar
				}, want)
				rowOK(t, err)
				got := kit.Within(t, "callback", ch)
				rowOK(t, rowEndOf(s, b.name, got)) // R56: the callback's result is Begin's
				rowTwice(t, rowEndOf(s, b.name, begun))
				if _, uncomparable := want.([]int); uncomparable {
					if len(got.AsyncState().([]int)) != 1 || got.AsyncState().([]int)[0] != 4 {
						t.Errorf("R59 %s: state %v", b.name, got.AsyncState())
					}
				} else if got.AsyncState() != want || begun.AsyncState() != want {
					t.Errorf("R59 %s: states %v and %v, want %v", b.name, got.AsyncState(), begun.AsyncState(), want)
				}
				if calls.Load() != 1 {
					t.Errorf("R56 %s: %d callbacks", b.name, calls.Load())
				}
			}
			ar, err := b.begin(s, []byte{1}, 0, 0, nil, nil) // R58
			rowOK(t, err)
			rowOK(t, rowEndOf(s, b.name, ar))
		}
	})
}

func rowEndOf(s *netstream.NetworkStream, begin string, ar netstream.AsyncResult) error {
	if begin == "BeginWrite" {
		return s.EndWrite(ar)
	}
	_, err := s.EndRead(ar)
	return err
}

// Rows 52, 53, 118: what is done at once says so, and its callback still runs elsewhere: here it could not run at
// all before Begin has returned.
func TestContractCompletedAtOnce(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, name := range []string{"R52 write", "R53 failing write", "R118 read"} {
			t.Run(name, func(t *testing.T) {
				s, peer := c.Pair(t, nil, nil)
				returned := make(chan struct{})
				ran := make(chan netstream.AsyncResult, 1)
				callback := func(ar netstream.AsyncResult) { <-returned; ran <- ar }
				var ar netstream.AsyncResult
				var err error
				switch name {
				case "R118 read":
					kit.WriteText(t, peer, "in")
					kit.Eventually(t, "data", func() bool { ok, _ := s.DataAvailable(); return ok })
					ar, err = s.BeginRead(make([]byte, 4), 0, 4, callback, nil)
				case "R53 failing write":
					rowOK(t, s.CloseWrite())
					fallthrough
				default:
					time.Sleep(2 * time.Millisecond) // in its own millisecond a push has credit, so the caller sends it
					ar, err = s.BeginWrite([]byte("out"), 0, 3, callback, nil)
				}
				rowOK(t, err)
				if !ar.IsCompleted() || !ar.CompletedSynchronously() {
					t.Errorf("completed %v, synchronously %v", ar.IsCompleted(), ar.CompletedSynchronously())
				}
				close(returned)
				if got := kit.Within(t, "callback", ran); !got.CompletedSynchronously() {
					t.Error("the callback's copy says otherwise")
				}
			})
		}
	})
}

// Rows 54, 108 to 113: the result of an operation that is pending, before and after.
func TestContractWaitHandle(t *testing.T) {
	endings := []struct {
		name   string
		finish func(t *testing.T, s, peer *netstream.NetworkStream)
		want   kit.Check
	}{
		{"succeeds", func(t *testing.T, _, peer *netstream.NetworkStream) { kit.WriteText(t, peer, "x") }, rowOK},
		{"R113 times out", func(t *testing.T, s, _ *netstream.NetworkStream) { rowOK(t, s.SetReadDeadline(time.Now())) },
			kit.Code(netstream.CodeTimedOut)},
		{"R113 is aborted", func(t *testing.T, s, _ *netstream.NetworkStream) { kit.CloseSoon(t, s) }, kit.Aborted("NetworkStream")},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, e := range endings {
			t.Run(e.name, func(t *testing.T) {
				s, peer := c.Pair(t, nil, nil)
				ar, _ := kit.StartRead(t, s, 1)
				h := ar.AsyncWaitHandle()
				if ar.IsCompleted() || ar.CompletedSynchronously() {
					t.Error("R108 R109: completed from the start")
				}
				if h.WaitOneTimeout(0) {
					t.Error("R111: set from the start")
				}
				start := time.Now()
				if h.WaitOneTimeout(10*time.Millisecond) || time.Since(start) < 10*time.Millisecond {
					t.Errorf("R111: not false after 10 ms but after %v", time.Since(start))
				}
				if netstream.WaitAny(time.Millisecond, h) != netstream.WaitTimeout {
					t.Error("R115: set")
				}
				woken := make(chan bool, 1)
				go func() { woken <- h.WaitOne() }()
				e.finish(t, s, peer)
				if !kit.Within(t, "WaitOne", woken) || !h.WaitOneTimeout(0) || !h.WaitOne() {
					t.Error("R112: not set, again and again")
				}
				kit.Within(t, "Done", h.Done())
				_, err := s.EndRead(ar)
				e.want(t, err)
				s.Close()
				if !ar.IsCompleted() || ar.CompletedSynchronously() {
					t.Error("R108 R54: changed its mind after End and Close")
				}
				if ar.AsyncWaitHandle() != h || !h.WaitOne() {
					t.Error("R110: another handle after End")
				}
			})
		}
	})
}

// Row 110: asked for only after the completion, and only after End.
func TestContractWaitHandleAskedLate(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, _ := c.Pair(t, nil, nil)
		ar := kit.StartWrite(t, s, "x")
		kit.Eventually(t, "completion", ar.IsCompleted)
		if h := ar.AsyncWaitHandle(); !h.WaitOneTimeout(0) || ar.AsyncWaitHandle() != h {
			t.Error("not set, or not the same")
		}
		rowOK(t, s.EndWrite(ar))
		ar = kit.StartWrite(t, s, "x")
		rowOK(t, s.EndWrite(ar))
		if !ar.AsyncWaitHandle().WaitOne() || !ar.IsCompleted() {
			t.Error("not set after End")
		}
	})
}

// Row 114: whatever a caller does to the handle, the operation goes on. A handle cannot be closed here; one that
// is reset by way of its type comes to no harm.
func TestContractWaitHandleMisused(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		ar, _ := kit.StartRead(t, s, 1)
		if e, ok := ar.AsyncWaitHandle().(*netstream.ManualResetEvent); ok {
			e.Set()
			if ar.IsCompleted() {
				t.Error("setting the handle has completed the operation")
			}
			e.Reset()
		}
		kit.WriteText(t, peer, "x")
		if n, err := s.EndRead(ar); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
	})
}

// Rows 63, 67: End while the callback runs, and Close from inside it.
func TestContractInsideCallback(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R63 End elsewhere does not wait for the callback", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			release := make(chan struct{})
			inside := make(chan struct{})
			ar, err := s.BeginWrite([]byte("x"), 0, 1, func(netstream.AsyncResult) { close(inside); <-release }, nil)
			rowOK(t, err)
			<-inside
			rowOK(t, s.EndWrite(ar))
			close(release)
		})
		t.Run("R67 closed inside the callback, then End", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			ended := make(chan error, 1)
			_, err := s.BeginWrite([]byte("x"), 0, 1, func(ar netstream.AsyncResult) {
				s.Close()
				ended <- s.EndWrite(ar)
			}, nil)
			rowOK(t, err)
			rowOK(t, kit.Within(t, "callback", ended))
			kit.Within(t, "Done", s.Done())
		})
		t.Run("R61 a callback blocks, the other direction proceeds", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			release := make(chan struct{})
			_, err := s.BeginWrite([]byte("x"), 0, 1, func(netstream.AsyncResult) { <-release }, nil)
			rowOK(t, err)
			kit.WriteText(t, peer, "in")
			ran := make(chan struct{})
			_, err = s.BeginRead(make([]byte, 2), 0, 2, func(netstream.AsyncResult) { close(ran) }, nil)
			rowOK(t, err)
			kit.Within(t, "the read's callback", ran)
			rowOK(t, s.EndWrite(kit.StartWrite(t, s, "more")))
			close(release)
		})
		t.Run("R64 Begin in its own callback, very often", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			const n = 2000
			done := make(chan error, 1)
			left := n
			var again netstream.AsyncCallback
			again = func(ar netstream.AsyncResult) {
				err := s.EndWrite(ar)
				if left--; left == 0 || err != nil {
					done <- err
					return
				}
				if _, err := s.BeginWrite([]byte("x"), 0, 1, again, nil); err != nil {
					done <- err
				}
			}
			_, err := s.BeginWrite([]byte("x"), 0, 1, again, nil)
			rowOK(t, err)
			p := make([]byte, n)
			for read := 0; read < n; {
				m, err := peer.Read(p[read:])
				if err != nil {
					t.Fatal(err)
				}
				read += m
			}
			rowOK(t, kit.Within(t, "the last callback", done))
		})
	})
}

// Row 62: callbacks of several pending writes come in the order of the data.
func TestContractCallbackOrder(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		const n = 50
		order := make(chan int, n)
		stuck := kit.StartStuckWrite(t, s, nil)
		for i := range n {
			_, err := s.BeginWrite([]byte{1}, 0, 1, func(ar netstream.AsyncResult) { order <- ar.AsyncState().(int) }, i)
			rowOK(t, err)
		}
		go discard(peer, len(kit.Large)+n)
		rowOK(t, s.EndWrite(stuck))
		for i := range n {
			if got := kit.Within(t, "callback", order); got != i {
				t.Fatalf("callback %d came in place of %d", got, i)
			}
		}
	})
}
