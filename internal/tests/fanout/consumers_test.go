package fanout_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// consumer reads what a hub sends: at once, slowly, not at all, or until it breaks the connection.
type consumer struct {
	numbers chan []int   // what it has got, when it is over
	count   atomic.Int64 // how many so far
}

// consume reads frames until the end, or until it has so many. pause is what it does between two of them.
func consume(t *testing.T, conn net.Conn, most int, pause func()) *consumer {
	t.Helper()
	k := &consumer{numbers: make(chan []int, 1)}
	go func() {
		var numbers []int
		defer func() { k.numbers <- numbers }()
		for r := bufio.NewReader(conn); len(numbers) < most; pause() {
			number, err := readFrame(r)
			if err != nil {
				var reset *net.OpError
				if err != io.EOF && !errors.As(err, &reset) {
					t.Error(err) // not whole, or not what was sent
				}
				return
			}
			numbers = append(numbers, number)
			k.count.Add(1)
		}
	}()
	return k
}

// A hub of which some consumers read slowly, some never, and some break their connections: those who read get everything in
// order, whatever the policy; the others get whole messages in order, with gaps only where the policy makes them; a stream
// holds no more than its limit; and everything is accounted for.
func TestHub_SlowAndKilledConsumers(t *testing.T) {
	policies := map[string]netstream.Overflow{
		"fail": netstream.OverflowFail, "drop": netstream.OverflowDropOldest, "close": netstream.OverflowClose,
	}
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for name, policy := range policies {
			t.Run(name, func(t *testing.T) { slowAndKilled(t, c, policy) })
		}
	})
}

func slowAndKilled(t *testing.T, c kit.ConnCase, policy netstream.Overflow) {
	const each, messages, size, limit = 3, 300, 3000, 64
	group := new(netstream.Group)
	var readers, slow []*consumer
	var streams, killed []*netstream.NetworkStream
	join := func() (*netstream.NetworkStream, net.Conn) {
		s, peer := c.WithPeer(t, &netstream.Config{Group: group, MaxPendingWrites: limit, Overflow: policy})
		kit.Must(t, s.Socket().SetWriteBuffer(16<<10))
		kit.Must(t, peer.(*net.TCPConn).SetReadBuffer(16<<10))
		streams = append(streams, s)
		return s, peer
	}
	for range each {
		_, peer := join()
		readers = append(readers, consume(t, peer, messages, func() {}))
		_, peer = join()
		slow = append(slow, consume(t, peer, messages, func() { time.Sleep(time.Millisecond) }))
		join() // it never reads
		s, peer := join()
		killed = append(killed, s)
		consume(t, peer, 50, func() {}).then(func() { kit.ResetPeer(t, peer) })
	}
	for i := range messages {
		group.Broadcast(framed(i, size), func(s *netstream.NetworkStream, err error) {
			if err != netstream.ErrQueueFull {
				s.CloseWithError(err)
			}
		})
		for _, s := range streams {
			if writes, bytes := s.Pending(); writes > limit || bytes > limit*(size+12) {
				t.Errorf("%d writes of %d bytes are pending", writes, bytes)
			}
		}
		for _, k := range readers {
			kit.Eventually(t, "a reader follows", func() bool { return int64(i)-k.count.Load() < limit/2 })
		}
	}
	for _, k := range readers {
		if numbers := kit.Within(t, "a reader", k.numbers); len(numbers) != messages || !slices.IsSorted(numbers) {
			t.Errorf("a reader has got %d of %d messages", len(numbers), messages)
		}
	}
	last := messages
	for _, s := range killed {
		kit.Eventually(t, "a broken connection is met", func() bool {
			last++
			group.Broadcast(framed(last, 1), func(s *netstream.NetworkStream, err error) {
				if err != netstream.ErrQueueFull {
					s.CloseWithError(err)
				}
			})
			return s.Err() != nil
		})
	}
	for _, s := range streams {
		s.Close()
		kit.Within(t, "Done", s.Done())
		st := s.Stats()
		if st.Dropped > 0 && policy != netstream.OverflowDropOldest || st.LostPosts+st.Dropped > st.Posts || st.PendingWrites != 0 {
			t.Errorf("%+v", st)
		}
	}
	for _, k := range slow {
		numbers := kit.Within(t, "a slow consumer", k.numbers)
		if len(slices.Compact(slices.Clone(numbers))) != len(numbers) || !slices.IsSorted(numbers) {
			t.Errorf("a slow consumer has got messages twice, or out of order: %v", numbers)
		}
	}
}

// then calls f when the consumer is over.
func (k *consumer) then(f func()) {
	go func() {
		<-k.numbers
		f()
	}()
}
