package promises_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// insideCallback is something a callback does to its own stream. The stream has a write of kit.PlugSize under way when
// a is plugged; feed has the peer read it, and send has it write a byte.
type insideCallback struct {
	name    string
	plugged bool
	closes  bool
	do      func(in *inside) error
}

// inside is what a callback of insideCallback finds.
type inside struct {
	a, b  *netstream.NetworkStream
	later netstream.AsyncResult // of the plugging write, if there is one; it has a callback too
}

func (in *inside) feed()       { kit.GoRead(in.b) }
func (in *inside) send() error { _, err := in.b.Write([]byte("y")); return err }

func thingsInsideCallbacks() []insideCallback {
	return []insideCallback{
		{name: "Write", do: func(in *inside) error { _, err := in.a.Write([]byte("inside")); return err }},
		{name: "Write behind a queue", plugged: true, do: func(in *inside) error {
			in.feed()
			_, err := in.a.Write(make([]byte, 300_000))
			return err
		}},
		{name: "WriteContext that gives up", plugged: true, do: func(in *inside) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Millisecond)
			defer cancel()
			if _, err := in.a.WriteContext(ctx, make([]byte, 10)); err == nil {
				return context.Canceled
			}
			return nil
		}},
		{name: "Read", do: func(in *inside) error {
			go in.send()
			_, err := in.a.Read(make([]byte, 1))
			return err
		}},
		{name: "EndWrite of a later write", plugged: true, do: func(in *inside) error {
			in.feed()
			return in.a.EndWrite(in.later)
		}},
		{name: "WaitOne for a later write", plugged: true, do: func(in *inside) error {
			in.feed()
			in.later.AsyncWaitHandle().WaitOne()
			return nil
		}},
		{name: "BeginWrite and EndWrite", do: func(in *inside) error {
			ar, err := in.a.BeginWrite(make([]byte, 100), 0, 100, func(netstream.AsyncResult) {}, nil)
			if err != nil {
				return err
			}
			return in.a.EndWrite(ar)
		}},
		{name: "BeginRead and EndRead", do: func(in *inside) error {
			ar, err := in.a.BeginRead(make([]byte, 1), 0, 1, func(netstream.AsyncResult) {}, nil)
			if err != nil {
				return err
			}
			go in.send()
			_, err = in.a.EndRead(ar)
			return err
		}},
		{name: "Drain", plugged: true, do: func(in *inside) error {
			in.feed()
			return in.a.Drain(context.Background())
		}},
		{name: "WaitRoom", plugged: true, do: func(in *inside) error {
			return in.a.WaitRoom(context.Background(), 1000)
		}},
		{name: "Cancel", plugged: true, do: func(in *inside) error {
			in.a.Cancel(in.later)
			return nil
		}},
		{name: "deadlines", plugged: true, do: func(in *inside) error { return in.a.SetDeadline(time.Unix(1, 0)) }},
		{name: "CloseWrite", do: func(in *inside) error { return in.a.CloseWrite() }},
		{name: "Close", closes: true, do: func(in *inside) error { return in.a.Close() }},
		{name: "Close with writes pending", plugged: true, closes: true, do: func(in *inside) error { return in.a.Close() }},
		{name: "CloseTimeout", plugged: true, closes: true, do: func(in *inside) error {
			in.feed()
			return in.a.CloseTimeout(-1)
		}},
		{name: "CloseTimeout at once", closes: true, do: func(in *inside) error { return in.a.CloseTimeout(0) }},
		{name: "Socket().Close", plugged: true, closes: true, do: func(in *inside) error { return in.a.Socket().Close() }},
	}
}

func TestPromise07_ACallbackMayCallAnything(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		for _, what := range thingsInsideCallbacks() {
			t.Run(what.name, func(t *testing.T) {
				t.Run("in a write's callback", func(t *testing.T) { callInside(t, c, what, false) })
				t.Run("in a read's callback", func(t *testing.T) { callInside(t, c, what, true) })
			})
		}
	})
}

func callInside(t *testing.T, c kit.ConnKind, what insideCallback, read bool) {
	a, b := c.Pair(t, nil, nil)
	kit.SmallBuffers(t, a, b)
	in := &inside{a: a, b: b}
	ready := make(chan struct{}) // the callback waits until the stream is as it is to be
	outcome := make(chan error, 1)
	callback := func(ar netstream.AsyncResult) {
		<-ready
		err := kit.EndOf(a, read)(ar)
		if err == nil {
			err = what.do(in)
		}
		outcome <- err
	}
	if read {
		kit.MustBeginRead(t, a, make([]byte, 1), callback)
		if err := in.send(); err != nil {
			t.Fatal(err)
		}
	} else {
		kit.MustBegin(t, a, []byte("x"), callback)
	}
	if what.plugged {
		in.later = kit.MustBegin(t, a, make([]byte, kit.PlugSize), func(netstream.AsyncResult) {})
		kit.Settled(t, a)
	}
	close(ready)
	if err := kit.Within(t, "what the callback does", outcome); err != nil {
		t.Fatal(err)
	}
	if !what.closes {
		a.Close()
	}
	a.Close()
	kit.Within(t, "Done", a.Done())
}

// The limits count a write until its callback starts. A callback that waits for room must not wait for those that
// stand behind itself: not when they have completed before it writes, nor when they complete while it waits.
func TestPromise07_ACallbackMayWaitForRoomThatLaterCallbacksHold(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		for _, size := range []int{1, kit.PlugSize} {
			t.Run(fmt.Sprintf("behind writes of %d bytes", size), func(t *testing.T) {
				a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 2}, nil)
				kit.SmallBuffers(t, a, b)
				ready, outcome := make(chan struct{}), make(chan error, 1)
				kit.MustBegin(t, a, []byte("x"), func(netstream.AsyncResult) {
					<-ready
					_, err := a.Write([]byte("z"))
					outcome <- err
				})
				kit.Eventually(t, "the callback has started", func() bool { n, _ := a.Pending(); return n == 0 })
				for range 2 {
					ar := kit.MustBegin(t, a, make([]byte, size), func(netstream.AsyncResult) {})
					if size == 1 {
						kit.Eventually(t, "completion", ar.IsCompleted)
					}
				}
				close(ready)
				if size > 1 {
					kit.Eventually(t, "the callback's Write waits for room", kit.BegunWrites(a, 4))
				}
				got := kit.GoRead(b)
				if err := kit.Within(t, "a blocking write in a callback", outcome); err != nil {
					t.Error(err)
				}
				kit.CloseAndWait(t, a)
				if o := kit.Within(t, "the peer reads to the end", got); len(o.Data) != 2*size+2 || o.Err != nil {
					t.Errorf("the peer read %d bytes of %d, and %v", len(o.Data), 2*size+2, o.Err)
				}
			})
		}
	})
}
