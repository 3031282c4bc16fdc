package promises_test

import (
	"sync"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestPromise9_CompletedSynchronouslyIsTheSameInEveryCopy(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		seen := make(chan bool, 1)
		synchronous := 0
		for i := range 200 {
			p := kit.Patterned(i, 100)
			kit.Must(t, kit.WriteAll(b, "?")) // an answer is sent by Begin itself
			_, err := a.Read(make([]byte, 1))
			kit.Must(t, err)
			// The mutex shows that the callback is not run inline: it would wait for itself.
			var mu sync.Mutex
			mu.Lock()
			ar, err := a.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) {
				mu.Lock()
				defer mu.Unlock()
				seen <- ar.CompletedSynchronously()
			}, nil)
			mu.Unlock()
			if err != nil {
				t.Fatal(err)
			}
			mine := ar.CompletedSynchronously()
			if mine {
				synchronous++
				if !ar.IsCompleted() {
					t.Fatal("completed synchronously and not completed")
				}
			}
			if got := kit.Within(t, "callback", seen); got != mine {
				t.Fatalf("CompletedSynchronously: %t in the caller's copy, %t in the callback's", mine, got)
			}
			if err := a.EndWrite(ar); err != nil {
				t.Fatal(err)
			}
			if ar.CompletedSynchronously() != mine {
				t.Fatal("CompletedSynchronously changed after End")
			}
			kit.ReadExactly(t, b, p)
		}
		if synchronous != 200 {
			t.Errorf("%d of 200 small answers with nothing ahead completed synchronously", synchronous)
		}
	})
}

func TestPromise9_ADeferredSendIsNeverSynchronous(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{Send: netstream.SendDeferred}, nil)
		for i := range 50 {
			p := kit.Patterned(i, 100)
			ar, done := kit.Begin(t, a, p)
			if ar.CompletedSynchronously() {
				t.Fatal("a deferred write completed synchronously")
			}
			if err := kit.Within(t, "deferred write", done); err != nil {
				t.Fatal(err)
			}
			kit.ReadExactly(t, b, p)
		}
	})
}

// .NET's usual pattern: the caller handles what completed synchronously, the callback everything else.
func TestPromise9_ThePatternHandlesEachWriteOnce(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const count, size = 2000, 300
		a, b := c.Pair(t, nil, nil)
		all := kit.Patterned(3, count*size)
		got := kit.GoRead(b)
		once := kit.NewOnceEach(count)
		handle := func(ar netstream.AsyncResult) {
			if err := a.EndWrite(ar); err != nil {
				t.Error(err)
			}
			once.Handle(ar.AsyncState().(int))
		}
		for i := range count {
			ar, err := a.BeginWrite(all, i*size, size, func(ar netstream.AsyncResult) {
				if !ar.CompletedSynchronously() {
					handle(ar)
				}
			}, i)
			if err != nil {
				t.Fatal(err)
			}
			if ar.CompletedSynchronously() {
				handle(ar)
			}
		}
		once.Check(t)
		kit.WantIdle(t, a)
		a.Close()
		o := kit.Within(t, "the peer reads to the end", got)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		kit.SameBytes(t, o.Data, all)
	})
}

func TestPromise9_ThePatternHandlesEachReadOnce(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const count = 2000
		a, b := c.Pair(t, nil, nil)
		all := kit.Patterned(4, count)
		written := kit.Async(func() error {
			for i := range all { // single bytes, so that reads find both something and nothing there
				if _, err := a.Write(all[i : i+1]); err != nil {
					return err
				}
			}
			return nil
		})
		once := kit.NewOnceEach(count)
		got := make([]byte, count)
		slots := make(chan struct{}, 16) // that many reads are pending at a time
		handle := func(ar netstream.AsyncResult) {
			if n, err := b.EndRead(ar); n != 1 || err != nil {
				t.Errorf("read: %d, %v", n, err)
			}
			once.Handle(ar.AsyncState().(int))
			<-slots
		}
		for i := range count {
			slots <- struct{}{}
			ar, err := b.BeginRead(got, i, 1, func(ar netstream.AsyncResult) {
				if !ar.CompletedSynchronously() {
					handle(ar)
				}
			}, i)
			if err != nil {
				t.Fatal(err)
			}
			if ar.CompletedSynchronously() {
				handle(ar)
			}
		}
		once.Check(t)
		if err := kit.Within(t, "writes", written); err != nil {
			t.Fatal(err)
		}
		kit.SameBytes(t, got, all)
	})
}
