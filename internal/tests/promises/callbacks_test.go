package promises_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// eachSide runs f with Begin and End of either direction, on a stream whose operations all complete at once: the peer
// reads everything, and has written plenty.
func eachSide(t *testing.T, f func(t *testing.T, a *netstream.NetworkStream, begin func(netstream.AsyncCallback) (netstream.AsyncResult, error), end func(netstream.AsyncResult) error)) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		t.Run("write", func(t *testing.T) {
			a, b := c.Pair(t, nil, nil)
			kit.GoRead(b)
			f(t, a, func(callback netstream.AsyncCallback) (netstream.AsyncResult, error) {
				return a.BeginWrite([]byte("x"), 0, 1, callback, nil)
			}, a.EndWrite)
		})
		t.Run("read", func(t *testing.T) {
			a, b := c.Pair(t, nil, nil)
			plenty := kit.Async(func() error {
				for p := make([]byte, 4000); ; {
					if _, err := b.Write(p); err != nil {
						return nil // the test is over
					}
				}
			})
			defer kit.Within(t, "the writing peer", plenty)
			defer b.Close() // a alone would linger for 2 s, since its peer goes on writing
			f(t, a, func(callback netstream.AsyncCallback) (netstream.AsyncResult, error) {
				return a.BeginRead(make([]byte, 1), 0, 1, callback, nil)
			}, kit.EndOf(a, true))
		})
	})
}

// begunHere marks a stack: a callback that ran under Begin would have it below itself.
func begunHere(begin func(netstream.AsyncCallback) (netstream.AsyncResult, error), callback netstream.AsyncCallback) error {
	_, err := begin(callback)
	return err
}

func TestPromise07_ACallbackIsNeverOnTheStackOfBegin(t *testing.T) {
	eachSide(t, func(t *testing.T, a *netstream.NetworkStream, begin func(netstream.AsyncCallback) (netstream.AsyncResult, error), end func(netstream.AsyncResult) error) {
		var mu sync.Mutex // held by Begin's caller and taken by the callback: inline it would wait for itself
		for range 200 {
			done := make(chan string, 1)
			mu.Lock()
			err := begunHere(begin, func(ar netstream.AsyncResult) {
				mu.Lock()
				defer mu.Unlock()
				end(ar)
				stack := make([]byte, 16<<10)
				done <- string(stack[:runtime.Stack(stack, false)])
			})
			mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			stack, _, _ := strings.Cut(kit.Within(t, "the callback", done), "created by")
			if strings.Contains(stack, "begunHere") || strings.Contains(stack, "tRunner") {
				t.Fatalf("the callback has run on the goroutine of Begin's caller:\n%s", stack)
			}
		}
	})
}

// A callback that begins the next operation, 100,000 times over: the stack stays flat and each callback returns before
// the next one starts, although the operations complete at once.
func TestPromise07_RecursionIsImpossible(t *testing.T) {
	count := 100_000
	if kit.RaceEnabled || testing.Short() {
		count = 5_000
	}
	eachSide(t, func(t *testing.T, a *netstream.NetworkStream, begin func(netstream.AsyncCallback) (netstream.AsyncResult, error), end func(netstream.AsyncResult) error) {
		var inside atomic.Bool
		deepest, left := 0, count // no lock: callbacks of a direction run one after the other
		done := make(chan error, 1)
		var again netstream.AsyncCallback
		again = func(ar netstream.AsyncResult) {
			if inside.Swap(true) {
				t.Error("a callback started inside another one's time")
			}
			defer inside.Store(false)
			var frames [256]uintptr
			deepest = max(deepest, runtime.Callers(0, frames[:]))
			err := end(ar)
			if left--; left > 0 && err == nil {
				_, err = begin(again)
				if err == nil {
					return
				}
			}
			done <- err
		}
		if _, err := begin(again); err != nil {
			t.Fatal(err)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(5 * time.Minute): // 100,000 round trips through the scheduler; a second or two usually
			t.Fatal("the chain has stopped")
		}
		if deepest > 30 { // about ten; a chain that recursed would have thousands
			t.Errorf("the stack was %d frames deep", deepest)
		}
	})
}

