package promises_test

import (
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// These tests check values, but it is the race detector that gives them their sense: variables that are shared
// without any synchronisation but the library's own.

func TestPromise14_WhatPrecedesBeginIsVisibleToTheCallback(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count = 300
		a, b := c.Pair(t, nil, nil)
		discarded := kit.GoRead(b)
		var before [count]int // written by Begin's caller, read by the callback
		sum := 0              // written by every callback of the direction, one after the other
		for i := range count {
			before[i] = i + 1
			p := []byte{byte(i)}
			kit.MustBegin(t, a, p, func(ar netstream.AsyncResult) {
				if before[i] != i+1 || p[0] != byte(i) {
					t.Errorf("callback %d saw %d", i, before[i])
				}
				p[0] = 0 // the buffer is the callback's
				sum += before[i]
			})
		}
		kit.Eventually(t, "all is out", func() bool { n, _ := a.Pending(); return n == 0 })
		kit.CloseAndWait(t, a) // Done: every callback has returned
		if sum != count*(count+1)/2 {
			t.Errorf("after Done the callbacks' sum is %d", sum)
		}
		kit.Within(t, "the peer reads to the end", discarded)
	})
}

// What a peer's bytes bring is written into the buffer by whoever served the read; each of the ways to learn of the
// completion makes it visible.
func TestPromise14_WhatPrecedesCompletionIsVisibleAfterIt(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		for _, how := range completions(kit.EndOf(b, true)) {
			t.Run(how.name, func(t *testing.T) {
				for i := range 100 {
					p := make([]byte, 8)
					_, wait, err := how.begin(func(callback netstream.AsyncCallback) (netstream.AsyncResult, error) {
						return b.BeginRead(p, 0, len(p), callback, nil)
					})
					if err != nil {
						t.Fatal(err)
					}
					q := kit.Patterned(i, 8)
					if err := a.EndWrite(kit.MustBegin(t, a, q, nil)); err != nil {
						t.Fatal(err)
					}
					scribble(q)
					wait()
					kit.SameBytes(t, p, kit.Patterned(i, 8))
				}
			})
		}
	})
}

// A callback begins the next operation and hands its variable on: a chain over whatever goroutines the callbacks
// run on, in both directions, with nothing between them but Begin and callback.
func TestPromise14_AChainOfCallbacksNeedsNoSynchronisation(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const rounds = 300
		a, b := c.Pair(t, nil, nil)
		count := 0
		done := make(chan struct{})
		out, in := make([]byte, 1), make([]byte, 1)
		var wrote, read netstream.AsyncCallback
		wrote = func(ar netstream.AsyncResult) {
			if err := a.EndWrite(ar); err != nil {
				t.Error(err)
			}
		}
		read = func(ar netstream.AsyncResult) {
			count++
			if n, err := a.EndRead(ar); n != 1 || err != nil || int(in[0]) != count&0xff {
				t.Errorf("round %d: %d, %v, %d", count, n, err, in[0])
			}
			if count == rounds {
				close(done)
				return
			}
			next := []byte{byte(count)}
			if _, err := a.BeginWrite(next, 0, 1, wrote, nil); err != nil {
				t.Error(err)
			}
			if _, err := a.BeginRead(in, 0, 1, read, nil); err != nil {
				t.Error(err)
			}
		}
		echo := kit.Async(func() error { // returns each byte plus one
			p := make([]byte, 1)
			for range rounds {
				if _, err := b.Read(p); err != nil {
					return err
				}
				p[0]++
				if _, err := b.Write(p); err != nil {
					return err
				}
			}
			return nil
		})
		kit.MustBeginRead(t, a, in, read)
		kit.MustBegin(t, a, out, wrote)
		kit.Within(t, "all rounds", done)
		if err := kit.Within(t, "the echo", echo); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPromise14_WhatPrecedesAWriteIsVisibleBehindItsBytes(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		for i := range 200 { // as with net.Conn: a byte that was read orders what came before it was written
			value := 0
			go func() {
				value = i
				a.BeginWrite([]byte{1}, 0, 1, nil, nil)
			}()
			p := make([]byte, 1)
			if n, err := b.EndRead(kit.MustBeginRead(t, b, p, nil)); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			if value != i {
				t.Fatalf("value %d, want %d", value, i)
			}
		}
	})
}
