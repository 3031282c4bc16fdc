package promises_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// calamity is what happens to a stream with many operations under way.
type calamity struct {
	name   string
	cfg    netstream.Config
	strike func(s, peer *netstream.NetworkStream, results []netstream.AsyncResult)
}

func calamities() []calamity {
	return []calamity{
		{name: "Close", strike: func(s, _ *netstream.NetworkStream, _ []netstream.AsyncResult) { s.Close() }},
		{name: "CloseWithError", strike: func(s, _ *netstream.NetworkStream, _ []netstream.AsyncResult) {
			s.CloseWithError(errors.New("enough"))
		}},
		{name: "CloseTimeout", strike: func(s, _ *netstream.NetworkStream, _ []netstream.AsyncResult) {
			s.CloseTimeout(time.Millisecond)
		}},
		{name: "socket closed underneath", strike: func(s, _ *netstream.NetworkStream, _ []netstream.AsyncResult) { s.Socket().Close() }},
		{name: "shutdown of the socket", strike: func(s, _ *netstream.NetworkStream, _ []netstream.AsyncResult) {
			s.Socket().Shutdown(netstream.ShutdownBoth)
		}},
		{name: "peer closes", strike: func(_, peer *netstream.NetworkStream, _ []netstream.AsyncResult) { peer.Close() }},
		{name: "peer resets", strike: func(_, peer *netstream.NetworkStream, _ []netstream.AsyncResult) {
			peer.Socket().SetLinger(0)
			peer.Close()
		}},
		{name: "deadline", strike: func(s, _ *netstream.NetworkStream, _ []netstream.AsyncResult) {
			s.SetDeadline(time.Now().Add(100 * time.Microsecond))
		}},
		{name: "Cancel of all", strike: func(s, _ *netstream.NetworkStream, results []netstream.AsyncResult) {
			for _, ar := range results {
				s.Cancel(ar)
			}
		}},
		{name: "CloseWrite", strike: func(s, _ *netstream.NetworkStream, _ []netstream.AsyncResult) { s.CloseWrite() }},
		{name: "drops", cfg: netstream.Config{MaxPendingWrites: 20, Overflow: netstream.OverflowDropOldest},
			strike: func(s, _ *netstream.NetworkStream, _ []netstream.AsyncResult) {}},
		{name: "overflow closes", cfg: netstream.Config{MaxPendingWrites: 30, Overflow: netstream.OverflowClose},
			strike: func(s, _ *netstream.NetworkStream, _ []netstream.AsyncResult) {}},
		{name: "everything at once", cfg: netstream.Config{MaxPendingWrites: 30, Overflow: netstream.OverflowDropOldest},
			strike: func(s, peer *netstream.NetworkStream, results []netstream.AsyncResult) {
				go s.SetDeadline(time.Now())
				go peer.Close()
				go s.Cancel(results[len(results)/2])
				go s.CloseTimeout(0)
				s.Socket().Close()
			}},
	}
}

func TestPromise05_EachBeginCompletesExactlyOnce(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		for _, what := range calamities() {
			t.Run(what.name, func(t *testing.T) {
				for round := range 10 { // each with another part of the operations already out
					completesOnce(t, c, what, round)
				}
			})
		}
	})
}

// tally counts the callbacks and Ends of each operation.
type tally struct {
	calls, ends [200]atomic.Int32
	begun       int
}

func (y *tally) callback(end func(netstream.AsyncResult) error) netstream.AsyncCallback {
	return func(ar netstream.AsyncResult) {
		i := ar.AsyncState().(int)
		y.calls[i].Add(1)
		if err := end(ar); !kit.EndedAlready(err) {
			y.ends[i].Add(1)
		}
	}
}

func completesOnce(t *testing.T, c kit.ConnKind, what calamity, round int) {
	a, b := c.Pair(t, &what.cfg, nil)
	kit.SmallBuffers(t, a, b)
	var y tally
	var results []netstream.AsyncResult
	wrote, read := y.callback(a.EndWrite), y.callback(kit.EndOf(a, true))
	reading := kit.Async(func() error { // a peer that reads and writes a part, so that the strike finds all stages
		p := make([]byte, 10_000*round)
		for n := 0; n < len(p); {
			m, err := b.Read(p[n:])
			if err != nil {
				return err
			}
			n += m
			b.WriteContext(kit.CtxNever, p[:min(m, 10)])
		}
		return nil
	})
	for i := 0; i < len(y.calls); i += 2 {
		p := kit.Patterned(i, 1+i*100)
		if ar, err := a.BeginWrite(p, 0, len(p), wrote, i); err == nil {
			results, y.begun = append(results, ar), y.begun+1
		}
		if ar, err := a.BeginRead(make([]byte, 100), 0, 100, read, i+1); err == nil {
			results, y.begun = append(results, ar), y.begun+1
		}
	}
	struck := kit.Async(func() error { what.strike(a, b, results); return nil })
	kit.Within(t, "the strike", struck)
	a.Close()
	b.Close()
	kit.Within(t, "Done", a.Done())
	kit.Within(t, "the peer", reading)
	called := 0
	for i := range y.calls {
		calls, ends := y.calls[i].Load(), y.ends[i].Load()
		if calls > 1 || ends != calls {
			t.Errorf("operation %d: %d callbacks, %d successful Ends", i, calls, ends)
		}
		called += int(calls)
	}
	if called != y.begun {
		t.Errorf("%d operations begun, %d completed", y.begun, called)
	}
	for _, ar := range results {
		if !ar.IsCompleted() {
			t.Error("not completed after Done")
		}
	}
	kit.WantPending(t, a, 0, 0)
}

func TestPromise05_ShutdownOfTheGroupCompletesEachOnce(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		var group netstream.Group
		var y tally
		streams := 0
		for ; streams < 5; streams++ {
			a, b := c.Pair(t, &netstream.Config{Group: &group}, nil)
			kit.SmallBuffers(t, a, b)
			for i := range 40 {
				p := kit.Patterned(i, 10_000)
				if _, err := a.BeginWrite(p, 0, len(p), y.callback(a.EndWrite), streams*40+i); err != nil {
					t.Fatal(err)
				}
			}
			kit.MustBeginRead(t, a, make([]byte, 10), nil)
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
		defer cancel()
		var all []*netstream.NetworkStream
		for s := range group.Streams() {
			all = append(all, s)
		}
		shut := kit.Async(func() error { return group.Shutdown(ctx) })
		if err := kit.Within(t, "Shutdown", shut); err == nil {
			t.Error("Shutdown lost nothing although no peer has read")
		}
		for _, s := range all {
			kit.Within(t, "Done of a stream of the group", s.Done())
		}
		for i := range 40 * streams {
			if calls, ends := y.calls[i].Load(), y.ends[i].Load(); calls != 1 || ends != 1 {
				t.Errorf("operation %d: %d callbacks, %d successful Ends", i, calls, ends)
			}
		}
	})
}

// Close meets a read that is just about to wait: whichever comes first, the read must come back.
func TestPromise05_CloseMeetsAReadThatBeginsToWait(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		rounds := 100
		if c.Network == "pipe" && !c.TLS() {
			rounds = 20_000 // costs next to nothing there
		}
		var spin atomic.Int64
		for round := range rounds {
			a, b := c.Pair(t, nil, nil)
			kit.MustBeginRead(t, a, make([]byte, 1), nil)
			for range round % 100 * 50 { // up to some microseconds, to meet every step of the read
				spin.Add(1)
			}
			kit.CloseAndWait(t, a)
			b.Close()
		}
	})
}
