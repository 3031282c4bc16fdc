package lifecycle_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// raceCalls is every call that a stream takes, each as something that must return, whatever is closed meanwhile. An
// operation that was begun is ended, so one that never completes hangs the test.
var raceCalls = []struct {
	name string
	call func(s *netstream.NetworkStream) error
}{
	{"BeginWrite", func(s *netstream.NetworkStream) error {
		return kit.BeginThen(s, make([]byte, 100), func(netstream.AsyncResult) {})
	}},
	{"BeginWrite-large", func(s *netstream.NetworkStream) error {
		return kit.BeginThen(s, make([]byte, 300_000), func(netstream.AsyncResult) {})
	}},
	{"BeginWrite-callback", func(s *netstream.NetworkStream) error { return kit.Styles[3].Write(s, make([]byte, 5000)) }},
	{"BeginWritev", func(s *netstream.NetworkStream) error {
		ar, err := s.BeginWritev([][]byte{make([]byte, 10), make([]byte, 70_000)}, nil, nil)
		if err != nil {
			return err
		}
		return s.EndWrite(ar)
	}},
	{"BeginWrite-cancel", func(s *netstream.NetworkStream) error {
		ar, err := s.BeginWrite(make([]byte, 100), 0, 100, nil, nil)
		if err != nil {
			return err
		}
		taken := s.Cancel(ar)
		err = s.EndWrite(ar)
		if taken != errors.Is(err, context.Canceled) {
			return errors.New("Cancel and EndWrite do not agree")
		}
		return nil
	}},
	{"BeginRead", func(s *netstream.NetworkStream) error {
		_, err := kit.BeginReadThen(s, make([]byte, 100), func(netstream.AsyncResult) {})
		return err
	}},
	{"BeginRead-callback", func(s *netstream.NetworkStream) error {
		_, err := kit.Styles[3].Read(s, make([]byte, 100))
		return err
	}},
	{"BeginRead-cancel", func(s *netstream.NetworkStream) error {
		ar, err := s.BeginRead(make([]byte, 100), 0, 100, nil, nil)
		if err != nil {
			return err
		}
		taken := s.Cancel(ar)
		_, err = s.EndRead(ar)
		if taken != errors.Is(err, context.Canceled) {
			return errors.New("Cancel and EndRead do not agree")
		}
		return nil
	}},
	{"BeginRead-empty", func(s *netstream.NetworkStream) error {
		_, err := kit.BeginReadThen(s, []byte{}, func(netstream.AsyncResult) {})
		return err
	}},
	{"Write", func(s *netstream.NetworkStream) error { _, err := s.Write(make([]byte, 300_000)); return err }},
	{"Read", func(s *netstream.NetworkStream) error { _, err := s.Read(make([]byte, 100)); return err }},
	{"WriteContext", func(s *netstream.NetworkStream) error {
		ctx, cancel := context.WithTimeout(kit.CtxNever, time.Millisecond)
		defer cancel()
		_, err := s.WriteContext(ctx, make([]byte, 100_000))
		return err
	}},
	{"ReadContext", func(s *netstream.NetworkStream) error {
		ctx, cancel := context.WithTimeout(kit.CtxNever, time.Millisecond)
		defer cancel()
		_, err := s.ReadContext(ctx, make([]byte, 100))
		return err
	}},
	{"WaitRoom", func(s *netstream.NetworkStream) error { return s.WaitRoom(kit.CtxNever, 50_000) }},
	{"Drain", func(s *netstream.NetworkStream) error { return s.Drain(kit.CtxNever) }},
	{"Post", func(s *netstream.NetworkStream) error { return s.Post(make([]byte, 100)) }},
	{"Post-large", func(s *netstream.NetworkStream) error { return s.Post(make([]byte, 300_000)) }},
	{"Broadcast", func(s *netstream.NetworkStream) (err error) {
		refused := func(_ *netstream.NetworkStream, e error) { err = e }
		netstream.Broadcast(make([]byte, 100), slices.Values([]*netstream.NetworkStream{s, s}), refused)
		return err
	}},
	{"BeginWaitRoom", func(s *netstream.NetworkStream) error {
		ar, err := s.BeginWaitRoom(200_000, nil, nil)
		if err != nil {
			return err
		}
		return s.EndWaitRoom(ar)
	}},
	{"BeginWaitRoom-cancel", func(s *netstream.NetworkStream) error {
		ended := make(chan error, 1)
		ar, err := s.BeginWaitRoom(400_000, func(ar netstream.AsyncResult) { ended <- s.EndWaitRoom(ar) }, nil)
		if err != nil {
			return err
		}
		if taken := s.Cancel(ar); taken != errors.Is(<-ended, context.Canceled) {
			return errors.New("Cancel and EndWaitRoom do not agree")
		}
		return nil
	}},
	{"AfterDone", func(s *netstream.NetworkStream) error {
		called := make(chan error, 1)
		stop := s.AfterDone(func(cause error) { called <- cause })
		if !stop() && <-called == nil {
			return errors.New("AfterDone knows no cause")
		}
		return nil
	}},
	{"ReadFrom", func(s *netstream.NetworkStream) error {
		_, err := s.ReadFrom(strings.NewReader("from somewhere"))
		return err
	}},
	{"WriteTo", func(s *netstream.NetworkStream) error { _, err := s.WriteTo(io.Discard); return err }},
	{"CloseWrite", func(s *netstream.NetworkStream) error { return s.CloseWrite() }},
	{"SetDeadline", func(s *netstream.NetworkStream) error {
		s.SetDeadline(time.Now().Add(100 * time.Microsecond))
		return s.SetDeadline(time.Time{})
	}},
	{"Shutdown", func(s *netstream.NetworkStream) error { return s.Socket().Shutdown(netstream.ShutdownBoth) }},
	{"looks", func(s *netstream.NetworkStream) error {
		s.CanRead()
		s.Pending()
		s.Stats()
		s.Err()
		s.Done()
		s.Socket().Available()
		s.Socket().SendQueue()
		s.Socket().SetNoDelay(true)
		s.Socket().SetNotSentLowWater(0)
		s.WriteErr()
		s.Socket().SyscallConn()
		s.Socket().Engine()
		_, err := s.DataAvailable()
		return err
	}},
}

