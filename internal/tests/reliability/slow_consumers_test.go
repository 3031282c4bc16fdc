package reliability_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// The limits that the hub of these tests sets, for each of its peers.
const (
	hubMessage = 2 << 10  // bytes; each peer gets its own copy, so that what is kept shows in the memory
	hubLimit   = 64 << 10 // Config.MaxPendingBytes
	hubRounds  = 4        // so many messages are on their way to a peer that reads, no more
)

// TestSlowConsumers has a hub, in a process of its own, send to many peers as fast as those that read can take it, once
// without slow peers and then, with each policy, with one in ten that does not read.
func TestSlowConsumers(t *testing.T) {
	peers := scaled(100, 1000)
	slow := peers / 10
	base := runHub(t, "without slow peers", hubTask{Peers: peers - slow})
	for _, policy := range []struct {
		name  string
		value netstream.Overflow
		check func(*testing.T, *hubRun)
	}{
		{"OverflowFail", netstream.OverflowFail, checkFail},
		{"OverflowDropOldest", netstream.OverflowDropOldest, checkDropOldest},
		{"OverflowClose", netstream.OverflowClose, checkClose},
	} {
		t.Run(policy.name, func(t *testing.T) {
			// Twice the time of the run without slow peers, and a second for what else this machine may have to do: a peer
			// that is delayed by one that does not read waits for seconds, in every run. A machine that stands still delays
			// what is on its way at that time, so of five runs one has to keep the limit.
			limit, p99 := 2*base.p99+time.Second, time.Duration(0)
			for range 5 {
				run := runHub(t, policy.name, hubTask{Peers: peers - slow, Slow: slow, Policy: policy.value})
				run.checkMemory(t, base)
				policy.check(t, run)
				if p99 = run.p99; p99 <= limit || t.Failed() {
					return
				}
			}
			t.Errorf("the 99th percentile is %v, without slow peers it was %v", p99, base.p99)
		})
	}
}

// hubRun is what came of one run.
type hubRun struct {
	task     hubTask
	end      hubEnd
	slow     []hubPeer
	p50, p99 time.Duration
}

// hubPeer is what one peer has seen.
type hubPeer struct {
	in   frameReader
	late []time.Duration
	err  error // what its reading ended with
}

// runHub starts the hub, is all of its peers, and checks those that read.
func runHub(t *testing.T, name string, task hubTask) *hubRun {
	t.Helper()
	task.For = lasting(400*time.Millisecond) / 4
	ch := kit.NewChild(t, "TestSlowConsumersChild", task)
	ch.Start(t)
	defer ch.Stop(t)
	var address string
	ch.Answer(t, time.Minute, &address)
	peers := make([]hubPeer, task.Peers+task.Slow)
	wake := make(chan struct{}) // the slow ones
	var wg sync.WaitGroup
	for i := range peers {
		conn, err := net.Dial("tcp", address)
		kit.Must(t, err)
		defer conn.Close()
		slow := i >= task.Peers
		wg.Go(func() {
			if slow {
				conn.(*net.TCPConn).SetReadBuffer(16 << 10)
				conn.Write([]byte("s"))
				<-wake
			} else {
				conn.Write([]byte("r"))
			}
			peers[i].read(conn)
		})
	}
	var published string
	ch.Answer(t, task.For+time.Minute, &published)
	close(wake)
	run := &hubRun{task: task, slow: peers[task.Peers:]}
	ch.Answer(t, time.Minute, &run.end)
	wg.Wait()
	run.checkReaders(t, peers[:task.Peers])
	e := run.end
	t.Logf("%s: %d peers, %d slow, %d rounds; p50 %v, p99 %v; resident +%d KB, heap +%d KB, at most %d KB in queues; refused %d, dropped %d, closed %d; the slow ones were offered %d KB",
		name, task.Peers, task.Slow, e.Rounds, run.p50, run.p99, (e.PeakMemory-e.BaseMemory)>>10, (e.Live-e.BaseLive)>>10, e.PeakPending>>10, e.Refused, e.Dropped, e.Closed, e.Rounds*task.Slow*hubMessage>>10)
	return run
}

// read reads to the end and measures how long each message took.
func (p *hubPeer) read(conn net.Conn) {
	p.in.max = hubMessage
	p.in.got = func(_ uint32, frame []byte) {
		p.late = append(p.late, time.Duration(time.Now().UnixNano()-int64(binary.BigEndian.Uint64(frame[13:]))))
	}
	buf := make([]byte, 16<<10)
	for {
		n, err := conn.Read(buf)
		if bad := p.in.feed(buf[:n]); bad != nil {
			err = bad
		}
		if err != nil {
			p.err = err
			return
		}
	}
}