func TestPromise07_CallbacksOfADirectionRunOneAtATimeInOrder(t *testing.T) {
	eachSide(t, func(t *testing.T, a *netstream.NetworkStream, begin func(netstream.AsyncCallback) (netstream.AsyncResult, error), end func(netstream.AsyncResult) error) {
		const goroutines, each = 4, 200
		var mu sync.Mutex // makes the order of Begins
		begun, next := 0, 0
		var inside atomic.Int32
		var wg sync.WaitGroup
		wg.Add(goroutines * each)
		for range goroutines {
			go func() {
				for range each {
					mu.Lock()
					place := begun
					begun++
					_, err := begin(func(ar netstream.AsyncResult) {
						defer wg.Done()
						if inside.Add(1) != 1 {
							t.Error("two callbacks of one direction at a time")
						}
						if place != next { // next is not synchronised by the test
							t.Errorf("callback %d where %d is next", place, next)
						}
						next++
						if err := end(ar); err != nil {
							t.Error(err)
						}
						runtime.Gosched()
						inside.Add(-1)
					})
					mu.Unlock()
					if err != nil {
						t.Error(err)
						wg.Done()
					}
				}
			}()
		}
		kit.Within(t, "all callbacks", kit.Async(func() error { wg.Wait(); return nil }))
	})
}

// What was cancelled, dropped or timed out while it was queued completes before what was begun earlier.
func TestPromise07_CompletionOrderWhereItIsNotBeginOrder(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		order := make(chan string, 10)
		note := func(name string) netstream.AsyncCallback {
			return func(ar netstream.AsyncResult) {
				if err := a.EndWrite(ar); err != nil {
					name += " " + fmt.Sprint(errors.Is(err, context.Canceled))
				}
				order <- name
			}
		}
		first := kit.Patterned(1, kit.PlugSize)
		kit.MustBegin(t, a, first, note("first"))
		kit.Settled(t, a)
		var queued []netstream.AsyncResult
		for i := range 100 { // more than the portable engine gives the system at once
			queued = append(queued, kit.MustBegin(t, a, kit.Patterned(2, 10), note(fmt.Sprint(i))))
		}
		for _, i := range []int{99, 97} {
			kit.MustCancel(t, a, queued[i])
			if got, want := kit.Within(t, "the cancelled write's callback", order), fmt.Sprint(i, " true"); got != want {
				t.Fatalf("the callback of %q came, want %q", got, want)
			}
		}
		kit.ReadExactly(t, b, first)
		want := []string{"first"}
		for i := range 99 {
			if i != 97 {
				want = append(want, fmt.Sprint(i))
			}
		}
		go func() { readQuietly(b, 98*10) }()
		for _, name := range want {
			if got := kit.Within(t, "a callback", order); got != name {
				t.Fatalf("the callback of %q came, want %q", got, name)
			}
		}
	})
}

// readQuietly takes n bytes, for goroutines that may not fail the test.
func readQuietly(s *netstream.NetworkStream, n int) {
	p := make([]byte, n)
	for n > 0 {
		m, err := s.Read(p[:n])
		if err != nil {
			return
		}
		n -= m
	}
}

func TestPromise07_TheDirectionsAreIndependent(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		for _, blocked := range []string{"write", "read"} {
			t.Run(blocked+" callback blocks", func(t *testing.T) {
				a, b := c.Pair(t, nil, nil)
				kit.GoRead(b)
				started, release := make(chan struct{}), make(chan struct{})
				defer kit.CloseAndWait(t, a)
				defer close(release)
				block := func(netstream.AsyncResult) { close(started); <-release }
				free := make(chan struct{}, 1)
				pass := func(netstream.AsyncResult) { free <- struct{}{} }
				if blocked == "write" {
					kit.MustBegin(t, a, []byte("x"), block)
				} else {
					kit.MustBeginRead(t, a, make([]byte, 1), block)
				}
				if _, err := b.Write(make([]byte, 1000)); err != nil {
					t.Fatal(err)
				}
				kit.Within(t, "the blocking callback", started)
				for range 100 {
					if blocked == "write" {
						kit.MustBeginRead(t, a, make([]byte, 1), pass)
					} else {
						kit.MustBegin(t, a, []byte("y"), pass)
					}
					kit.Within(t, "a callback of the other direction", free)
				}
			})
		}
	})
}
