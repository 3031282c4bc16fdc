package promises_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// queuedWay is one of the ways to write, as a call that has taken its place in the order when it returns.
type queuedWay func(t *testing.T, s *netstream.NetworkStream, p []byte) <-chan error

// queuedWays are all of them: a blocking call is given a goroutine and waited for until it is in line.
var queuedWays = []queuedWay{
	func(t *testing.T, s *netstream.NetworkStream, p []byte) <-chan error {
		_, ch := kit.Begin(t, s, p)
		return ch
	},
	func(t *testing.T, s *netstream.NetworkStream, p []byte) <-chan error {
		return inLine(t, s, func() error { _, err := s.Write(p); return err })
	},
	func(t *testing.T, s *netstream.NetworkStream, p []byte) <-chan error {
		ch := make(chan error, 1)
		_, err := s.BeginWritev(kit.Thirds(p),
			func(ar netstream.AsyncResult) { ch <- s.EndWrite(ar) }, nil)
		if err != nil {
			t.Fatal(err)
		}
		return ch
	},
	func(t *testing.T, s *netstream.NetworkStream, p []byte) <-chan error {
		return inLine(t, s, func() error { _, err := s.WriteContext(context.Background(), p); return err })
	},
	func(t *testing.T, s *netstream.NetworkStream, p []byte) <-chan error {
		return inLine(t, s, func() error { _, err := s.WriteBuffers(kit.Thirds(p)); return err })
	},
	func(t *testing.T, s *netstream.NetworkStream, p []byte) <-chan error {
		ar := kit.MustBegin(t, s, p, nil)
		return kit.Async(func() error { return s.EndWrite(ar) })
	},
}

func inLine(t *testing.T, s *netstream.NetworkStream, write func() error) <-chan error {
	inLine := kit.BegunWrites(s, int(s.Stats().WriteOps)+1)
	ch := kit.Async(write)
	kit.Eventually(t, "the blocking write is in line", inLine)
	return ch
}

func TestPromise03_WritesOfAllKindsGoOutInBeginOrder(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count = 60
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		all, _, plugged := kit.Plug(t, a)
		var outcomes []<-chan error
		for i := range count {
			p := kit.Patterned(100+i, 1+i*1237%20_000)
			all = append(all, p...)
			outcomes = append(outcomes, queuedWays[i%len(queuedWays)](t, a, p))
		}
		kit.ReadExactly(t, b, all)
		for _, ch := range append(outcomes, plugged) {
			if err := kit.Within(t, "a queued write", ch); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// orderedRecord starts with its place in Begin order (or unordered), its length and its writer.
func orderedRecord(place, writer uint32, size int) []byte {
	p := kit.Patterned(int(place^writer<<20), size)
	binary.BigEndian.PutUint32(p[0:], place)
	binary.BigEndian.PutUint32(p[4:], uint32(size))
	binary.BigEndian.PutUint32(p[8:], writer)
	return p
}

const unordered = 1 << 31 // set in the place of records of blocking writes, counted for each writer

func TestPromise03_FromManyGoroutinesWholeAndInBeginOrder(t *testing.T) {
	for _, send := range []netstream.SendMode{netstream.SendNow, netstream.SendDeferred} {
		t.Run(map[netstream.SendMode]string{netstream.SendNow: "now", netstream.SendDeferred: "deferred"}[send], func(t *testing.T) {
			kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
				a, b := c.Pair(t, &netstream.Config{Send: send}, nil)
				kit.SmallBuffers(t, a, b)
				manyWriters(t, a, b)
			})
		})
	}
}

