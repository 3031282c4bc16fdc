package lifecycle_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestCloseTimeout_NothingPendingIsAnOrderlyEnd(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, d := range []time.Duration{0, time.Hour, -1} {
			a, b := c.Pair(t, nil, nil)
			if _, err := a.Write([]byte("all")); err != nil {
				t.Fatal(err)
			}
			if err := a.CloseTimeout(d); err != nil {
				t.Fatalf("CloseTimeout(%v): %v", d, err)
			}
			o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
			if o.Err != nil || string(o.Data) != "all" {
				t.Fatalf("the peer got %q, %v", o.Data, o.Err)
			}
			if err := a.CloseTimeout(d); err != nil {
				t.Fatalf("the second CloseTimeout: %v", err)
			}
		}
	})
}

func TestCloseTimeout_ZeroCutsAndSaysWhatWasLost(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		_, _, cut := kit.Plug(t, a)
		_, behind := kit.Begin(t, a, make([]byte, 5000))
		err := a.CloseTimeout(0)
		failure := kit.IOFailure(t, err)
		if want := kit.PlugSize + 5000 - int64(a.Stats().BytesWritten); failure.Unsent != want {
			t.Fatalf("Unsent=%d, want %d: %v", failure.Unsent, want, err)
		}
		kit.WantIs(t, "CloseTimeout(0)", err, context.DeadlineExceeded)
		kit.WantAborted(t, "the cut write", kit.Within(t, "the cut write", cut), "NetworkStream")
		kit.WantAborted(t, "the write behind", kit.Within(t, "the write behind", behind), "NetworkStream")
		o := kit.Within(t, "the peer sees the cut", kit.GoRead(b))
		kit.WantEndAfterCut(t, c, kit.OrEOF(o.Err))
		kit.Within(t, "Done", a.Done())
	})
}

// Between two messages nothing is torn, but something is lost: late is late.
func TestCloseTimeout_RunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(nil)
		defer b.Close()
		const size = 16 << 10
		for i := range 6 { // four fill the pipe
			kit.Begin(t, a, kit.Patterned(i, size))
		}
		begins := time.Now()
		err := a.CloseTimeout(5 * time.Second)
		if waited := time.Since(begins); waited != 5*time.Second {
			t.Fatalf("it waited %v", waited)
		}
		if failure := kit.IOFailure(t, err); failure.Unsent != 2*size {
			t.Fatalf("Unsent=%d, want %d: %v", failure.Unsent, 2*size, err)
		}
		data, err := io.ReadAll(b)
		if len(data) != 4*size {
			t.Fatalf("the peer got %d bytes", len(data))
		}
		kit.WantIs(t, "the peer", err, netstream.CodeConnectionReset)
	})
}

func TestCloseTimeout_Drains(t *testing.T) {
	for _, d := range []time.Duration{time.Minute, -1} {
		synctest.Test(t, func(t *testing.T) {
			a, b := netstream.Pipe(nil)
			defer b.Close()
			p := kit.Patterned(1, 300_000)
			_, done := kit.Begin(t, a, p)
			closed := kit.Async(func() error { return a.CloseTimeout(d) })
			synctest.Wait()
			_, err := a.BeginWrite(p, 0, 10, nil, nil)
			if err == nil {
				t.Fatal("a write was begun while the stream drains")
			}
			if !a.CanWrite() {
				t.Fatal("closed before it has drained")
			}
			time.Sleep(50 * time.Second) // of the bubble's clock
			got := kit.GoRead(b)
			if err := <-closed; err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			o := <-got
			if o.Err != nil {
				t.Fatal(o.Err)
			}
			kit.SameBytes(t, o.Data, p)
		})
	}
}

func TestCloseWrite_IsBehindTheQueue(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		want, _, done := kit.Plug(t, a)
		p := kit.Patterned(2, 5000)
		_, behind := kit.Begin(t, a, p)
		if err := a.CloseWrite(); err != nil { // does not block
			t.Fatal(err)
		}
		for _, st := range kit.Styles {
			// Behind the queue, or at once: not one byte of it goes out.
			if !st.Async {
				kit.WantFailure(t, st.Name+" after CloseWrite", st.Write(a, p), 0, false, netstream.CodeShutdown)
			}
		}
		_, late := kit.Begin(t, a, p)
		if err := a.CloseWrite(); err != nil {
			t.Fatalf("the second CloseWrite: %v", err)
		}
		o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		kit.SameBytes(t, o.Data, append(want, p...))
		for _, ch := range []<-chan error{done, behind} {
			if err := kit.Within(t, "a write before CloseWrite", ch); err != nil {
				t.Fatal(err)
			}
		}
		err := kit.Within(t, "a write begun after CloseWrite", late)
		kit.WantFailure(t, "a write begun after CloseWrite", err, 0, false, netstream.CodeShutdown)
		var se *netstream.SocketError
		if errors.As(err, &se); se.ErrorCode() != 10058 {
			t.Fatalf("ErrorCode %d, want 10058", se.ErrorCode())
		}
		for _, st := range kit.Styles {
			kit.WantFailure(t, st.Name+" after the FIN", st.Write(a, p), 0, false, netstream.CodeShutdown)
		}
		if _, err := b.Write([]byte("the other half")); err != nil { // lives on
			t.Fatal(err)
		}
		kit.ReadExactly(t, a, []byte("the other half"))
	})
}

