package copying_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Copies from one connection to another. On Linux most of these bytes never come into the program; nothing of what a
// stream promises may show that.

// relayEnds is what is copied from and what is copied to, of which at least one is a stream.
type relayEnds struct {
	name     string
	from, to string // "stream", or a network: a connection of net
}

var relayCases = []relayEnds{
	{"stream to stream", "stream", "stream"},
	{"stream to net over TCP", "stream", "tcp"},
	{"stream to net over Unix", "stream", "unix"},
	{"net over TCP to stream", "tcp", "stream"},
	{"net over Unix to stream", "unix", "stream"},
}

// relayed is one copy with the two connections at its ends.
type relayed struct {
	from io.ReadWriteCloser // what is copied from
	in   net.Conn           // its peer, which the test writes to
	to   io.ReadWriteCloser // what is copied to
	out  net.Conn           // its peer, which the test reads from
}

func (e relayEnds) open(t testing.TB, c kit.ConnCase) (r relayed) {
	t.Helper()
	open := func(kind string) (near io.ReadWriteCloser, peer net.Conn) {
		if kind == "stream" {
			return c.Pair(t, nil, nil)
		}
		a, b := kit.ConnCase{Network: kind}.NetPair(t)
		t.Cleanup(func() { a.Close(); b.Close() })
		return a, b
	}
	r.from, r.in = open(e.from)
	r.to, r.out = open(e.to)
	return r
}

func eachRelay(t *testing.T, f func(t *testing.T, c kit.ConnCase, e relayEnds)) {
	t.Helper()
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, e := range relayCases {
			t.Run(e.name, func(t *testing.T) { f(t, c, e) })
		}
	})
}

func goIOCopy(w io.Writer, r io.Reader) <-chan copied {
	ch := make(chan copied, 1)
	go func() {
		n, err := io.Copy(w, r)
		ch <- copied{n, err}
	}()
	return ch
}

func TestRelay_CarriesEverythingToTheEnd(t *testing.T) {
	eachRelay(t, func(t *testing.T, c kit.ConnCase, e relayEnds) {
		want := kit.Patterned(20, 8<<20+1)
		r := e.open(t, c)
		received := kit.GoRead(r.out)
		done := goIOCopy(r.to, r.from)
		sent := kit.Async(func() error { _, err := r.in.Write(want); return err })
		if err := kit.Within(t, "the writer", sent); err != nil {
			t.Fatal(err)
		}
		kit.CloseWrite(t, r.in)
		if got := kit.Within(t, "io.Copy", done); got.n != int64(len(want)) || got.err != nil {
			t.Errorf("io.Copy: %d, %v, want %d", got.n, got.err, len(want))
		}
		kit.CloseWrite(t, r.to)
		kit.SameBytes(t, kit.Within(t, "the reader", received).Data, want)
		if s, ok := r.from.(*netstream.NetworkStream); ok && s.Stats().BytesRead != uint64(len(want)) {
			t.Errorf("the source says that %d bytes were read", s.Stats().BytesRead)
		}
		if s, ok := r.to.(*netstream.NetworkStream); ok {
			if sent := s.Stats().BytesWritten; sent != uint64(len(want)) {
				t.Errorf("the destination says that %d bytes were written", sent)
			}
			kit.WantIdle(t, s)
		}
	})
}

func TestRelay_ALimitIsExact(t *testing.T) {
	eachRelay(t, func(t *testing.T, c kit.ConnCase, e relayEnds) {
		const limit = 1<<20 + 17
		want := kit.Patterned(21, limit+1000)
		r := e.open(t, c)
		go r.in.Write(want)
		done := make(chan copied, 1)
		l := &io.LimitedReader{R: r.from, N: limit}
		go func() {
			n, err := io.Copy(r.to, l)
			done <- copied{n, err}
		}()
		kit.ReadExactly(t, r.out, want[:limit])
		if got := kit.Within(t, "io.Copy", done); got.n != limit || got.err != nil || l.N != 0 {
			t.Errorf("io.Copy: %d, %v, %d of the limit left", got.n, got.err, l.N)
		}
		kit.ReadExactly(t, r.from, want[limit:]) // nothing more was taken
	})
}

