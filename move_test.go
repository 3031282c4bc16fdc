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
)

// autoPair is a stream of EngineAuto, which has not moved yet, and its peer.
func autoPair(t *testing.T) (a, b *netstream.NetworkStream) {
	t.Helper()
	c := connCases[0]
	if !c.usable() {
		t.Skip("another engine is asked for")
	}
	a, b = c.pair(t, nil, nil)
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
	eventually(t, "it has moved to the loop", func() bool {
		e, _ := s.Socket().Engine()
		return e == netstream.EngineEpoll
	})
}

func TestMove_OnlyForWhatHasToWait(t *testing.T) {
	a, b := autoPair(t)
	for range 3 {
		for _, st := range styles {
			must(t, writeAll(b, "?"))
			_, err := a.Read(make([]byte, 1))
			must(t, err)
			must(t, st.write(a, []byte("x"))) // never has to wait, nor for the loop: it answers
		}
	}
	readExactly(t, b, make18x())
	wantEngine(t, a, netstream.EnginePortable)
	_, done := beginRead(t, a, 10)
	onLoop(t, a)
	must(t, writeAll(b, "data"))
	if o := within(t, "the read that caused the move", done); o.err != nil || string(o.data) != "data" {
		t.Fatalf("%q, %v", o.data, o.err)
	}
}

func make18x() []byte {
	p := make([]byte, 3*len(styles))
	for i := range p {
		p[i] = 'x'
	}
	return p
}

// A blocking Read waits in the portable transport when a BeginWrite has to wait: the Read goes on on the loop.
func TestMove_UnderABlockingRead(t *testing.T) {
	for round := range 20 {
		a, b := autoPair(t)
		small(t, a, b)
		back := patterned(round, 200_000)
		reading := async(func() error {
			got := make([]byte, len(back))
			if _, err := io.ReadFull(a, got); err != nil {
				return err
			}
			if string(got) != string(back) {
				return errors.New("other bytes arrived than were sent")
			}
			return nil
		})
		eventually(t, "the Read waits", a.ReadWaits)
		replying := async(func() error { // bytes arrive while it moves
			for p := back; len(p) > 0; p = p[min(1000, len(p)):] {
				if _, err := b.Write(p[:min(1000, len(p))]); err != nil {
					return err
				}
			}
			return nil
		})
		p := patterned(round+1, plugSize)
		_, done := begin(t, a, p)
		onLoop(t, a)
		readExactly(t, b, p)
		for _, ch := range []<-chan error{done, replying, reading} {
			must(t, within(t, "under a move", ch))
		}
		a.Close()
		b.Close()
	}
}

// A blocking Write is half out in the portable transport when a BeginRead has to wait: the rest goes out on the loop.
func TestMove_UnderABlockingWrite(t *testing.T) {
	for round := range 20 {
		a, b := autoPair(t)
		small(t, a, b)
		p := patterned(round, plugSize)
		writing := async(func() error {
			n, err := a.Write(p)
			if err == nil && n != len(p) {
				return io.ErrShortWrite
			}
			return err
		})
		hasInput(t, b)
		_, done := beginRead(t, a, 10)
		if round%2 == 0 {
			onLoop(t, a)
		}
		readExactly(t, b, p)
		must(t, within(t, "the Write", writing))
		must(t, writeAll(b, "data"))
		if o := within(t, "the read", done); o.err != nil || string(o.data) != "data" {
			t.Fatalf("%q, %v", o.data, o.err)
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
		small(t, a, b)
		small(t, b, a)
		there, back := patterned(1, 1<<20), patterned(2, 1<<20)
		gotThere, gotBack := goRead(b), make(chan readOutcome, 1)
		var wg sync.WaitGroup
		wg.Go(func() { // blocking reads, and begun ones from the middle on
			var all []byte
			p := make([]byte, 5000)
			for {
				st := styles[0]
				if len(all) > 1<<17 {
					st = styles[len(all)%len(styles)]
				}
				n, err := st.read(a, p)
				all = append(all, p[:n]...)
				if err != nil {
					gotBack <- readOutcome{all, err}
					return
				}
			}
		})
		send := func(s *netstream.NetworkStream, all []byte, only int) {
			for i := 0; i < len(all); i += 4096 {
				if err := styles[i/4096%only].write(s, all[i:i+4096]); err != nil {
					t.Error(err)
					return
				}
			}
			s.CloseWrite()
		}
		wg.Go(func() { send(a, there, len(styles)) })
		wg.Go(func() { send(b, back, 1+round%len(styles)) })
		wg.Go(func() {
			for range 200 {
				a.DataAvailable()
				a.Socket().SendQueue()
				runtime.Gosched()
			}
		})
		o := within(t, "there", gotThere)
		must(t, o.err)
		sameBytes(t, o.data, there)
		o = within(t, "back", gotBack)
		if o.err != io.EOF {
			t.Fatal(o.err)
		}
		sameBytes(t, o.data, back)
		wg.Wait()
		a.Close()
		b.Close()
	}
}

// Close in the middle of a move ends everything and leaks nothing (TestMain looks).
func TestMove_RacesWithClose(t *testing.T) {
	for round := range 200 {
		a, b := autoPair(t)
		reading := async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		var wg sync.WaitGroup
		var done <-chan readOutcome
		wg.Go(func() { _, done = tryBeginRead(a, 10) })
		wg.Go(func() {
			if round%2 == 0 {
				a.Socket().Close()
			}
			a.Close()
		})
		wg.Wait()
		if err := within(t, "the blocking Read", reading); !errors.Is(err, net.ErrClosed) {
			t.Fatal(err)
		}
		if done != nil {
			if err := within(t, "the begun read", done).err; !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
		}
		b.Close()
	}
}

// tryBeginRead is beginRead for a stream that may be closed; the channel is nil then.
func tryBeginRead(s *netstream.NetworkStream, size int) (netstream.AsyncResult, <-chan readOutcome) {
	ch := make(chan readOutcome, 1)
	p := make([]byte, size)
	ar, err := s.BeginRead(p, 0, size, func(ar netstream.AsyncResult) {
		n, err := s.EndRead(ar)
		ch <- readOutcome{p[:n], err}
	}, nil)
	if err != nil {
		return ar, nil
	}
	return ar, ch
}