func TestSocketClose_UnderAnOpenStream(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		_, _, cut := kit.Plug(t, a)
		_, behind := kit.Begin(t, a, []byte("behind"))
		_, reading := kit.BeginRead(t, a, 10)
		blocked := kit.Async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		kit.Eventually(t, "both reads wait", kit.BegunReads(a, 2))
		if err := a.Socket().Close(); err != nil {
			t.Fatal(err)
		}
		err := kit.Within(t, "the write on its way", cut)
		kit.WantFailure(t, "the write on its way", err, int64(a.Stats().BytesWritten), true)
		kit.WantAborted(t, "the write on its way", err, "Socket")
		kit.WantAborted(t, "the write behind", kit.Within(t, "the write behind", behind), "Socket")
		kit.WantAborted(t, "the begun read", kit.Within(t, "the begun read", reading).Err, "Socket")
		kit.WantAborted(t, "the blocked read", kit.Within(t, "the blocked read", blocked), "Socket")
		o := kit.Within(t, "the peer sees the cut", kit.GoRead(b))
		kit.WantEndAfterCut(t, c, kit.OrEOF(o.Err))

		if !a.CanRead() || !a.CanWrite() || a.Err() != nil {
			t.Fatal("the stream is not open any more")
		}
		if a.Socket().Connected() {
			t.Fatal("the socket says it is connected")
		}
		p := []byte("x")
		for what, call := range map[string]func() error{
			"BeginWrite":      func() error { _, err := a.BeginWrite(p, 0, 1, nil, nil); return err },
			"BeginRead":       func() error { _, err := a.BeginRead(p, 0, 1, nil, nil); return err },
			"Write":           func() error { _, err := a.Write(p); return err },
			"Read":            func() error { _, err := a.Read(p); return err },
			"DataAvailable":   func() error { _, err := a.DataAvailable(); return err },
			"SetDeadline":     func() error { return a.SetDeadline(time.Time{}) },
			"CloseWrite":      a.CloseWrite,
			"Socket.Shutdown": func() error { return a.Socket().Shutdown(netstream.ShutdownBoth) },
		} {
			err := call()
			kit.WantFailure(t, what, err, 0, false)
			kit.WantAborted(t, what, err, "Socket")
		}
		if err := a.Socket().Close(); err != nil {
			t.Fatalf("the second Socket().Close: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		kit.Within(t, "Done", a.Done())
		_, err = a.BeginWrite(p, 0, 1, nil, nil)
		kit.WantAborted(t, "Begin after Close", err, "NetworkStream")
	})
}

func TestSocketShutdown_Send(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		if _, err := a.Write([]byte("before")); err != nil {
			t.Fatal(err)
		}
		if err := a.Socket().Shutdown(netstream.ShutdownSend); err != nil {
			t.Fatal(err)
		}
		for _, st := range kit.Styles {
			kit.WantFailure(t, st.Name, st.Write(a, []byte("after")), 0, false, netstream.CodeShutdown)
		}
		o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
		if o.Err != nil || string(o.Data) != "before" {
			t.Fatalf("the peer got %q, %v", o.Data, o.Err)
		}
		if _, err := b.Write([]byte("back")); err != nil {
			t.Fatal(err)
		}
		kit.ReadExactly(t, a, []byte("back"))
	})
}

// A Shutdown that cuts a message resets the connection: an end behind half a message would make it look whole.
func TestPromise16_ShutdownThatCutsAMessageResets(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, how := range []netstream.ShutdownHow{netstream.ShutdownSend, netstream.ShutdownBoth} {
			a, b := c.Pair(t, nil, nil)
			kit.SmallBuffers(t, a, b)
			_, _, cut := kit.Plug(t, a)
			_, behind := kit.Begin(t, a, []byte("behind"))
			_, reading := kit.BeginRead(t, a, 1)
			kit.WantFailure(t, "Shutdown", a.Socket().Shutdown(how), 0, true, netstream.CodeShutdown)
			err := kit.Within(t, "the write on its way", cut)
			kit.WantFailure(t, "the write on its way", err, int64(a.Stats().BytesWritten), true, netstream.CodeShutdown)
			kit.WantFailure(t, "the write behind", kit.Within(t, "the write behind", behind), 0, false, netstream.CodeShutdown)
			kit.WantAborted(t, "the pending read", kit.Within(t, "the pending read", reading).Err, "Socket")
			kit.WantIdle(t, a)
			o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
			if len(o.Data) >= kit.PlugSize {
				t.Fatalf("the peer got %d bytes, all of them", len(o.Data))
			}
			if o.Err == nil {
				o.Err = io.EOF // ReadAll says nothing about a clean end
			}
			kit.WantEndAfterCut(t, c, o.Err)
		}
	})
}