// checkReaders holds that those who read got everything.
func (r *hubRun) checkReaders(t *testing.T, peers []hubPeer) {
	t.Helper()
	if r.end.Trouble != "" {
		t.Error("the hub:", r.end.Trouble)
	}
	var late []time.Duration
	for i := range peers {
		p := &peers[i]
		if p.err != io.EOF || !p.in.bye || len(p.in.left) > 0 || p.in.frames != r.end.Rounds+1 {
			t.Fatalf("a peer that reads got %d of %d messages, %d missing between: %v", p.in.frames, r.end.Rounds+1, len(p.in.left), p.err)
		}
		late = append(late, p.late...)
	}
	slices.Sort(late)
	r.p50, r.p99 = late[len(late)/2], late[len(late)*99/100]
}

// checkMemory holds the hub to its limits. What lives on the heap is exact: the queues of those who do not read, a quarter
// more for the operations themselves, and 4 MiB for the rest. What is resident holds garbage too, as much as the run
// without slow peers had: twice the queues more, and 32 MiB.
func (r *hubRun) checkMemory(t *testing.T, base *hubRun) {
	t.Helper()
	queues := int64(r.task.Slow * hubLimit)
	if live, allowed := r.end.Live-r.end.BaseLive, queues+queues/4+4<<20; live > allowed {
		t.Errorf("the hub's heap grew by %d KB, its limits allow for %d KB", live>>10, allowed>>10)
	}
	resident, allowed := r.end.PeakMemory-r.end.BaseMemory, base.end.PeakMemory-base.end.BaseMemory+2*queues+32<<20
	if resident > allowed {
		t.Errorf("the hub grew by %d KB, its limits allow for %d KB", resident>>10, allowed>>10)
	}
	if r.end.PeakStream > hubLimit {
		t.Errorf("%d bytes pending on one stream, the limit is %d", r.end.PeakStream, hubLimit)
	}
	if r.end.WritesBegun != r.end.WritesCompleted {
		t.Errorf("%d writes begun, %d completed", r.end.WritesBegun, r.end.WritesCompleted)
	}
}

// received sums up what the slow peers have read since they were woken, and holds it to be whole and in order.
func (r *hubRun) received(t *testing.T) (frames int) {
	t.Helper()
	for i := range r.slow {
		p := &r.slow[i]
		if p.err != io.EOF || len(p.in.buf) > 0 {
			t.Fatalf("a slow peer got %d messages, then %v (%d bytes of another)", p.in.frames, p.err, len(p.in.buf))
		}
		frames += p.in.frames
	}
	return frames
}

// checkFail: what did not fit was refused, what was accepted arrives, late.
func checkFail(t *testing.T, r *hubRun) {
	if r.end.Refused == 0 || r.end.Dropped != 0 || r.end.Closed != 0 {
		t.Errorf("%d refused, %d dropped, %d closed: want refused ones only", r.end.Refused, r.end.Dropped, r.end.Closed)
	}
	if got := r.received(t); got != r.end.SlowBegun {
		t.Errorf("%d messages were accepted for the slow peers, %d have arrived", r.end.SlowBegun, got)
	}
}

// checkDropOldest: everything is accepted, the oldest give way and are counted, the newest arrive.
func checkDropOldest(t *testing.T, r *hubRun) {
	if r.end.Refused != 0 || r.end.Dropped == 0 || r.end.Closed != 0 {
		t.Errorf("%d refused, %d dropped, %d closed: want dropped ones only", r.end.Refused, r.end.Dropped, r.end.Closed)
	}
	if got := r.received(t); got+r.end.Dropped != r.end.SlowBegun {
		t.Errorf("%d messages begun for the slow peers, %d dropped, %d have arrived", r.end.SlowBegun, r.end.Dropped, got)
	}
	const newest = hubLimit/hubMessage - 1 // they are in the queue when the last one comes
	for i := range r.slow {
		in := &r.slow[i].in
		if !in.bye {
			t.Fatal("the newest message has not arrived")
		}
		if len(in.left) > 0 && int(in.left[len(in.left)-1]) > r.end.Rounds-newest {
			t.Fatalf("message %d of %d was dropped, although the queue holds %d", in.left[len(in.left)-1], r.end.Rounds, newest)
		}
	}
}

// checkClose: who does not read is disconnected, with the cause, and cannot take what was cut for whole.
func checkClose(t *testing.T, r *hubRun) {
	if r.end.Closed != r.task.Slow || r.end.Dropped != 0 {
		t.Errorf("%d of %d slow peers were closed for it; %d dropped", r.end.Closed, r.task.Slow, r.end.Dropped)
	}
	for i := range r.slow {
		p := &r.slow[i]
		if p.in.bye {
			t.Fatal("a slow peer has got the last message")
		}
		if p.err == io.EOF && len(p.in.buf) > 0 {
			t.Fatal("a clean end in the middle of a message")
		}
	}
}

// hubError says what a hub did not expect.
func hubError(err error, policy netstream.Overflow) error {
	switch {
	case err == nil, errors.Is(err, netstream.ErrQueueFull):
		return nil
	case policy == netstream.OverflowDropOldest && errors.Is(err, netstream.ErrDropped):
		return nil
	case policy == netstream.OverflowClose && errors.Is(err, net.ErrClosed):
		return nil
	}
	return fmt.Errorf("to a slow peer: %w", err)
}
