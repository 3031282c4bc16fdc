package netstream_test

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

func canceledContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func TestCloseTimeout_NothingPendingIsAnOrderlyEnd(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		for _, d := range []time.Duration{0, time.Hour, -1} {
			a, b := c.pair(t, nil, nil)
			if _, err := a.Write([]byte("all")); err != nil {
				t.Fatal(err)
			}
			if err := a.CloseTimeout(d); err != nil {
				t.Fatalf("CloseTimeout(%v): %v", d, err)
			}
			o := within(t, "the peer reads to the end", goRead(b))
			if o.err != nil || string(o.data) != "all" {
				t.Fatalf("the peer got %q, %v", o.data, o.err)
			}
			if err := a.CloseTimeout(d); err != nil {
				t.Fatalf("the second CloseTimeout: %v", err)
			}
		}
	})
}

func TestCloseTimeout_ZeroCutsAndSaysWhatWasLost(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		_, _, cut := plug(t, a)
		_, behind := begin(t, a, make([]byte, 5000))
		err := a.CloseTimeout(0)
		failure := ioFailure(t, err)
		if want := plugSize + 5000 - int64(a.Stats().BytesWritten); failure.Unsent != want {
			t.Fatalf("Unsent=%d, want %d: %v", failure.Unsent, want, err)
		}
		wantIs(t, "CloseTimeout(0)", err, context.DeadlineExceeded)
		wantAborted(t, "the cut write", within(t, "the cut write", cut), "NetworkStream")
		wantAborted(t, "the write behind", within(t, "the write behind", behind), "NetworkStream")
		o := within(t, "the peer sees the cut", goRead(b))
		wantEndAfterCut(t, c, orEOF(o.err))
		within(t, "Done", a.Done())
	})
}

// Between two messages nothing is torn, but something is lost: late is late.
func TestCloseTimeout_RunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(nil)
		defer b.Close()
		const size = 16 << 10
		for i := range 6 { // four fill the pipe
			begin(t, a, patterned(i, size))
		}
		begins := time.Now()
		err := a.CloseTimeout(5 * time.Second)
		if waited := time.Since(begins); waited != 5*time.Second {
			t.Fatalf("it waited %v", waited)
		}
		if failure := ioFailure(t, err); failure.Unsent != 2*size {
			t.Fatalf("Unsent=%d, want %d: %v", failure.Unsent, 2*size, err)
		}
		data, err := io.ReadAll(b)
		if len(data) != 4*size {
			t.Fatalf("the peer got %d bytes", len(data))
		}
		wantIs(t, "the peer", err, netstream.CodeConnectionReset)
	})
}

func TestCloseTimeout_Drains(t *testing.T) {
	for _, d := range []time.Duration{time.Minute, -1} {
		synctest.Test(t, func(t *testing.T) {
			a, b := netstream.Pipe(nil)
			defer b.Close()
			p := patterned(1, 300_000)
			_, done := begin(t, a, p)
			closed := async(func() error { return a.CloseTimeout(d) })
			synctest.Wait()
			_, err := a.BeginWrite(p, 0, 10, nil, nil)
			if err == nil {
				t.Fatal("a write was begun while the stream drains")
			}
			if !a.CanWrite() {
				t.Fatal("closed before it has drained")
			}
			time.Sleep(50 * time.Second) // of the bubble's clock
			got := goRead(b)
			if err := <-closed; err != nil {
				t.Fatal(err)
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			o := <-got
			if o.err != nil {
				t.Fatal(o.err)
			}
			sameBytes(t, o.data, p)
		})
	}
}

func TestCloseWrite_IsBehindTheQueue(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		want, _, done := plug(t, a)
		p := patterned(2, 5000)
		_, behind := begin(t, a, p)
		if err := a.CloseWrite(); err != nil { // does not block
			t.Fatal(err)
		}
		for _, st := range styles {
			// Behind the queue, or at once: not one byte of it goes out.
			if !st.async {
				wantFailure(t, st.name+" after CloseWrite", st.write(a, p), 0, false, netstream.CodeShutdown)
			}
		}
		_, late := begin(t, a, p)
		if err := a.CloseWrite(); err != nil {
			t.Fatalf("the second CloseWrite: %v", err)
		}
		o := within(t, "the peer reads to the end", goRead(b))
		if o.err != nil {
			t.Fatal(o.err)
		}
		sameBytes(t, o.data, append(want, p...))
		for _, ch := range []<-chan error{done, behind} {
			if err := within(t, "a write before CloseWrite", ch); err != nil {
				t.Fatal(err)
			}
		}
		err := within(t, "a write begun after CloseWrite", late)
		wantFailure(t, "a write begun after CloseWrite", err, 0, false, netstream.CodeShutdown)
		var se *netstream.SocketError
		if errors.As(err, &se); se.ErrorCode() != 10058 {
			t.Fatalf("ErrorCode %d, want 10058", se.ErrorCode())
		}
		for _, st := range styles {
			wantFailure(t, st.name+" after the FIN", st.write(a, p), 0, false, netstream.CodeShutdown)
		}
		if _, err := b.Write([]byte("the other half")); err != nil { // lives on
			t.Fatal(err)
		}
		readExactly(t, a, []byte("the other half"))
	})
}