// What was cut before Shutdown, by a deadline say, is cut all the same.
func TestPromise16_ShutdownOfATornStreamResets(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		_, _, cut := kit.Plug(t, a)
		kit.CutNow(t, a)
		kit.Within(t, "the write on its way", cut)
		kit.WantFailure(t, "Shutdown", a.Socket().Shutdown(netstream.ShutdownSend), 0, true, kit.ErrPast)
		o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
		if o.Err == nil {
			o.Err = io.EOF
		}
		kit.WantEndAfterCut(t, c, o.Err)
	})
}

// Whole messages are followed by a clean end; those of which nothing is out are not sent. Only a Pipe fills up exactly
// where a message ends.
func TestSocketShutdown_SendEndsBehindWholeMessages(t *testing.T) {
	a, b := netstream.Pipe(nil)
	defer a.Close()
	defer b.Close()
	const size = 32 << 10 // two fill the pipe
	_, first := kit.Begin(t, a, kit.Patterned(1, size))
	_, second := kit.Begin(t, a, kit.Patterned(2, size))
	_, third := kit.Begin(t, a, kit.Patterned(3, size))
	_, fourth := kit.Begin(t, a, kit.Patterned(4, size))
	kit.Must(t, kit.Within(t, "the first write", first))
	kit.Must(t, kit.Within(t, "the second write", second))
	kit.Settled(t, a) // the third one waits
	kit.Must(t, a.Socket().Shutdown(netstream.ShutdownSend))
	kit.WantFailure(t, "the third write", kit.Within(t, "the third write", third), 0, false, netstream.CodeShutdown)
	kit.WantFailure(t, "the fourth write", kit.Within(t, "the fourth write", fourth), 0, false, netstream.CodeShutdown)
	o := kit.Within(t, "the peer reads to the end", kit.GoRead(b))
	kit.Must(t, o.Err)
	kit.SameBytes(t, o.Data, append(kit.Patterned(1, size), kit.Patterned(2, size)...))
	if a.Socket().Connected() {
		t.Error("still connected")
	}
	_, err := b.Write([]byte("back"))
	kit.Must(t, err)
	kit.ReadExactly(t, a, []byte("back"))
}

func TestSocketShutdown_Receive(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, how := range []netstream.ShutdownHow{netstream.ShutdownReceive, netstream.ShutdownBoth} {
			a, b := c.Pair(t, nil, nil)
			if _, err := b.Write([]byte("there already")); err != nil {
				t.Fatal(err)
			}
			kit.ReadExactly(t, a, []byte("there "))
			if err := a.Socket().Shutdown(how); err != nil {
				t.Fatal(err)
			}
			o := kit.Within(t, "reads get what is there and the end", kit.GoRead(a))
			if o.Err != nil || string(o.Data) != "already" {
				t.Fatalf("read %q, %v", o.Data, o.Err)
			}
			_, err := a.Write([]byte("the other half"))
			if how == netstream.ShutdownBoth {
				kit.WantFailure(t, "Write after ShutdownBoth", err, 0, false, netstream.CodeShutdown)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			kit.ReadExactly(t, b, []byte("the other half"))
		}
	})
}

// A read that waits is woken by the shutdown of its half.
func TestSocketShutdown_WakesAPendingRead(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, _ := c.Pair(t, nil, nil)
		_, reading := kit.BeginRead(t, a, 10)
		kit.Eventually(t, "the read waits", kit.BegunReads(a, 1))
		if err := a.Socket().Shutdown(netstream.ShutdownReceive); err != nil {
			t.Fatal(err)
		}
		if o := kit.Within(t, "the pending read", reading); o.Err != io.EOF || len(o.Data) != 0 {
			t.Fatalf("the pending read: %q, %v", o.Data, o.Err)
		}
		err := a.Socket().Shutdown(netstream.ShutdownBoth + 1)
		var out *netstream.ArgumentOutOfRangeError
		if !errors.As(err, &out) || out.ParamName != "how" {
			t.Fatalf("Shutdown of a half that is none: %v", err)
		}
	})
}

// SetLinger(0) is the way to reset a connection on purpose.
func TestSocket_LingerZeroResetsAtClose(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		if err := a.Socket().SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_, reading := kit.BeginRead(t, b, 10)
		a.Close()
		kit.WantIs(t, "the peer", kit.Within(t, "the peer", reading).Err, netstream.CodeConnectionReset)
	})
}