var raceEnds = []struct {
	name string
	end  func(s *netstream.NetworkStream) error
}{
	{"Close", func(s *netstream.NetworkStream) error { return s.Close() }},
	{"CloseWithError", func(s *netstream.NetworkStream) error { return s.CloseWithError(errors.New("why")) }},
	{"CloseTimeout", func(s *netstream.NetworkStream) error { s.CloseTimeout(time.Millisecond); return nil }},
	{"Socket.Close", func(s *netstream.NetworkStream) error { return s.Socket().Close() }},
}

// expectedWhileClosing reports whether a call may end so when the stream is closed under it.
func expectedWhileClosing(err error) bool {
	var invalid *netstream.InvalidOperationError // what CloseTimeout says while it drains
	var failure *netstream.IOError
	return err == nil || err == io.EOF || errors.Is(err, net.ErrClosed) || errors.As(err, &invalid) ||
		errors.Is(err, netstream.CodeShutdown) || errors.Is(err, context.DeadlineExceeded) ||
		errors.Is(err, context.Canceled) || // Drain tells the first failure, a cancelled write too
		errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errors.ErrUnsupported) ||
		errors.Is(err, netstream.CodeConnectionReset) || errors.Is(err, netstream.ErrQueueFull) ||
		errors.Is(err, netstream.CodeNotConnected) || errors.As(err, &failure) && failure.Torn
}

// Every call against every way to close, all at once, many times: nothing hangs, nothing is left pending, no
// descriptor and no goroutine is left over (TestMain looks), and the race detector is content.
func TestCloseRaces_WithEveryCall(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, e := range raceEnds {
			t.Run(e.name, func(t *testing.T) {
				for round := range rounds {
					closeRace(t, c, round, e.end)
				}
			})
		}
	})
}

func closeRace(t *testing.T, c kit.ConnCase, round int, end func(*netstream.NetworkStream) error) {
	t.Helper()
	a, b := c.Pair(t, &netstream.Config{MaxPendingBytes: 400_000}, nil)
	defer b.Close()
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i, r := range raceCalls {
		if (i+round)%3 == 0 { // another two thirds of them each round
			continue
		}
		wg.Go(func() {
			<-start
			for range 3 {
				if err := r.call(a); !expectedWhileClosing(err) {
					t.Errorf("%s while closing: %v", r.name, err)
				}
			}
		})
	}
	for range 2 { // two at once: each returns nil
		wg.Go(func() {
			<-start
			for range round % 50 {
				a.Stats() // the close comes a little later in each round
			}
			if err := end(a); err != nil {
				t.Errorf("closing: %v", err)
			}
		})
	}
	if round%2 == 0 {
		wg.Go(func() { <-start; io.Copy(io.Discard, io.LimitReader(b, 100_000)); b.Close() })
	}
	close(start)
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	kit.Within(t, "every call returns", done)
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	kit.Within(t, "Done", a.Done())
	if w, n := a.Pending(); w != 0 || n != 0 {
		t.Errorf("%d writes, %d bytes are pending for ever", w, n)
	}
	if st := a.Stats(); st.OldestPending != 0 {
		t.Errorf("OldestPending %v of a stream that is done", st.OldestPending)
	}
}

// A callback may close its own stream, and the one that runs it may be the last one out.
func TestCloseRaces_FromACallback(t *testing.T) {
	rounds := 200
	if testing.Short() {
		rounds = 20
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for round := range rounds {
			a, b := c.Pair(t, nil, nil)
			p := make([]byte, 10)
			closing := func(ar netstream.AsyncResult) {
				raceEnds[round%len(raceEnds)].end(a)
				a.Close()
			}
			if _, err := a.BeginRead(p, 0, 10, closing, nil); err != nil {
				t.Fatal(err)
			}
			if _, err := a.BeginWrite([]byte("x"), 0, 1, closing, nil); err != nil && !errors.Is(err, net.ErrClosed) {
				t.Fatal(err)
			}
			kit.Within(t, "Done", a.Done())
			b.Close()
		}
	})
}