// manyWriters has begun and blocking writers at work on a and checks at b that records are whole, the begun ones in
// their order over all goroutines, the blocking ones in each goroutine's.
func manyWriters(t *testing.T, a, b *netstream.NetworkStream) {
	const writers, each = 6, 200
	// The order of Begins is known because a mutex makes it; a Begin that finds the queue just emptied tries to
	// send at once while another goroutine's flush may be under way.
	var mu sync.Mutex
	place := uint32(0)
	beginNext := func(writer uint32, size int) error {
		mu.Lock()
		defer mu.Unlock()
		_, err := a.BeginWrite(orderedRecord(place, writer, size), 0, size, func(ar netstream.AsyncResult) {
			if err := a.EndWrite(ar); err != nil {
				t.Error(err)
			}
		}, nil)
		place++
		return err
	}
	var wg sync.WaitGroup
	for w := range uint32(writers) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			for i := range uint32(each) {
				size := 12 + random.IntN(300)
				if random.IntN(20) == 0 {
					size += 100_000 // more than the buffers take, so that the next ones find a queue
				}
				var err error
				if w%3 == 2 {
					_, err = a.Write(orderedRecord(unordered|i, w, size))
				} else {
					err = beginNext(w, size)
				}
				if err != nil {
					t.Errorf("writer %d: %v", w, err)
					return
				}
			}
		})
	}
	checked := kit.Async(func() error { checkRecords(t, b, writers*each); return nil })
	wg.Wait()
	kit.Within(t, "the peer reads all records", checked)
}

func checkRecords(t *testing.T, r io.Reader, count int) {
	next := map[uint32]uint32{} // by writer for the unordered ones; the begun ones are together
	for range count {
		var head [12]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			t.Errorf("reading a record: %v", err)
			return
		}
		place, size, writer := binary.BigEndian.Uint32(head[0:]), binary.BigEndian.Uint32(head[4:]), binary.BigEndian.Uint32(head[8:])
		if size < 12 || size > 200_000 {
			t.Errorf("writes were interleaved: a record of %d bytes", size)
			return
		}
		p := make([]byte, size)
		copy(p, head[:])
		if _, err := io.ReadFull(r, p[12:]); err != nil {
			t.Errorf("reading a record: %v", err)
			return
		}
		key, want := uint32(unordered), next[unordered]
		if place&unordered != 0 {
			key = writer
			want = unordered | next[key]
		}
		if place != want || !bytes.Equal(p, orderedRecord(place, writer, int(size))) {
			t.Errorf("record %d of writer %d where %d is next, or it is not whole", place, writer, want)
			return
		}
		next[key]++
	}
}

func TestPromise03_ReadsAreServedInBeginOrder(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count, size = 40, 100
		a, b := c.Pair(t, nil, nil)
		got := make([]byte, count*size)
		var outcomes []<-chan kit.ReadOutcome
		for i := range count {
			outcomes = append(outcomes, queuedRead(t, b, got[i*size:(i+1)*size], i))
		}
		all := kit.Patterned(9, count*size)
		written := kit.Async(func() error { // in pieces of other sizes than those of the reads
			for rest := all; len(rest) > 0; {
				n := min(len(rest), 1+len(rest)%177)
				if _, err := a.Write(rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return a.CloseWrite()
		})
		var stream []byte
		for i, ch := range outcomes {
			o := kit.Within(t, "a read", ch)
			if o.Err != nil && o.Err != io.EOF {
				t.Fatalf("read %d: %v", i, o.Err)
			}
			stream = append(stream, o.Data...) // the reads' bytes in Begin order are the stream
		}
		if err := kit.Within(t, "the writer", written); err != nil {
			t.Fatal(err)
		}
		o := kit.Within(t, "what no read has taken", kit.GoRead(b))
		kit.SameBytes(t, append(stream, o.Data...), all)
	})
}

// queuedRead begins a read of one of all kinds and returns when it has its place in the order.
func queuedRead(t *testing.T, s *netstream.NetworkStream, p []byte, i int) <-chan kit.ReadOutcome {
	ch := make(chan kit.ReadOutcome, 1)
	switch i % 3 {
	case 0:
		kit.MustBeginRead(t, s, p, func(ar netstream.AsyncResult) {
			n, err := s.EndRead(ar)
			ch <- kit.ReadOutcome{Data: p[:n], Err: err}
		})
	case 1:
		inLine := kit.BegunReads(s, int(s.Stats().ReadOps)+1)
		go func() {
			n, err := s.Read(p)
			ch <- kit.ReadOutcome{Data: p[:n], Err: err}
		}()
		kit.Eventually(t, "the blocking read is in line", inLine)
	default:
		ar := kit.MustBeginRead(t, s, p, nil)
		go func() {
			n, err := s.EndRead(ar)
			ch <- kit.ReadOutcome{Data: p[:n], Err: err}
		}()
	}
	return ch
}
