//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
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
	secure    *secured // the publisher's TLS, which writes to unsent; nil: none
	words     dialect
	parts     [][]byte // of messages that have not come whole, by connection
	unsent    []byte   // published and not taken by the connection yet
	batch     []byte

	mu           sync.Mutex    // guards what follows
	since, until time.Duration // the messages published in this time are those that count
	due, arrived int64         // of them: that subscribers who read should get, and got
	late         histogram     // of them: how long they took
	published    time.Duration // all that was due before it is published
	settling     bool          // the measurement is over
}

// How long messages that are under way when the measurement ends are waited for: until all are there, or nothing has
// come for patience, or as long as waiting can be.
const (
	settlePatience = 2 * time.Second
	settleLimit    = 20 * time.Second
)

// connectPublisher makes the hub's last connection.
func (g *generator) connectPublisher(words *dialect) error {
	fd, err := g.connect(false)
	if err != nil {
		return err
	}
	g.hub = &hubLoad{generator: g, publisher: fd, parts: make([][]byte, g.Conns)}
	if g.TLS != 0 {
		if g.hub.secure, err = g.secure(fd); err != nil {
			return err
		}
		g.hub.secure.wire.queue = &g.hub.unsent
	}
	if words == nil {
		return nil
	}
	g.hub.words = *words
	return words.greet(fd, words.introduce)
}

func (h *hubLoad) run() error {
	epfd, err := h.poll()
	if err != nil {
		return err
	}
	every := time.Duration(h.Batch) * time.Second / time.Duration(h.Rate)
	events := make([]unix.EpollEvent, 1024)
	for next := time.Since(processStart); ; {
		for ; time.Since(processStart) >= next && !h.over(next); next += every {
			if err := h.publish(next, every); err != nil {
				return err
			}
		}
		if err := h.push(); err != nil {
			return err
		}
		wait := max(next-time.Since(processStart), 0)
		if h.over(next) {
			wait = every
		}
		if len(h.unsent) > 0 {
			wait = min(wait, time.Millisecond)
		}
		n, err := rawEpollWait(epfd, events, int((wait+time.Millisecond-1)/time.Millisecond))
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

// publish queues one batch that was due at that time, some time before the next one.
func (h *hubLoad) publish(at, every time.Duration) error {
	batch := h.batch[:0]
	for range h.Batch {
		batch = append(batch, h.words.publishing...)
		batch = binary.LittleEndian.AppendUint64(batch, uint64(at))
		batch = append(batch, h.message[stampBytes:]...)
		batch = append(batch, h.words.after...)
	}
	h.batch = batch
	if h.secure == nil {
		h.unsent = append(h.unsent, batch...)
	} else if _, err := h.secure.Write(batch); err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.published = at + every
	if h.counts(at) {
		h.due += int64(h.Batch * (h.Conns - h.Deaf))
	}
	return nil
}

// counts reports whether a message of that time is one of those that count. mu is held.
func (h *hubLoad) counts(at time.Duration) bool { return at >= h.since && at < h.until }

// over reports whether publishing is: before that time all is published that counts, and the rest would be in its way.
func (h *hubLoad) over(next time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.settling && next >= h.until
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
	for {
		had := copy(h.inbox, h.parts[i])
		n, err := h.receive(i, h.inbox[had:])
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			return nil
		case err != nil:
			return err
		case n == 0:
			return errEnded
		}
		if err := h.messages(i, h.inbox[:had+n]); err != nil || h.secured == nil {
			return err
		}
	}
}

// messages takes what has come on connection i and keeps what is not a whole message.
func (h *hubLoad) messages(i int, p []byte) error {
	now, before := time.Since(processStart), len(h.words.arriving)
	whole := before + h.Size + len(h.words.after)
	h.mu.Lock()
	defer h.mu.Unlock()
	for ; len(p) >= whole; p = p[whole:] {
		if string(p[:before]) != h.words.arriving {
			return fmt.Errorf("generator: a message begins with %q", p[:before])
		}
		message := p[before : before+h.Size]
		h.bytes.Add(int64(h.Size))
		if at := time.Duration(binary.LittleEndian.Uint64(message)); h.counts(at) {
			h.arrived++
			h.late.add(now - at)
		}
		if h.verify && !bytes.Equal(message[stampBytes:], h.message[stampBytes:]) {
			return errors.New("generator: what arrived is not what was published")
		}
	}
	h.parts[i] = append(h.parts[i][:0], p...)
	return nil
}

// tell begins and ends the time that counts, and adds to s what became of its messages.
func (h *hubLoad) tell(command string, s *snapshot) {
	if command == "settle" {
		h.settle()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	switch command {
	case "begin":
		h.since, h.until = s.Wall, math.MaxInt64
	case "end":
		h.until = s.Wall
	case "settle":
		s.Due, s.Arrived, s.P50, s.P99 = h.due, h.arrived, h.late.quantile(0.5), h.late.quantile(0.99)
	}
}

// settle ends the publishing and waits until the messages that count have arrived, or no more of them do.
func (h *hubLoad) settle() {
	h.mu.Lock()
	h.settling = true
	h.mu.Unlock()
	var had int64
	last := time.Now()
	for end := last.Add(settleLimit); time.Now().Before(end); time.Sleep(time.Millisecond) {
		h.mu.Lock()
		all := h.published >= h.until && h.arrived == h.due
		h.mu.Unlock()
		if got := h.bytes.Load(); got > had { // also what was due before: it comes first
			had, last = got, time.Now()
		}
		if all || time.Since(last) > settlePatience {
			return
		}
	}
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
