//go:build linux

package netstream_test

import (
	"errors"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// autoPair is a stream of EngineAuto, which has not moved yet, and its peer.
func autoPair(t *testing.T) (a, b *netstream.NetworkStream) {
	t.Helper()
	c := kit.ConnCases[0]
	if !c.Usable() {
		t.Skip("another engine is asked for")
	}
	a, b = c.Pair(t, nil, nil)
	wantEngine(t, a, netstream.EnginePortable)
	return a, b
}

func wantEngine(t *testing.T, s *netstream.NetworkStream, want netstream.Engine) {
	t.Helper()
	if got, why := s.Socket().Engine(); got != want {
		t.Fatalf("on %v (%s), want %v", got, why, want)
	}
}

func onLoop(t *testing.T, s *netstream.NetworkStream) {
	t.Helper()
	kit.Eventually(t, "it has moved to the loop", func() bool {
		e, _ := s.Socket().Engine()
		return e == netstream.EngineEpoll
	})
}

func TestMove_OnlyForWhatHasToWait(t *testing.T) {
	a, b := autoPair(t)
	for range 3 {
		for _, st := range kit.Styles {
			kit.Must(t, kit.WriteAll(b, "?"))
			_, err := a.Read(make([]byte, 1))
			kit.Must(t, err)
			kit.Must(t, st.Write(a, []byte("x"))) // never has to wait, nor for the loop: it answers
		}
	}
	kit.ReadExactly(t, b, make18x())
	wantEngine(t, a, netstream.EnginePortable)
	_, done := kit.BeginRead(t, a, 10)
	onLoop(t, a)
	kit.Must(t, kit.WriteAll(b, "data"))
	if o := kit.Within(t, "the read that caused the move", done); o.Err != nil || string(o.Data) != "data" {
		t.Fatalf("%q, %v", o.Data, o.Err)
	}
}

func make18x() []byte {
	p := make([]byte, 3*len(kit.Styles))
	for i := range p {
		p[i] = 'x'
	}
	return p
}

// A blocking Read waits in the portable transport when a BeginWrite has to wait: the Read goes on on the loop.
func TestMove_UnderABlockingRead(t *testing.T) {
	for round := range 20 {
		a, b := autoPair(t)
		kit.SmallBuffers(t, a, b)
		back := kit.Patterned(round, 200_000)
		reading := kit.Async(func() error {
			got := make([]byte, len(back))
			if _, err := io.ReadFull(a, got); err != nil {
				return err
			}
			if string(got) != string(back) {
				return errors.New("other bytes arrived than were sent")
			}
			return nil
		})
		kit.Eventually(t, "the Read waits", kit.BegunReads(a, 1))
		replying := kit.Async(func() error { // bytes arrive while it moves
			for p := back; len(p) > 0; p = p[min(1000, len(p)):] {
				if _, err := b.Write(p[:min(1000, len(p))]); err != nil {
					return err
				}
			}
			return nil
		})
		p := kit.Patterned(round+1, kit.PlugSize)
		_, done := kit.Begin(t, a, p)
		onLoop(t, a)
		kit.ReadExactly(t, b, p)
		for _, ch := range []<-chan error{done, replying, reading} {
			kit.Must(t, kit.Within(t, "under a move", ch))
		}
		a.Close()
		b.Close()
	}
}

// A blocking Write is half out in the portable transport when a BeginRead has to wait: the rest goes out on the loop.
func TestMove_UnderABlockingWrite(t *testing.T) {
	for round := range 20 {
		a, b := autoPair(t)
		kit.SmallBuffers(t, a, b)
		p := kit.Patterned(round, kit.PlugSize)
		writing := kit.Async(func() error {
			n, err := a.Write(p)
			if err == nil && n != len(p) {
				return io.ErrShortWrite
			}
			return err
		})
		kit.HasInput(t, b)
		_, done := kit.BeginRead(t, a, 10)
		if round%2 == 0 {
			onLoop(t, a)
		}
		kit.ReadExactly(t, b, p)
		kit.Must(t, kit.Within(t, "the Write", writing))
		kit.Must(t, kit.WriteAll(b, "data"))
		if o := kit.Within(t, "the read", done); o.Err != nil || string(o.Data) != "data" {
			t.Fatalf("%q, %v", o.Data, o.Err)
		}
		onLoop(t, a)
		a.Close()
		b.Close()
	}
}

// Everything at once while it moves: both directions, every style, deadlines and a look at the socket.
func TestMove_UnderLoad(t *testing.T) {
	for round := range 8 {
		a, b := autoPair(t)
		kit.SmallBuffers(t, a, b)
		kit.SmallBuffers(t, b, a)
		there, back := kit.Patterned(1, 1<<20), kit.Patterned(2, 1<<20)
		gotThere, gotBack := kit.GoRead(b), make(chan kit.ReadOutcome, 1)
		var wg sync.WaitGroup
		wg.Go(func() { // blocking reads, and begun ones from the middle on
			var all []byte
			p := make([]byte, 5000)
			for {
				st := kit.Styles[0]
				if len(all) > 1<<17 {
					st = kit.Styles[len(all)%len(kit.Styles)]
				}
				n, err := st.Read(a, p)
				all = append(all, p[:n]...)
				if err != nil {
					gotBack <- kit.ReadOutcome{Data: all, Err: err}
					return
				}
			}
		})
		send := func(s *netstream.NetworkStream, all []byte, only int) {
			for i := 0; i < len(all); i += 4096 {
				if err := kit.Styles[i/4096%only].Write(s, all[i:i+4096]); err != nil {
					t.Error(err)
					return
				}
			}
			s.CloseWrite()
		}
		wg.Go(func() { send(a, there, len(kit.Styles)) })
		wg.Go(func() { send(b, back, 1+round%len(kit.Styles)) })
		wg.Go(func() {
			for range 200 {
				a.DataAvailable()
				a.Socket().SendQueue()
				runtime.Gosched()
			}
		})
		o := kit.Within(t, "there", gotThere)
		kit.Must(t, o.Err)
		kit.SameBytes(t, o.Data, there)
		o = kit.Within(t, "back", gotBack)
		if o.Err != io.EOF {
			t.Fatal(o.Err)
		}
		kit.SameBytes(t, o.Data, back)
		wg.Wait()
		a.Close()
		b.Close()
	}
}

// Close in the middle of a move ends everything and leaks nothing (TestMain looks).
func TestMove_RacesWithClose(t *testing.T) {
	for round := range 200 {
		a, b := autoPair(t)
		reading := kit.Async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		var wg sync.WaitGroup
		var done <-chan kit.ReadOutcome
		wg.Go(func() { _, done = tryBeginRead(a, 10) })
		wg.Go(func() {
			if round%2 == 0 {
				a.Socket().Close()
			}
			a.Close()
		})
		wg.Wait()
		if err := kit.Within(t, "the blocking Read", reading); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		if done != nil {
			if err := kit.Within(t, "the begun read", done).Err; !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		}
		b.Close()
	}
}

// tryBeginRead is kit.BeginRead for a stream that may be closed; the channel is nil then.
func tryBeginRead(s *netstream.NetworkStream, size int) (netstream.AsyncResult, <-chan kit.ReadOutcome) {
	ch := make(chan kit.ReadOutcome, 1)
	p := make([]byte, size)
	ar, err := s.BeginRead(p, 0, size, func(ar netstream.AsyncResult) {
		n, err := s.EndRead(ar)
		ch <- kit.ReadOutcome{Data: p[:n], Err: err}
	}, nil)
	if err != nil {
		return ar, nil
	}
	return ar, ch
}
