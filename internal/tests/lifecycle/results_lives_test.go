package lifecycle_test

import (
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Operations are pooled, and the End of a completed one ends its life in one step. Whatever is done with a result
// meanwhile, by several goroutines at once and much later, reaches that life or none.
func TestResultsReachTheirOwnLifeOnly(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		go io.Copy(io.Discard, peer)
		l := &lives{T: t, stream: s, until: time.Now().Add(300 * time.Millisecond), lent: make([]byte, 3000)}
		var all sync.WaitGroup
		for seed := range 3 {
			all.Go(func() { l.run(uint64(seed)) })
		}
		all.Wait()
		if err := s.Drain(t.Context()); err != nil && l.cancelled.Load() == 0 {
			t.Error(err)
		}
		if begun, ended := l.begun.Load(), l.ended.Load(); ended != begun {
			t.Errorf("%d operations, %d successful claims of their Ends", begun, ended)
		}
	})
}

type lives struct {
	*testing.T
	stream                  *netstream.NetworkStream
	until                   time.Time
	lent                    []byte
	begun, ended, cancelled atomic.Int64
}

// end counts the Ends that were the one of their operation, successful or cancelled.
func (l *lives) end(ar netstream.AsyncResult) {
	if err := l.stream.EndWrite(ar); !endedTwice(err) {
		l.ended.Add(1)
	}
}

func (l *lives) run(seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 7))
	var old []netstream.AsyncResult
	for time.Now().Before(l.until) {
		var callback netstream.AsyncCallback
		called := make(chan struct{})
		if rng.IntN(2) == 0 {
			callback = func(ar netstream.AsyncResult) { l.end(ar); close(called) }
		}
		ar := l.begin(rng, callback, seed)
		var others sync.WaitGroup
		for range rng.IntN(3) {
			others.Go(func() { l.misuse(ar, rand.IntN(4)) })
		}
		l.end(ar)
		others.Wait()
		if callback != nil {
			<-called
		}
		if !ar.IsCompleted() || ar.AsyncState() != seed || !ar.AsyncWaitHandle().WaitOneTimeout(0) {
			l.Error("an ended result has changed its mind")
		}
		if old = append(old, ar); len(old) > 100 {
			stale := old[rng.IntN(len(old)-1)]
			if l.stream.Cancel(stale) || !endedTwice(l.stream.EndWrite(stale)) || !stale.IsCompleted() {
				l.Error("a stale result reached a later life")
			}
			old = old[50:]
		}
	}
}

func (l *lives) begin(rng *rand.Rand, callback netstream.AsyncCallback, state any) netstream.AsyncResult {
	l.begun.Add(1)
	var ar netstream.AsyncResult
	var err error
	if rng.IntN(2) == 0 {
		ar, err = l.stream.BeginWrite(l.lent, 0, rng.IntN(len(l.lent)), callback, state)
	} else {
		pieces := [][]byte{l.lent[:rng.IntN(300)], l.lent[:rng.IntN(10)], l.lent[:rng.IntN(400)]}
		ar, err = l.stream.BeginWritev(pieces, callback, state)
	}
	if err != nil {
		l.Error(err)
	}
	return ar
}

func (l *lives) misuse(ar netstream.AsyncResult, how int) {
	switch how {
	case 0:
		ar.IsCompleted()
	case 1:
		if l.stream.Cancel(ar) {
			l.cancelled.Add(1)
		}
	case 2:
		if !ar.AsyncWaitHandle().WaitOneTimeout(time.Minute) || !ar.IsCompleted() {
			l.Error("the handle was not set by the completion")
		}
	case 3:
		l.end(ar)
	}
}

func endedTwice(err error) bool {
	var e *netstream.InvalidOperationError
	return errors.As(err, &e)
}
