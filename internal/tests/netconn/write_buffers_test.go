package netconn_test

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// pieces cuts p into pieces of that size, with empty ones between.
func pieces(p []byte, size int) (list [][]byte) {
	for piece := range slices.Chunk(p, size) {
		list = append(list, piece, nil)
	}
	return list
}

func TestWriteBuffersIsWholeAndConsumesNothing(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		for _, k := range []struct{ size, piece int }{{1, 1}, {5000, 7}, {300_000, 100}, {1 << 20, 300}, {3 << 20, 1 << 20}, {2 << 20, 3 << 20}} {
			p := kit.Patterned(k.size, k.size)
			buffers := pieces(p, k.piece)
			before := slices.Clone(buffers)
			got := kit.Async(func() error { kit.ReadExactly(t, b, p); return nil })
			if n, err := a.WriteBuffers(buffers); n != int64(k.size) || err != nil {
				t.Fatalf("%d bytes in pieces of %d: %d, %v", k.size, k.piece, n, err)
			}
			if err := kit.Within(t, "the peer has it", got); err != nil {
				t.Fatal(err)
			}
			if !slices.EqualFunc(buffers, before, bytes.Equal) {
				t.Error("the caller's slices have changed")
			}
		}
		kit.WantIdle(t, a)
	})
}

func TestWriteBuffersOfNothing(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, _ := c.Pair(t, nil, nil)
		for _, buffers := range [][][]byte{nil, {}, {nil}, {nil, {}}} {
			if n, err := s.WriteBuffers(buffers); n != 0 || err != nil {
				t.Errorf("%v: %d, %v", buffers, n, err)
			}
		}
		s.Close()
		for _, buffers := range [][][]byte{nil, {nil}, {[]byte("x")}} {
			n, err := s.WriteBuffers(buffers)
			kit.Aborted("NetworkStream")(t, err)
			if n != 0 {
				t.Errorf("%d bytes", n)
			}
		}
	})
}

// One that is cut by a deadline, a timeout or Close tells how much is out, and is torn as a Write is.
func TestWriteBuffersCutInTheMiddle(t *testing.T) {
	cuts := []struct {
		name   string
		target error
		before func(s *netstream.NetworkStream) error
		cut    func(s *netstream.NetworkStream) error
	}{
		{"deadline", kit.ErrPast, nil, func(s *netstream.NetworkStream) error { return s.SetWriteDeadline(time.Unix(1, 0)) }},
		{"timeout", kit.ErrPast, func(s *netstream.NetworkStream) error { return s.SetWriteTimeout(20 * time.Millisecond) }, nil},
		{"Close", netstream.CodeOperationAborted, nil, func(s *netstream.NetworkStream) error { return s.Close() }},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, k := range cuts {
			t.Run(k.name, func(t *testing.T) {
				a, b := c.Pair(t, nil, nil)
				kit.SmallBuffers(t, a, b)
				p := kit.Patterned(1, kit.PlugSize)
				if k.before != nil {
					kit.Must(t, k.before(a))
				}
				var n int64
				cut := kit.Async(func() error {
					var err error
					n, err = a.WriteBuffers(pieces(p, 10_000))
					return err
				})
				kit.HasInput(t, b)
				if k.cut != nil {
					kit.Must(t, k.cut(a))
				}
				err := kit.Within(t, "the cut WriteBuffers", cut)
				if n <= 0 || n >= kit.PlugSize {
					t.Fatalf("it returned n=%d", n)
				}
				kit.WantFailure(t, "the cut WriteBuffers", err, n, true, k.target)
				// Over TLS n counts what is sealed, the rest of which is still on its way.
				if got := int64(a.Stats().BytesWritten); got != n && !(c.TLS() && got < n) {
					t.Fatalf("%d bytes were written, n=%d", got, n)
				}
				if k.name == "Close" {
					return
				}
				kit.Must(t, a.SetWriteDeadline(time.Time{}))
				kit.WantTornNow(t, a, kit.ErrPast, true)
				got := kit.Async(func() error { kit.ReadExactly(t, b, p); return nil })
				kit.Must(t, a.SetWriteTimeout(netstream.Infinite))
				if m, err := a.WriteBuffers(pieces(p[n:], 10_000)); err != nil || m != kit.PlugSize-n {
					t.Fatalf("the next one: %d, %v", m, err)
				}
				if err := kit.Within(t, "the peer has it all", got); err != nil {
					t.Fatal(err)
				}
			})
		}
	})
}