func TestSocketClose_UnderAnOpenStream(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		_, _, cut := plug(t, a)
		_, behind := begin(t, a, []byte("behind"))
		_, reading := beginRead(t, a, 10)
		blocked := async(func() error { _, err := a.Read(make([]byte, 10)); return err })
		eventually(t, "the read waits", a.ReadWaits)
		if err := a.Socket().Close(); err != nil {
			t.Fatal(err)
		}
		err := within(t, "the write on its way", cut)
		wantFailure(t, "the write on its way", err, int64(a.Stats().BytesWritten), true)
		wantAborted(t, "the write on its way", err, "Socket")
		wantAborted(t, "the write behind", within(t, "the write behind", behind), "Socket")
		wantAborted(t, "the begun read", within(t, "the begun read", reading).err, "Socket")
		wantAborted(t, "the blocked read", within(t, "the blocked read", blocked), "Socket")
		o := within(t, "the peer sees the cut", goRead(b))
		wantEndAfterCut(t, c, orEOF(o.err))

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
			wantFailure(t, what, err, 0, false)
			wantAborted(t, what, err, "Socket")
		}
		if err := a.Socket().Close(); err != nil {
			t.Fatalf("the second Socket().Close: %v", err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		within(t, "Done", a.Done())
		_, err = a.BeginWrite(p, 0, 1, nil, nil)
		wantAborted(t, "Begin after Close", err, "NetworkStream")
	})
}

func TestSocketShutdown_Send(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		if _, err := a.Write([]byte("before")); err != nil {
			t.Fatal(err)
		}
		if err := a.Socket().Shutdown(netstream.ShutdownSend); err != nil {
			t.Fatal(err)
		}
		for _, st := range styles {
			wantFailure(t, st.name, st.write(a, []byte("after")), 0, false, netstream.CodeShutdown)
		}
		o := within(t, "the peer reads to the end", goRead(b))
		if o.err != nil || string(o.data) != "before" {
			t.Fatalf("the peer got %q, %v", o.data, o.err)
		}
		if _, err := b.Write([]byte("back")); err != nil {
			t.Fatal(err)
		}
		readExactly(t, a, []byte("back"))
	})
}

// A Shutdown that cuts a message resets the connection: an end behind half a message would make it look whole.
func TestPromise16_ShutdownThatCutsAMessageResets(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		for _, how := range []netstream.ShutdownHow{netstream.ShutdownSend, netstream.ShutdownBoth} {
			a, b := c.pair(t, nil, nil)
			small(t, a, b)
			_, _, cut := plug(t, a)
			_, behind := begin(t, a, []byte("behind"))
			_, reading := beginRead(t, a, 1)
			wantFailure(t, "Shutdown", a.Socket().Shutdown(how), 0, true, netstream.CodeShutdown)
			err := within(t, "the write on its way", cut)
			wantFailure(t, "the write on its way", err, int64(a.Stats().BytesWritten), true, netstream.CodeShutdown)
			wantFailure(t, "the write behind", within(t, "the write behind", behind), 0, false, netstream.CodeShutdown)
			wantAborted(t, "the pending read", within(t, "the pending read", reading).err, "Socket")
			wantIdle(t, a)
			o := within(t, "the peer reads to the end", goRead(b))
			if len(o.data) >= plugSize {
				t.Fatalf("the peer got %d bytes, all of them", len(o.data))
			}
			if o.err == nil {
				o.err = io.EOF // ReadAll says nothing about a clean end
			}
			wantEndAfterCut(t, c, o.err)
		}
	})
}

