package reliability_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// hubTask is what a hub does: send to so many peers, of which so many more will not read, for so long.
type hubTask struct {
	Peers, Slow int
	Policy      netstream.Overflow
	For         time.Duration
}

// hubEnd is what a hub says at its end.
type hubEnd struct {
	Rounds                       int // messages for each peer, before the last one
	SlowBegun                    int // writes that were accepted for slow peers
	Refused, Dropped, Closed     int
	WritesBegun, WritesCompleted int
	BaseMemory, PeakMemory       int64
	BaseLive, Live               int64 // heap after a collection: before, and with the queues as they are at the end
	PeakPending, PeakStream      int64 // bytes in all queues, in the longest one
	Trouble                      string
}

// hub runs in a process of its own, so that its memory is its own.
type hub struct {
	task    hubTask
	group   netstream.Group
	readers []*netstream.NetworkStream
	slow    []*netstream.NetworkStream
	rounds  chan struct{} // tokens: how many rounds may be on their way

	begun     int64
	completed atomic.Int64
	end       hubEnd

	mu      sync.Mutex
	trouble error
}

func TestSlowConsumersChild(t *testing.T) {
	h := &hub{rounds: make(chan struct{}, hubRounds)}
	kit.ChildTask(t, &h.task)
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{
		Engine: kit.AskedEngine(), MaxPendingBytes: hubLimit, Overflow: h.task.Policy, Send: netstream.SendDeferred, Group: &h.group,
	})
	kit.Must(t, err)
	kit.Say(ln.Addr().String())
	for range h.task.Peers + h.task.Slow {
		s, err := ln.AcceptStream()
		kit.Must(t, err)
		kit.Must(t, s.Socket().SetWriteBuffer(16<<10))
		kind := make([]byte, 1)
		if _, err := s.Read(kind); err != nil {
			t.Fatal(err)
		}
		if kind[0] == 's' {
			h.slow = append(h.slow, s)
		} else {
			h.readers = append(h.readers, s)
		}
	}
	debug.FreeOSMemory()
	h.end.BaseMemory, h.end.BaseLive = residentBytes(), kit.HeapNow()
	stop, sampled := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(sampled)
		for {
			h.sample()
			select {
			case <-stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	for end := time.Now().Add(h.task.For); time.Now().Before(end) || h.end.Rounds < 200; h.end.Rounds++ {
		h.publish(frameData)
	}
	h.publish(frameBye)
	close(stop)
	<-sampled
	end := time.Now()
	for range hubRounds { // those who read have got everything
		h.rounds <- struct{}{}
	}
	for again := kit.HeapNow(); again != h.end.Live && time.Since(end) < 3*time.Second; again = kit.HeapNow() { // until it has settled
		h.end.Live = again
		time.Sleep(50 * time.Millisecond)
	}
	for _, s := range h.slow {
		if errors.Is(s.Err(), netstream.ErrQueueFull) {
			h.end.Closed++
		}
	}
	kit.Say("published")
	ctx, cancel := context.WithTimeout(context.Background(), kit.Patience)
	defer cancel()
	err = h.group.Shutdown(ctx)
	if err != nil && h.task.Policy != netstream.OverflowClose {
		h.note(fmt.Errorf("Shutdown: %w", err))
	}
	for _, s := range append(h.readers, h.slow...) {
		kit.Within(t, "Done", s.Done())
	}
	h.end.Dropped = int(h.group.Stats().Dropped)
	h.end.WritesBegun, h.end.WritesCompleted = int(h.begun), int(h.completed.Load())
	if h.trouble != nil {
		h.end.Trouble = h.trouble.Error()
	}
	kit.Say(h.end)
}

func (h *hub) note(err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.trouble == nil {
		h.trouble = err
	}
}

// publish sends the next message to everybody. It waits until those who read have kept up, not for the others.
func (h *hub) publish(kind byte) {
	h.rounds <- struct{}{}
	var open atomic.Int64
	open.Store(int64(len(h.readers)))
	for i, s := range h.readers {
		h.begin(s, h.message(i, kind), func(ar netstream.AsyncResult) {
			if err := s.EndWrite(ar); err != nil {
				h.note(fmt.Errorf("to a peer that reads: %w", err))
			}
			h.completed.Add(1)
			if open.Add(-1) == 0 {
				<-h.rounds
			}
		})
	}
	for i, s := range h.slow {
		err := h.begin(s, h.message(i, kind), func(ar netstream.AsyncResult) {
			if err := hubError(s.EndWrite(ar), h.task.Policy); err != nil {
				h.note(err)
			}
			h.completed.Add(1)
		})
		if err == nil {
			h.end.SlowBegun++
		} else if errors.Is(err, netstream.ErrQueueFull) {
			h.end.Refused++
		}
		if err := hubError(err, h.task.Policy); err != nil {
			h.note(err)
		}
	}
}

func (h *hub) message(tag int, kind byte) []byte {
	p := make([]byte, hubMessage)
	fillFrame(p[:frameOverhead], uint32(tag), uint32(h.end.Rounds), kind)
	binary.BigEndian.PutUint32(p, hubMessage)
	binary.BigEndian.PutUint64(p[13:], uint64(time.Now().UnixNano()))
	sealFrame(p)
	return p
}

func (h *hub) begin(s *netstream.NetworkStream, p []byte, callback netstream.AsyncCallback) error {
	_, err := s.BeginWrite(p, 0, len(p), callback, nil)
	if err == nil {
		h.begun++
	}
	return err
}

// sample notes how much memory there is now.
func (h *hub) sample() {
	h.end.PeakMemory = max(h.end.PeakMemory, residentBytes())
	var all int64
	for _, streams := range [][]*netstream.NetworkStream{h.readers, h.slow} {
		for _, s := range streams {
			_, bytes := s.Pending()
			h.end.PeakStream = max(h.end.PeakStream, bytes)
			all += bytes
		}
	}
	h.end.PeakPending = max(h.end.PeakPending, all)
}

// residentBytes is what this process has in memory; where the system does not tell, what the runtime has in use.
func residentBytes() int64 {
	if text, err := os.ReadFile("/proc/self/statm"); err == nil {
		var size, resident int64
		if _, err := fmt.Sscan(string(text), &size, &resident); err == nil {
			return resident * int64(os.Getpagesize())
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}
