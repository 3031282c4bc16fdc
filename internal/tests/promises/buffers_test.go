package promises_test

import (
	"bytes"
	"runtime"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// completion is one of the ways to learn that an operation has completed: from then on the buffer is the caller's.
type completion struct {
	name string
	// begin begins the operation that f makes with the callback it is given; wait returns when it is known to
	// have completed.
	begin func(f func(netstream.AsyncCallback) (netstream.AsyncResult, error)) (ar netstream.AsyncResult, wait func(), err error)
}

func completions(end func(netstream.AsyncResult) error) []completion {
	plain := func(wait func(netstream.AsyncResult)) func(func(netstream.AsyncCallback) (netstream.AsyncResult, error)) (netstream.AsyncResult, func(), error) {
		return func(f func(netstream.AsyncCallback) (netstream.AsyncResult, error)) (netstream.AsyncResult, func(), error) {
			ar, err := f(nil)
			return ar, func() { wait(ar) }, err
		}
	}
	return []completion{
		{"End returned", plain(func(ar netstream.AsyncResult) { end(ar) })},
		{"wait handle set", plain(func(ar netstream.AsyncResult) { ar.AsyncWaitHandle().WaitOne() })},
		{"IsCompleted", plain(kit.PollUntilCompleted)},
		{"callback started", func(f func(netstream.AsyncCallback) (netstream.AsyncResult, error)) (netstream.AsyncResult, func(), error) {
			started := make(chan struct{})
			ar, err := f(func(netstream.AsyncResult) { close(started) })
			return ar, func() { <-started }, err
		}},
	}
}

// requestToEnd is what ends a write or read that waits for a peer.
type requestToEnd struct {
	name string
	do   func(t *testing.T, s *netstream.NetworkStream, ar netstream.AsyncResult)
}

var requestsToEnd = []requestToEnd{
	{"Cancel", func(_ *testing.T, s *netstream.NetworkStream, ar netstream.AsyncResult) { s.Cancel(ar) }},
	{"deadline", func(t *testing.T, s *netstream.NetworkStream, _ netstream.AsyncResult) {
		if err := s.SetDeadline(time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
	}},
	{"Close", func(_ *testing.T, s *netstream.NetworkStream, _ netstream.AsyncResult) { s.Close() }},
}

// scribble overwrites p. Under the race detector this alone shows whether anybody still uses it.
func scribble(p []byte) {
	for i := range p {
		p[i] = 0xEE
	}
}

func TestPromise04_AfterCompletionTheBufferIsTheCallers(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		for _, how := range completions(a.EndWrite) {
			t.Run(how.name, func(t *testing.T) {
				p := kit.Patterned(3, 500_000) // more than Begin's own attempt and the buffers take
				want := bytes.Clone(p)
				_, wait, err := how.begin(func(callback netstream.AsyncCallback) (netstream.AsyncResult, error) {
					return a.BeginWrite(p, 0, len(p), callback, nil)
				})
				if err != nil {
					t.Fatal(err)
				}
				free := kit.Async(func() error { wait(); scribble(p); return nil })
				kit.ReadExactly(t, b, want)
				kit.Within(t, "completion", free)
			})
		}
	})
}

// A request to end an operation does not free the buffer, its completion does: what the peer got by then is the
// caller's bytes, however soon after the completion they are overwritten.
func TestPromise04_CloseCancelAndDeadlinesOnlyAsk(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		for _, request := range requestsToEnd {
			for i := range completions(nil) {
				t.Run(request.name+"/"+completions(nil)[i].name, func(t *testing.T) {
					a, b := c.Pair(t, nil, nil)
					kit.SmallBuffers(t, a, b)
					endedWriteIsFree(t, a, b, request, completions(a.EndWrite)[i])
					a, b = c.Pair(t, nil, nil)
					endedReadIsFree(t, a, b, request, completions(kit.EndOf(a, true))[i])
				})
			}
		}
	})
}

func endedWriteIsFree(t *testing.T, a, b *netstream.NetworkStream, request requestToEnd, how completion) {
	plugged := kit.Patterned(1, kit.PlugSize)
	want := bytes.Clone(plugged)
	first, waitFirst, err := how.begin(func(callback netstream.AsyncCallback) (netstream.AsyncResult, error) {
		return a.BeginWrite(plugged, 0, len(plugged), callback, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	kit.Settled(t, a)
	queued := kit.Patterned(2, 1000)
	want = append(want, queued...)
	second, waitSecond, err := how.begin(func(callback netstream.AsyncCallback) (netstream.AsyncResult, error) {
		return a.BeginWrite(queued, 0, len(queued), callback, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan kit.ReadOutcome, 1)
	go func() { got <- <-kit.GoRead(b) }() // reads all the while
	request.do(t, a, second)
	request.do(t, a, first)
	kit.Within(t, "completion of the queued write", kit.Async(func() error { waitSecond(); scribble(queued); return nil }))
	kit.Within(t, "completion of the first write", kit.Async(func() error { waitFirst(); scribble(plugged); return nil }))
	a.Close()
	o := kit.Within(t, "the peer sees the end", got)
	if !bytes.HasPrefix(want, o.Data) {
		t.Error("the peer got bytes that were written into the buffer after the completion")
	}
}

func endedReadIsFree(t *testing.T, a, b *netstream.NetworkStream, request requestToEnd, how completion) {
	p := make([]byte, 100)
	ar, wait, err := how.begin(func(callback netstream.AsyncCallback) (netstream.AsyncResult, error) {
		return a.BeginRead(p, 0, len(p), callback, nil)
	})
	if err != nil {
		t.Fatal(err)
	}
	request.do(t, a, ar)
	kit.Within(t, "completion of the read", kit.Async(func() error { wait(); scribble(p); return nil }))
	if _, err := b.Write(kit.Patterned(4, 100)); err == nil && request.name == "Cancel" {
		kit.ReadExactly(t, a, kit.Patterned(4, 100)) // the next read gets it, not the buffer of the one that was ended
	}
	a.Close()
	kit.Within(t, "Done", a.Done())
	if !bytes.Equal(p, bytes.Repeat([]byte{0xEE}, len(p))) {
		t.Error("the buffer of a completed read was written to")
	}
}

func TestPromise04_BeginCopiesNothing(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count, size = 64, 1 << 20
		a, b := c.Pair(t, &netstream.Config{MaxPendingBytes: -1}, nil)
		kit.SmallBuffers(t, a, b)
		kit.Plug(t, a)
		message := make([]byte, size)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range count {
			kit.MustBegin(t, a, message, func(netstream.AsyncResult) {})
		}
		runtime.ReadMemStats(&after)
		// A copy of a single one would be 1 MiB; what is allocated are the operations, 128 bytes each, and their callbacks.
		if spent := after.TotalAlloc - before.TotalAlloc; spent >= size {
			t.Errorf("Begin of %d writes of %d bytes allocated %d bytes", count, size, spent)
		}
		// A queued write is what is in the buffer when it goes out. Nobody may rely on it, but it tells.
		last := kit.Patterned(5, 1000)
		kit.MustBegin(t, a, last, nil)
		scribble(last)
		got := kit.GoRead(b)
		if err := kit.Within(t, "everything goes out", kit.Async(func() error { return a.Drain(kit.CtxNever) })); err != nil {
			t.Fatal(err)
		}
		a.Close()
		o := kit.Within(t, "the peer reads to the end", got)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		if !bytes.HasSuffix(o.Data, bytes.Repeat([]byte{0xEE}, 1000)) {
			t.Error("a queued write was copied")
		}
	})
}