// What was cut before Shutdown, by a deadline say, is cut all the same.
func TestPromise16_ShutdownOfATornStreamResets(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		small(t, a, b)
		_, _, cut := plug(t, a)
		cutNow(t, a)
		within(t, "the write on its way", cut)
		wantFailure(t, "Shutdown", a.Socket().Shutdown(netstream.ShutdownSend), 0, true, errPast)
		o := within(t, "the peer reads to the end", goRead(b))
		if o.err == nil {
			o.err = io.EOF
		}
		wantEndAfterCut(t, c, o.err)
	})
}

// Whole messages are followed by a clean end; those of which nothing is out are not sent. Only a Pipe fills up exactly
// where a message ends.
func TestSocketShutdown_SendEndsBehindWholeMessages(t *testing.T) {
	a, b := netstream.Pipe(nil)
	defer a.Close()
	defer b.Close()
	const size = 32 << 10 // two fill the pipe
	_, first := begin(t, a, patterned(1, size))
	_, second := begin(t, a, patterned(2, size))
	_, third := begin(t, a, patterned(3, size))
	_, fourth := begin(t, a, patterned(4, size))
	must(t, within(t, "the first write", first))
	must(t, within(t, "the second write", second))
	eventually(t, "the third write waits", a.WriteWaits)
	must(t, a.Socket().Shutdown(netstream.ShutdownSend))
	wantFailure(t, "the third write", within(t, "the third write", third), 0, false, netstream.CodeShutdown)
	wantFailure(t, "the fourth write", within(t, "the fourth write", fourth), 0, false, netstream.CodeShutdown)
	o := within(t, "the peer reads to the end", goRead(b))
	must(t, o.err)
	sameBytes(t, o.data, append(patterned(1, size), patterned(2, size)...))
	if a.Socket().Connected() {
		t.Error("still connected")
	}
	_, err := b.Write([]byte("back"))
	must(t, err)
	readExactly(t, a, []byte("back"))
}

func TestSocketShutdown_Receive(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		for _, how := range []netstream.ShutdownHow{netstream.ShutdownReceive, netstream.ShutdownBoth} {
			a, b := c.pair(t, nil, nil)
			if _, err := b.Write([]byte("there already")); err != nil {
				t.Fatal(err)
			}
			readExactly(t, a, []byte("there "))
			if err := a.Socket().Shutdown(how); err != nil {
				t.Fatal(err)
			}
			o := within(t, "reads get what is there and the end", goRead(a))
			if o.err != nil || string(o.data) != "already" {
				t.Fatalf("read %q, %v", o.data, o.err)
			}
			_, err := a.Write([]byte("the other half"))
			if how == netstream.ShutdownBoth {
				wantFailure(t, "Write after ShutdownBoth", err, 0, false, netstream.CodeShutdown)
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			readExactly(t, b, []byte("the other half"))
		}
	})
}

// A read that waits is woken by the shutdown of its half.
func TestSocketShutdown_WakesAPendingRead(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, _ := c.pair(t, nil, nil)
		_, reading := beginRead(t, a, 10)
		eventually(t, "the read waits", a.ReadWaits)
		if err := a.Socket().Shutdown(netstream.ShutdownReceive); err != nil {
			t.Fatal(err)
		}
		if o := within(t, "the pending read", reading); o.err != io.EOF || len(o.data) != 0 {
			t.Fatalf("the pending read: %q, %v", o.data, o.err)
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
	eachTCP(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, nil, nil)
		if err := a.Socket().SetLinger(0); err != nil {
			t.Fatal(err)
		}
		_, reading := beginRead(t, b, 10)
		a.Close()
		wantIs(t, "the peer", within(t, "the peer", reading).err, netstream.CodeConnectionReset)
	})
}
