package fanout_test

import (
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// afterDone returns the causes that AfterDone's function was called with.
func afterDone(s *netstream.NetworkStream) (causes <-chan error, stop func() bool) {
	ch := make(chan error, 10)
	return ch, s.AfterDone(func(cause error) { ch <- cause })
}

// Whatever ends the stream is the cause, and by then Done is closed and the group has lost a stream.
func TestAfterDone_ComesLastAndKnowsTheCause(t *testing.T) {
	reason := errors.New("the reason")
	ways := []struct {
		name  string
		close func(s *netstream.NetworkStream) error
		cause error
	}{
		{"Close", (*netstream.NetworkStream).Close, net.ErrClosed},
		{"CloseWithError", func(s *netstream.NetworkStream) error { return s.CloseWithError(reason) }, reason},
		{"CloseTimeout", func(s *netstream.NetworkStream) error { return s.CloseTimeout(kit.Patience) }, net.ErrClosed},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				group := new(netstream.Group)
				s, _ := c.Pair(t, &netstream.Config{Group: group}, nil)
				release := make(chan struct{})
				running := make(chan struct{})
				kit.MustBegin(t, s, []byte("x"), func(netstream.AsyncResult) { close(running); <-release })
				kit.Within(t, "the callback", running)
				type told struct {
					cause       error
					done, group bool
				}
				ch := make(chan told, 1)
				s.AfterDone(func(cause error) {
					now := told{cause: cause}
					select {
					case <-s.Done():
						now.done = true
					default:
					}
					for member := range group.Streams() {
						now.group = now.group || member == s
					}
					ch <- now
				})
				kit.Must(t, way.close(s))
				select {
				case <-ch:
					t.Fatal("it did not wait for the callback")
				default:
				}
				close(release)
				got := kit.Within(t, "AfterDone", ch)
				if !errors.Is(got.cause, way.cause) || got.cause != s.Err() || !got.done || got.group {
					t.Errorf("%+v; Err is %v", got, s.Err())
				}
			})
		}
	})
}

// Each function is called once, also one that comes after the end; stop keeps the one it belongs to from being called.
func TestAfterDone_OnceUnlessStopped(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, _ := c.Pair(t, nil, nil)
		var calls [4]<-chan error
		var stops [4]func() bool
		for i := range calls {
			calls[i], stops[i] = afterDone(s)
		}
		for _, i := range []int{2, 0} { // in the middle, and at an end
			if !stops[i]() || stops[i]() {
				t.Error("stop takes back once")
			}
		}
		s.Close()
		for _, i := range []int{1, 3} {
			if err := kit.Within(t, "AfterDone", calls[i]); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
			if stops[i]() {
				t.Error("what was called was taken back")
			}
		}
		late, stop := afterDone(s)
		if err := kit.Within(t, "after the end", late); !errors.Is(err, net.ErrClosed) || stop() {
			t.Error(err)
		}
		for i, ch := range calls {
			if len(ch) != 0 {
				t.Errorf("function %d was called when it should not have been", i)
			}
		}
	})
}

// A broken connection alone ends nothing, and a closed socket does not either: somebody closes the stream.
func TestAfterDone_NeedsAClose(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, _ := c.Pair(t, nil, nil)
		ch, _ := afterDone(s)
		kit.Must(t, s.Socket().Close())
		if _, err := s.Write([]byte("x")); err == nil {
			t.Error("the socket is open")
		}
		if len(ch) != 0 {
			t.Error("called although the stream is open")
		}
		s.Close()
		kit.Within(t, "AfterDone", ch)
	})
}

// In a bubble the function runs as soon as everything stands still, and not before.
func TestAfterDone_InABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(nil)
		defer b.Close()
		ch, _ := afterDone(a)
		synctest.Wait()
		if len(ch) != 0 {
			t.Error("called while the stream is open")
		}
		a.Close()
		synctest.Wait()
		if len(ch) != 1 {
			t.Error("not called")
		}
	})
}

// However stop, the end and late functions race, each function is called or taken back, never both, never neither.
func TestAfterDone_StopRacesWithTheEnd(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for range 50 {
			s, _ := c.Pair(t, nil, nil)
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					ch, stop := afterDone(s)
					if stopped := stop(); !stopped {
						kit.Within(t, "AfterDone", ch)
					} else if <-s.Done(); len(ch) != 0 {
						t.Error("called and taken back")
					}
				})
			}
			all.Go(func() { s.Close() })
			all.Wait()
		}
	})
}

func TestAfterDone_NilPanics(t *testing.T) {
	a, b := netstream.Pipe(nil)
	defer b.Close()
	defer a.Close()
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	a.AfterDone(nil)
}
