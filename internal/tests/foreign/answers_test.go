package foreign_test

import (
	"errors"
	"io"
	"math"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What a connection that is only a net.Conn may answer, and what it may not.

// Counts that cannot be, and calls that do nothing for ever.
func TestForeignImpossibleAnswers(t *testing.T) {
	type answer = func(p []byte) (int, error)
	for _, c := range []struct {
		name        string
		read, write answer
		why         error
	}{
		{name: "Write of nothing", write: func([]byte) (int, error) { return 0, nil }, why: io.ErrShortWrite},
		{name: "Write of less than nothing", write: func([]byte) (int, error) { return -1, nil }},
		{name: "Write of too much", write: func(p []byte) (int, error) { return len(p) + 1, nil }},
		{name: "Write of too much, failed", write: func(p []byte) (int, error) { return math.MaxInt, syscall.EIO }},
		{name: "Read of nothing", read: func([]byte) (int, error) { return 0, nil }, why: io.ErrNoProgress},
		{name: "Read of less than nothing", read: func([]byte) (int, error) { return -7, nil }},
		{name: "Read of too much", read: func(p []byte) (int, error) { return len(p) + 1, io.EOF }},
	} {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			t.Run(c.name, func(t *testing.T) {
				var calls atomic.Int32
				counted := func(f answer) answer {
					if f == nil {
						return nil
					}
					return func(p []byte) (int, error) { calls.Add(1); return f(p) }
				}
				s, _ := newRude(t, nil, func(c2 *rude) { c2.read, c2.write = counted(c.read), counted(c.write) })
				var other <-chan kit.ReadOutcome
				if c.write != nil {
					_, other = kit.BeginRead(t, s, 1)
				}
				for range 2 { // the second one does not ask the connection any more
					done := kit.Async(func() error {
						if c.read != nil {
							n, err := st.Read(s, make([]byte, 5))
							if n != 0 {
								t.Errorf("read %d bytes", n)
							}
							return err
						}
						return st.Write(s, []byte("hello"))
					})
					wantEnded(t, "the operation", kit.Within(t, "the operation", done), c.why)
				}
				if other != nil {
					wantEnded(t, "the pending read", kit.Within(t, "the pending read", other).Err, c.why)
				}
				if n := calls.Load(); n > 100 {
					t.Errorf("%d calls", n)
				}
				if st := s.Stats(); st.BytesRead != 0 || st.BytesWritten != 0 {
					t.Errorf("counted %d bytes read and %d written", st.BytesRead, st.BytesWritten)
				}
				wantOver(t, s)
			})
		})
	}
}

// What is odd but allowed, or exact, is no reason to end anything.
func TestForeignOddButExact(t *testing.T) {
	t.Run("some empty reads", func(t *testing.T) {
		empty := 0
		s, peer := newRude(t, nil, func(c *rude) {
			c.read = func(p []byte) (int, error) {
				if empty++; empty%50 != 0 {
					return 0, nil
				}
				return c.Conn.Read(p)
			}
		})
		go peer.Write([]byte("hello"))
		kit.ReadExactly(t, s, []byte("hello"))
	})
	t.Run("short writes without an error", func(t *testing.T) {
		s, peer := newRude(t, nil, func(c *rude) {
			c.write = func(p []byte) (int, error) { return c.Conn.Write(p[:(len(p)+1)/2]) }
		})
		_, done := kit.Begin(t, s, kit.Patterned(1, 1000))
		kit.ReadExactly(t, peer, kit.Patterned(1, 1000))
		if err := kit.Within(t, "the write", done); err != nil {
			t.Error(err)
		}
	})
	t.Run("data and an error together", func(t *testing.T) {
		once := false
		s, _ := newRude(t, nil, func(c *rude) {
			c.read = func(p []byte) (int, error) {
				if once {
					select {} // never: the error has been told
				}
				once = true
				return copy(p, "last words"), syscall.ECONNRESET
			}
		})
		p := make([]byte, 20)
		if n, err := s.Read(p); string(p[:n]) != "last words" || err != nil {
			t.Fatalf("read %q and %v", p[:n], err)
		}
		ch := kit.Async(func() error { _, err := s.Read(p); return err })
		if err := kit.Within(t, "the error", ch); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("then %v", err)
		}
	})
	t.Run("a count and an error of a write", func(t *testing.T) {
		s, _ := newRude(t, nil, func(c *rude) {
			c.write = func(p []byte) (int, error) { return 3, syscall.ECONNRESET }
		})
		_, done := kit.Begin(t, s, []byte("hello"))
		kit.WantFailure(t, "the write", kit.Within(t, "the write", done), 3, true, syscall.ECONNRESET)
	})
}
