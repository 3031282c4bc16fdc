package netstream_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

func TestPromise9_CompletedSynchronouslyIsTheSameInEveryCopy(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		seen := make(chan bool, 1)
		synchronous := 0
		for i := range 200 {
			p := patterned(i, 100)
			must(t, writeAll(b, "?")) // an answer is sent by Begin itself
			_, err := a.Read(make([]byte, 1))
			must(t, err)
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
			if got := within(t, "callback", seen); got != mine {
				t.Fatalf("CompletedSynchronously: %t in the caller's copy, %t in the callback's", mine, got)
			}
			if err := a.EndWrite(ar); err != nil {
				t.Fatal(err)
			}
			if ar.CompletedSynchronously() != mine {
				t.Fatal("CompletedSynchronously changed after End")
			}
			readExactly(t, b, p)
		}
		if synchronous != 200 {
			t.Errorf("%d of 200 small answers with nothing ahead completed synchronously", synchronous)
		}
	})
}

func TestPromise9_ADeferredSendIsNeverSynchronous(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, &netstream.Config{Send: netstream.SendDeferred}, nil)
		for i := range 50 {
			p := patterned(i, 100)
			ar, done := begin(t, a, p)
			if ar.CompletedSynchronously() {
				t.Fatal("a deferred write completed synchronously")
			}
			if err := within(t, "deferred write", done); err != nil {
				t.Fatal(err)
			}
			readExactly(t, b, p)
		}
	})
}

// onceEach counts who handled which operation.
type onceEach struct {
	handled []atomic.Int32
	wg      sync.WaitGroup
}

func newOnceEach(n int) *onceEach {
	o := &onceEach{handled: make([]atomic.Int32, n)}
	o.wg.Add(n)
	return o
}

func (o *onceEach) handle(i int) {
	o.handled[i].Add(1)
	o.wg.Done()
}

func (o *onceEach) check(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() { o.wg.Wait(); close(done) }()
	within(t, "all operations are handled", done)
	for i := range o.handled {
		if n := o.handled[i].Load(); n != 1 {
			t.Errorf("operation %d was handled %d times", i, n)
		}
	}
}

// .NET's usual pattern: the caller handles what completed synchronously, the callback everything else.
func TestPromise9_ThePatternHandlesEachWriteOnce(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		const count, size = 2000, 300
		a, b := c.pair(t, nil, nil)
		all := patterned(3, count*size)
		got := goRead(b)
		once := newOnceEach(count)
		handle := func(ar netstream.AsyncResult) {
			if err := a.EndWrite(ar); err != nil {
				t.Error(err)
			}
			once.handle(ar.AsyncState().(int))
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
		once.check(t)
		wantIdle(t, a)
		a.Close()
		o := within(t, "the peer reads to the end", got)
		if o.err != nil {
			t.Fatal(o.err)
		}
		sameBytes(t, o.data, all)
	})
}

func TestPromise9_ThePatternHandlesEachReadOnce(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		const count = 2000
		a, b := c.pair(t, nil, nil)
		all := patterned(4, count)
		written := async(func() error {
			for i := range all { // single bytes, so that reads find both something and nothing there
				if _, err := a.Write(all[i : i+1]); err != nil {
					return err
				}
			}
			return nil
		})
		once := newOnceEach(count)
		got := make([]byte, count)
		slots := make(chan struct{}, 16) // that many reads are pending at a time
		handle := func(ar netstream.AsyncResult) {
			if n, err := b.EndRead(ar); n != 1 || err != nil {
				t.Errorf("read: %d, %v", n, err)
			}
			once.handle(ar.AsyncState().(int))
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
		once.check(t)
		if err := within(t, "writes", written); err != nil {
			t.Fatal(err)
		}
		sameBytes(t, got, all)
	})
}
