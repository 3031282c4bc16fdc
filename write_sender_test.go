package netstream_test

import (
	"io"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A burst is over when its writes are: one that comes after a pause is sent by Begin itself.
func TestAWriteAfterABurstIsSentAtOnce(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		go io.Copy(io.Discard, peer)
		left := 0
		for range 10 {
			for range 500 {
				if _, err := s.BeginWrite([]byte("burst"), 0, 5, func(ar netstream.AsyncResult) { s.EndWrite(ar) }, nil); err != nil {
					t.Fatal(err)
				}
			}
			kit.Eventually(t, "the burst's end", func() bool { n, _ := s.Pending(); return n == 0 })
			time.Sleep(25 * time.Millisecond) // the pause itself, not a wait for something
			ar, err := s.BeginWrite([]byte("alone"), 0, 5, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !ar.CompletedSynchronously() {
				left++
			}
			if err := s.EndWrite(ar); err != nil {
				t.Fatal(err)
			}
		}
		if left > 1 { // one: on a machine that stood still, the loop may have been at work yet
			t.Errorf("%d of 10 writes were left to the loop", left)
		}
	})
}

// Who has asked gets the answer at once, however often: it is not left to the loop, and moves nothing there.
func TestSender_AnAnswerIsSentAtOnce(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		before, _ := a.Socket().Engine()
		one, answer := make([]byte, 1), []byte("answer")
		for range 500 {
			kit.Must(t, kit.WriteAll(b, "?"))
			if _, err := a.Read(one); err != nil {
				t.Fatal(err)
			}
			ar, err := a.BeginWrite(answer, 0, len(answer), nil, nil)
			kit.Must(t, err)
			if !ar.CompletedSynchronously() {
				t.Fatal("an answer was left to the loop")
			}
			kit.Must(t, a.EndWrite(ar))
			kit.ReadExactly(t, b, answer)
		}
		if after, why := a.Socket().Engine(); after != before {
			t.Errorf("on %v (%s), was on %v", after, why, before)
		}
	})
}