// Who else reads from the source or writes to the destination gets their turn, and messages stay whole.
func TestRelay_OthersGetTheirTurn(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const size, messages = 4 << 20, 20
		r := relayEnds{from: "stream", to: "stream"}.open(t, c)
		from, to := r.from.(*netstream.NetworkStream), r.to.(*netstream.NetworkStream)
		kit.SmallBuffers(t, to, r.out.(*netstream.NetworkStream))
		done := goIOCopy(to, from)
		go func() { r.in.Write(make([]byte, size)); kit.CloseWrite(t, r.in) }()
		message := bytes.Repeat([]byte{'M'}, 10_000)
		taken := make(chan int, 1)
		go func() {
			n := 0
			for range messages {
				if ar, err := to.BeginWrite(message, 0, len(message), nil, nil); err != nil || to.EndWrite(ar) != nil {
					t.Error("a message could not be written")
				}
				p := make([]byte, 100)
				ar, err := from.BeginRead(p, 0, len(p), nil, nil) // EngineAuto moves
				if err != nil {
					t.Error(err)
					continue
				}
				m, err := from.EndRead(ar)
				if n += m; err != nil && err != io.EOF {
					t.Error(err)
				}
			}
			got := <-done
			if got.err != nil {
				t.Error(got.err)
			}
			kit.CloseWrite(t, to)
			taken <- n
		}()
		got := kit.Within(t, "the reader", kit.GoRead(r.out)).Data
		if want := size - kit.Within(t, "the messages", taken) + messages*len(message); len(got) != want {
			t.Fatalf("%d bytes have arrived, want %d", len(got), want)
		}
		for i := range messages {
			at := bytes.IndexByte(got, 'M')
			if at < 0 || !bytes.Equal(got[at:at+len(message)], message) {
				t.Fatalf("message %d of %d is not whole", i, messages)
			}
			got = got[at+len(message):]
		}
	})
}

// tooMuch is more than the buffers on the way of a relay hold.
var tooMuch = sync.OnceValue(func() []byte { return kit.Patterned(22, 16<<20) })

// stalled begins a copy whose destination's peer does not read, and returns when it stands still.
func (e relayEnds) stalled(t testing.TB, c kit.ConnCase) (r relayed, done <-chan copied, sent []byte) {
	t.Helper()
	r = e.open(t, c)
	sent = tooMuch()
	if to, ok := r.to.(*netstream.NetworkStream); ok && e.to == "stream" {
		kit.SmallBuffers(t, to, r.out.(*netstream.NetworkStream))
	}
	done = goIOCopy(r.to, r.from)
	go r.in.Write(sent)
	if to, ok := r.to.(*netstream.NetworkStream); ok {
		kit.Settled(t, to)
	}
	return r, done, sent
}

// A deadline of the destination ends the copy; the count is what has gone out.
func TestRelay_ADeadlineOfTheDestination(t *testing.T) {
	eachRelay(t, func(t *testing.T, c kit.ConnCase, e relayEnds) {
		r, done, sent := e.stalled(t, c)
		if err := r.to.(net.Conn).SetWriteDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		got := kit.Within(t, "io.Copy", done)
		if !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Fatalf("io.Copy: %v", got.err)
		}
		wantOpError(t, got.err, "write")
		kit.ReadExactly(t, r.out, sent[:got.n])
		if err := r.to.(net.Conn).SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		next := kit.Async(func() error { _, err := r.to.Write([]byte("next")); return err })
		kit.ReadExactly(t, r.out, []byte("next")) // the next blocking Write goes through, right behind
		if err := kit.Within(t, "Write", next); err != nil {
			t.Error(err)
		}
	})
}

