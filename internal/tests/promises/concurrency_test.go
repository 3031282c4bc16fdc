package promises_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestPromise10_OneReaderAndOneWriterNeedNoLock(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			const size, piece = 1 << 20, 7000
			a, b := c.Pair(t, nil, nil)
			send := func(s *netstream.NetworkStream, all []byte) error {
				for len(all) > 0 {
					n := min(piece, len(all))
					if err := st.Write(s, all[:n]); err != nil {
						return err
					}
					all = all[n:]
				}
				return nil
			}
			receive := func(s *netstream.NetworkStream, want []byte) error {
				got := make([]byte, len(want))
				for n := 0; n < len(got); {
					m, err := st.Read(s, got[n:min(n+9000, len(got))])
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
			there, back := kit.Patterned(1, size), kit.Patterned(2, size)
			for _, ch := range []<-chan error{
				kit.Async(func() error { return send(a, there) }), kit.Async(func() error { return receive(b, there) }),
				kit.Async(func() error { return send(b, back) }), kit.Async(func() error { return receive(a, back) }),
			} {
				if err := kit.Within(t, "both directions at once", ch); err != nil {
					t.Fatal(err)
				}
			}
		})
	})
}

func TestPromise10_ManyWritersOfAllStylesStayWhole(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const each, size = 150, 700
		a, b := c.Pair(t, nil, nil)
		got := kit.GoRead(b)
		var wg sync.WaitGroup
		writers := 2 * len(kit.Styles)
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					if err := kit.Styles[w%len(kit.Styles)].Write(a, kit.Record(w, i, size)); err != nil {
						t.Errorf("writer %d: %v", w, err)
						return
					}
				}
			})
		}
		wg.Wait()
		a.Close()
		o := kit.Within(t, "the peer reads to the end", got)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if len(o.Data) != writers*each*size {
			t.Fatalf("%d bytes arrived of %d", len(o.Data), writers*each*size)
		}
		next := make([]int, writers)
		for p := o.Data; len(p) > 0; p = p[size:] {
			w := int(binary.BigEndian.Uint32(p))
			if w >= writers || !bytes.Equal(p[:size], kit.Record(w, next[w], size)) {
				t.Fatalf("a record is not whole, or not record %d of writer %d", next[min(w, writers-1)], w)
			}
			next[w]++
		}
	})
}

func TestPromise10_ManyReadersOfAllStylesGetEveryByteOnce(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const size = 300_000
		a, b := c.Pair(t, nil, nil)
		all := kit.Patterned(5, size)
		written := kit.Async(func() error {
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
		for r := range 2 * len(kit.Styles) {
			wg.Go(func() {
				p := make([]byte, 777)
				for {
					n, err := kit.Styles[r%len(kit.Styles)].Read(b, p)
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
		if err := kit.Within(t, "the writer", written); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { wg.Wait(); close(done) }()
		kit.Within(t, "all readers see the end", done)
		for _, x := range all {
			counts[x]--
		}
		if counts != [256]int{} {
			t.Fatal("bytes were lost or given twice")
		}
	})
}
