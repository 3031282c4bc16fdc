//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/bits"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// stampBytes is the time of publishing that each message of a hub begins with.
const stampBytes = 8

// hubLoad publishes by the clock and takes the time that each message needs to each subscriber that reads. Whether the
// server keeps up makes no difference to when a message is due, so a server that does not cannot hide it.
type hubLoad struct {
	*generator
	publisher int
	parts     [][]byte // of messages that have not come whole, by connection
	unsent    []byte   // published and not taken by the connection yet

	mu   sync.Mutex // guards what follows
	due  int64      // messages that subscribers who read should have got, as of now
	late histogram
}

// connectPublisher makes the hub's last connection.
func (g *generator) connectPublisher(peer *unix.SockaddrInet4) error {
	fd, err := g.connect(peer)
	g.hub = &hubLoad{generator: g, publisher: fd, parts: make([][]byte, g.Conns)}
	return err
}

func (h *hubLoad) run() error {
	epfd, err := h.poll()
	if err != nil {
		return err
	}
	every := time.Duration(h.Batch) * time.Second / time.Duration(h.Rate)
	events := make([]unix.EpollEvent, 1024)
	for next := time.Since(processStart); ; {
		for ; time.Since(processStart) >= next; next += every {
			h.publish(next)
		}
		if err := h.push(); err != nil {
			return err
		}
		wait := next - time.Since(processStart)
		if len(h.unsent) > 0 {
			wait = min(wait, time.Millisecond)
		}
		n, err := rawEpollWait(epfd, events, int(max(wait+time.Millisecond-1, 0)/time.Millisecond))
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			if err := h.take(int(e.Fd)); err != nil {
				return err
			}
		}
	}
}

// publish queues one batch that was due at that time.
func (h *hubLoad) publish(at time.Duration) {
	for range h.Batch {
		h.unsent = binary.LittleEndian.AppendUint64(h.unsent, uint64(at))
		h.unsent = append(h.unsent, h.message[stampBytes:]...)
	}
	h.mu.Lock()
	h.due += int64(h.Batch * (h.Conns - h.Deaf))
	h.mu.Unlock()
}

// push sends as much of what is queued as the connection takes.
func (h *hubLoad) push() error {
	if len(h.unsent) == 0 {
		return nil
	}
	n, err := unix.SendmsgN(h.publisher, h.unsent, nil, nil, unix.MSG_DONTWAIT)
	if err == unix.EAGAIN || err == unix.EINTR {
		return nil
	}
	if err != nil {
		return err
	}
	h.unsent = h.unsent[:copy(h.unsent, h.unsent[n:])]
	return nil
}

// take receives on connection i.
func (h *hubLoad) take(i int) error {
	had := copy(h.inbox, h.parts[i])
	n, err := rawRead(h.fds[i], h.inbox[had:])
	switch {
	case err == unix.EINTR:
		return nil
	case err != nil:
		return err
	case n == 0:
		return errEnded
	}
	now, rest := time.Since(processStart), h.inbox[:had+n]
	h.mu.Lock()
	defer h.mu.Unlock()
	for ; len(rest) >= h.Size; rest = rest[h.Size:] {
		h.late.add(now - time.Duration(binary.LittleEndian.Uint64(rest)))
		if h.verify && !bytes.Equal(rest[stampBytes:h.Size], h.message[stampBytes:]) {
			return errors.New("generator: what arrived is not what was published")
		}
	}
	h.bytes.Add(int64(had + n - len(rest)))
	h.parts[i] = append(h.parts[i][:0], rest...)
	return nil
}

// tell adds to s what only a hub's subscribers know. The times are those since the snapshot before.
func (h *hubLoad) tell(s *snapshot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.Due, s.P50, s.P99 = h.due, h.late.quantile(0.5), h.late.quantile(0.99)
	h.late = histogram{}
}

// histogram counts times in buckets of an eighth of a power of two.
type histogram struct {
	buckets [64 * 8]int64
	all     int64
}

func (h *histogram) add(d time.Duration) {
	n := uint64(max(d, 8))
	exponent := bits.Len64(n) - 1
	h.buckets[exponent*8+int(n>>(exponent-3)&7)]++
	h.all++
}

// quantile returns the middle of the bucket that holds it.
func (h *histogram) quantile(q float64) time.Duration {
	left := int64(q * float64(h.all))
	for i, n := range h.buckets {
		if left -= n; left < 0 {
			return time.Duration((8+float64(i%8)+0.5)/8*float64(int64(1)<<(i/8)) + 0.5)
		}
	}
	return 0
}