// A deadline of the source ends the copy, of which nothing is lost.
func TestRelay_ADeadlineOfTheSource(t *testing.T) {
	eachRelay(t, func(t *testing.T, c kit.ConnCase, e relayEnds) {
		want := kit.Patterned(23, 1<<20)
		r := e.open(t, c)
		done := goIOCopy(r.to, r.from)
		go r.in.Write(want)
		kit.ReadExactly(t, r.out, want)
		if err := r.from.(net.Conn).SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		got := kit.Within(t, "io.Copy", done)
		if got.n != int64(len(want)) || !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Fatalf("io.Copy: %d, %v, want %d and the deadline", got.n, got.err, len(want))
		}
		wantOpError(t, got.err, "read")
	})
}

// wantOpError checks which side failed. The WriteTo of a *net.TCPConn puts an error of its own around either.
func wantOpError(t testing.TB, err error, op string) {
	t.Helper()
	var oe *net.OpError
	if errors.As(err, &oe) && oe.Op == "writeto" {
		errors.As(oe.Err, &oe)
	}
	if oe == nil || oe.Op != op {
		t.Errorf("%v is not an error of a %s", err, op)
	}
}

// Close of either end comes back although the other end stands still, and ends the copy.
func TestRelay_CloseEndsIt(t *testing.T) {
	eachRelay(t, func(t *testing.T, c kit.ConnCase, e relayEnds) {
		t.Run("the destination", func(t *testing.T) {
			r, done, sent := e.stalled(t, c)
			kit.Within(t, "Close", kit.Async(r.to.Close))
			if got := kit.Within(t, "io.Copy", done); !errors.Is(got.err, net.ErrClosed) {
				t.Errorf("io.Copy: %v", got.err)
			}
			got := kit.Within(t, "the reader", kit.GoRead(r.out))
			kit.SameBytes(t, got.Data, sent[:len(got.Data)])
		})
		t.Run("the source", func(t *testing.T) {
			r := e.open(t, c)
			done := goIOCopy(r.to, r.from)
			go r.in.Write(make([]byte, 1<<20))
			kit.ReadExactly(t, r.out, make([]byte, 1<<20))
			kit.Within(t, "Close", kit.Async(r.from.Close))
			if got := kit.Within(t, "io.Copy", done); got.n != 1<<20 || !errors.Is(got.err, net.ErrClosed) {
				t.Errorf("io.Copy: %d, %v", got.n, got.err)
			}
		})
	})
}

// A reset of either end is an error of that end.
func TestRelay_AResetIsTold(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("the source", func(t *testing.T) {
			from, in := c.WithPeer(t, nil)
			to, out := c.WithPeer(t, nil)
			done := goIOCopy(to, from)
			go in.Write(make([]byte, 1<<20))
			kit.ReadExactly(t, out, make([]byte, 1<<20))
			kit.ResetPeer(t, in)
			got := kit.Within(t, "io.Copy", done)
			kit.WantIs(t, "io.Copy", got.err, netstream.CodeConnectionReset)
			wantOpError(t, got.err, "read")
		})
		t.Run("the destination", func(t *testing.T) {
			from, in := c.WithPeer(t, nil)
			to, out := c.WithPeer(t, nil)
			done := goIOCopy(to, from)
			go in.Write(make([]byte, 64<<20))
			kit.ReadExactly(t, out, make([]byte, 1<<20))
			kit.ResetPeer(t, out)
			got := kit.Within(t, "io.Copy", done)
			wantOpError(t, got.err, "write")
			var se *netstream.SocketError
			if !errors.As(got.err, &se) || kit.HaveEpoll && se.Code != netstream.CodeConnectionReset {
				t.Errorf("io.Copy: %v", got.err)
			}
			if _, err := to.Read(make([]byte, 1)); err == nil || err == io.EOF {
				t.Errorf("Read after a reset: %v", err)
			}
		})
	})
}
