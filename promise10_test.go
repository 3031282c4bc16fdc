package netstream_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

func TestPromise10_OneReaderAndOneWriterNeedNoLock(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		eachStyle(t, func(t *testing.T, st style) {
			const size, piece = 1 << 20, 7000
			a, b := c.pair(t, nil, nil)
			send := func(s *netstream.NetworkStream, all []byte) error {
				for len(all) > 0 {
					n := min(piece, len(all))
					if err := st.write(s, all[:n]); err != nil {
						return err
					}
					all = all[n:]
				}
				return nil
			}
			receive := func(s *netstream.NetworkStream, want []byte) error {
				got := make([]byte, len(want))
				for n := 0; n < len(got); {
					m, err := st.read(s, got[n:min(n+9000, len(got))])
					if err != nil {
						return err
					}
					n += m
				}
				if !bytes.Equal(got, want) {
					return errors.New("other bytes arrived than were sent")
				}
				return nil
			}
			there, back := patterned(1, size), patterned(2, size)
			for _, ch := range []<-chan error{
				async(func() error { return send(a, there) }), async(func() error { return receive(b, there) }),
				async(func() error { return send(b, back) }), async(func() error { return receive(a, back) }),
			} {
				if err := within(t, "both directions at once", ch); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

// record is what one of many writers sends: who it is, its how-manieth, and bytes that follow from both.
func record(writer, number, size int) []byte {
	p := patterned(writer<<16|number, size)
	binary.BigEndian.PutUint32(p[0:], uint32(writer))
	binary.BigEndian.PutUint32(p[4:], uint32(number))
	return p
}

func TestPromise10_ManyWritersOfAllStylesStayWhole(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		const each, size = 150, 700
		a, b := c.pair(t, nil, nil)
		got := goRead(b)
		var wg sync.WaitGroup
		writers := 2 * len(styles)
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if err := styles[w%len(styles)].write(a, record(w, i, size)); err != nil {
						t.Errorf("writer %d: %v", w, err)
						return
					}
				}
			})
		}
		wg.Wait()
		a.Close()
		o := within(t, "the peer reads to the end", got)
		if o.err != nil {
			t.Fatal(o.err)
		}
		if len(o.data) != writers*each*size {
			t.Fatalf("%d bytes arrived of %d", len(o.data), writers*each*size)
		}
		next := make([]int, writers)
		for p := o.data; len(p) > 0; p = p[size:] {
			w := int(binary.BigEndian.Uint32(p))
			if w >= writers || !bytes.Equal(p[:size], record(w, next[w], size)) {
				t.Fatalf("a record is not whole, or not record %d of writer %d", next[min(w, writers-1)], w)
			}
			next[w]++
		}
	})
}

func TestPromise10_ManyReadersOfAllStylesGetEveryByteOnce(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		const size = 300_000
		a, b := c.pair(t, nil, nil)
		all := patterned(5, size)
		written := async(func() error {
			defer a.CloseWrite()
			for i := 0; i < size; i += 1000 {
				if _, err := a.Write(all[i : i+1000]); err != nil {
					return err
				}
			}
			return nil
		})
		var mu sync.Mutex
		var counts [256]int // which reader gets what is open; that every byte is got once is not
		var wg sync.WaitGroup
		for r := range 2 * len(styles) {
			wg.Go(func() {
				p := make([]byte, 777)
				for {
					n, err := styles[r%len(styles)].read(b, p)
					mu.Lock()
					for _, x := range p[:n] {
						counts[x]++
					}
					mu.Unlock()
					if err != nil {
						if err != io.EOF {
							t.Errorf("reader %d: %v", r, err)
						}
						return
					}
				}
			})
		}
		if err := within(t, "the writer", written); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		within(t, "all readers see the end", done)
		for _, x := range all {
			counts[x]--
		}
		if counts != [256]int{} {
			t.Fatal("bytes were lost or given twice")
		}
	})
}
