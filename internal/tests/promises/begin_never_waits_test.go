package promises_test

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A Begin that blocked would wait here for ever, since what it waits for comes only after it: so "never blocks"
// needs no clock.

// beginMany begins count writes and count reads on s, each with a callback, on a goroutine of its own.
func beginMany(s *netstream.NetworkStream, count int, callback netstream.AsyncCallback) <-chan error {
	return kit.Async(func() error {
		for range count {
			if _, err := s.BeginWrite(make([]byte, 1000), 0, 1000, callback, nil); err != nil {
				return err
			}
			if _, err := s.BeginRead(make([]byte, 1000), 0, 1000, callback, nil); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestPromise01_BeginNeverWaitsForTheNetwork(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		const count = 50
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		p, _, plugged := kit.Plug(t, a)
		completed := make(chan struct{}, 2*count)
		begun := beginMany(a, count, func(netstream.AsyncResult) { completed <- struct{}{} })
		if err := kit.Within(t, "Begins on a stream whose peer neither reads nor writes", begun); err != nil {
			t.Fatal(err)
		}
		if len(completed) != 0 {
			t.Fatal("something completed that could not")
		}
		kit.WantPending(t, a, 1+count, kit.PlugSize+count*1000)
		kit.ReadExactly(t, b, p)
		kit.ReadExactly(t, b, make([]byte, count*1000))
		if err := kit.Within(t, "the first write", plugged); err != nil {
			t.Fatal(err)
		}
		kit.CloseAndWait(t, a)
		if len(completed) != 2*count {
			t.Fatalf("%d of %d operations completed", len(completed), 2*count)
		}
	})
}

// stuckConn is a connection whose calls are stuck in the system until it is closed.
type stuckConn struct {
	net.Conn // nil: nothing else is called
	called   chan string
	closed   chan struct{}
	once     sync.Once
}

func (c *stuckConn) call(name string) (int, error) {
	c.called <- name
	<-c.closed
	return 0, net.ErrClosed
}

func (c *stuckConn) Read([]byte) (int, error)         { return c.call("read") }
func (c *stuckConn) Write([]byte) (int, error)        { return c.call("write") }
func (c *stuckConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *stuckConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *stuckConn) SetDeadline(time.Time) error      { return nil }
func (c *stuckConn) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (c *stuckConn) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }
func (c *stuckConn) Close() error                     { c.once.Do(func() { close(c.closed) }); return nil }

func TestPromise01_BeginNeverWaitsForAnothersSystemCall(t *testing.T) {
	conn := &stuckConn{called: make(chan string, 10), closed: make(chan struct{})}
	s := kit.MustNew(t, conn, &netstream.Config{Engine: netstream.EnginePortable})
	t.Cleanup(func() { s.Close() })
	var mu sync.Mutex
	completed := 0
	count := func(netstream.AsyncResult) { mu.Lock(); completed++; mu.Unlock() }
	if err := kit.Within(t, "the first Begins", beginMany(s, 1, count)); err != nil {
		t.Fatal(err)
	}
	kit.Within(t, "a system call", conn.called)
	kit.Within(t, "the other system call", conn.called)
	if err := kit.Within(t, "Begins while system calls are stuck", beginMany(s, 50, count)); err != nil {
		t.Fatal(err)
	}
	if writes, _ := s.Pending(); writes != 51 {
		t.Fatalf("%d writes are pending, want 51", writes)
	}
	kit.CloseAndWait(t, s)
	if completed != 102 {
		t.Fatalf("%d of 102 operations completed", completed)
	}
}

func TestPromise01_BeginNeverWaitsForABlockingCall(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, a, b)
		p := kit.Patterned(1, kit.PlugSize)
		written := kit.Async(func() error { _, err := a.Write(p); return err })
		read := kit.Async(func() error { _, err := a.Read(make([]byte, 1)); return err })
		kit.Eventually(t, "the Write is under way", kit.BegunWrites(a, 1))
		kit.Eventually(t, "the Read is under way", kit.BegunReads(a, 1))
		if err := kit.Within(t, "Begins behind blocking calls", beginMany(a, 50, func(netstream.AsyncResult) {})); err != nil {
			t.Fatal(err)
		}
		kit.ReadExactly(t, b, p)
		if err := kit.Within(t, "the blocking Write", written); err != nil {
			t.Fatal(err)
		}
		if err := b.EndWrite(kit.MustBegin(t, b, []byte("x"), nil)); err != nil {
			t.Fatal(err)
		}
		if err := kit.Within(t, "the blocking Read", read); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPromise01_BeginNeverWaitsForRoom(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingWrites: 3}, nil)
		kit.SmallBuffers(t, a, b)
		plugged, _, outcome := kit.Plug(t, a)
		second, third := kit.Patterned(2, 100), kit.Patterned(3, 100)
		_, secondOutcome := kit.Begin(t, a, second)
		_, thirdOutcome := kit.Begin(t, a, third)
		callback := kit.NeverCalled(t)
		full := kit.Async(func() error { _, err := a.BeginWrite(second, 0, 100, callback, nil); return err })
		if err := kit.Within(t, "Begin on a full queue", full); !errors.Is(err, netstream.ErrQueueFull) {
			t.Fatalf("Begin on a full queue: %v", err)
		}
		// Somebody who does wait for room must not make a Begin wait, nor be overtaken by it.
		blocked := kit.Async(func() error { _, err := a.Write(kit.Patterned(4, 100)); return err })
		kit.Eventually(t, "the blocking Write waits for room", kit.BegunWrites(a, 4))
		again := kit.Async(func() error { _, err := a.BeginWrite(second, 0, 100, callback, nil); return err })
		if err := kit.Within(t, "Begin behind one who waits", again); !errors.Is(err, netstream.ErrQueueFull) {
			t.Fatalf("Begin behind one who waits for room: %v", err)
		}
		for _, want := range [][]byte{plugged, second, third, kit.Patterned(4, 100)} {
			kit.ReadExactly(t, b, want)
		}
		for _, ch := range []<-chan error{outcome, secondOutcome, thirdOutcome, blocked} {
			if err := kit.Within(t, "everything admitted goes out", ch); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestPromise01_BeginNeverWaitsForACallback(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		started, release := make(chan struct{}, 2), make(chan struct{})
		block := func(netstream.AsyncResult) { started <- struct{}{}; <-release }
		defer kit.CloseAndWait(t, a)
		defer close(release)
		kit.MustBegin(t, a, []byte("x"), block)
		kit.MustBeginRead(t, a, make([]byte, 1), block)
		if _, err := b.Write([]byte("y")); err != nil {
			t.Fatal(err)
		}
		kit.Within(t, "a callback blocks", started)
		kit.Within(t, "the other callback blocks", started)
		begun := beginMany(a, 50, func(netstream.AsyncResult) {})
		if err := kit.Within(t, "Begins while both directions' callbacks block", begun); err != nil {
			t.Fatal(err)
		}
		kit.ReadExactly(t, b, append([]byte("x"), make([]byte, 50*1000)...)) // and sending goes on
	})
}

func TestPromise01_BeginsOwnAttemptCopiesAtMost64KiB(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		a, b := c.Pair(t, nil, nil)
		if err := a.Socket().SetWriteBuffer(4 << 20); err != nil { // a longer attempt could copy all of it
			t.Fatal(err)
		}
		got := kit.GoRead(b)
		large := kit.Patterned(1, 1<<20)
		ar, outcome := kit.Begin(t, a, large)
		if ar.CompletedSynchronously() {
			t.Error("Begin's own attempt has copied 1 MiB")
		}
		if err := kit.Within(t, "the large write", outcome); err != nil {
			t.Fatal(err)
		}
		exact := kit.Patterned(2, 64<<10)
		ar, outcome = kit.Begin(t, a, exact)
		if c.Network == "pipe" && !ar.CompletedSynchronously() {
			t.Error("64 KiB into an empty pipe did not complete synchronously")
		}
		if err := kit.Within(t, "the write of 64 KiB", outcome); err != nil {
			t.Fatal(err)
		}
		a.Close()
		o := kit.Within(t, "the peer reads to the end", got)
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		kit.SameBytes(t, o.Data, append(large, exact...))
	})
}

// failingBegin is a way to make Begin fail. ready prepares the stream; the Begins are then given that range.
type failingBegin struct {
	name         string
	cfg          netstream.Config
	buffer       []byte
	offset, size int
	ready        func(t *testing.T, a *netstream.NetworkStream)
	writeOnly    bool // reads do not fail so
	readOnly     bool // writes do not fail so
}

func failingBegins() []failingBegin {
	ok := make([]byte, 100)
	nothing := func(*testing.T, *netstream.NetworkStream) {}
	return []failingBegin{
		{name: "nil buffer", ready: nothing},
		{name: "offset below", buffer: ok, offset: -1, size: 1, ready: nothing},
		{name: "offset above", buffer: ok, offset: 101, ready: nothing},
		{name: "size below", buffer: ok, size: -1, ready: nothing},
		{name: "size above", buffer: ok, offset: 50, size: 51, ready: nothing},
		{name: "closed", buffer: ok, size: 100, ready: func(_ *testing.T, a *netstream.NetworkStream) { a.Close() }},
		{name: "socket closed", buffer: ok, size: 100, ready: func(_ *testing.T, a *netstream.NetworkStream) { a.Socket().Close() }},
		{name: "not for writing", cfg: netstream.Config{Access: netstream.AccessRead}, buffer: ok, size: 100, ready: nothing, writeOnly: true},
		{name: "not for reading", cfg: netstream.Config{Access: netstream.AccessWrite}, buffer: ok, size: 100, ready: nothing, readOnly: true},
		{name: "torn", buffer: ok, size: 100, writeOnly: true, ready: func(t *testing.T, a *netstream.NetworkStream) {
			_, _, outcome := kit.Plug(t, a)
			kit.CutNow(t, a)
			kit.Within(t, "the torn write", outcome)
		}},
		{name: "full", cfg: netstream.Config{MaxPendingWrites: 1}, buffer: ok, size: 100, writeOnly: true, ready: func(t *testing.T, a *netstream.NetworkStream) {
			kit.Plug(t, a)
		}},
	}
}

func TestPromise01_AnErrorFromBeginMeansNothingWasLent(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		for _, f := range failingBegins() {
			t.Run(f.name, func(t *testing.T) { nothingLent(t, c, f) })
		}
	})
}

func nothingLent(t *testing.T, c kit.ConnKind, f failingBegin) {
	a, b := c.Pair(t, &f.cfg, nil)
	kit.SmallBuffers(t, a, b)
	if f.cfg.Access != 0 && c.Network == "pipe" {
		t.Skip("the ends of a pipe share their configuration")
	}
	f.ready(t, a)
	writes, bytes := a.Pending()
	before := a.Stats()
	callback := kit.NeverCalled(t)
	if !f.readOnly {
		ar, err := a.BeginWrite(f.buffer, f.offset, f.size, callback, nil)
		if err == nil || !ar.IsZero() {
			t.Fatalf("BeginWrite: result zero %t, error %v", ar.IsZero(), err)
		}
	}
	if !f.writeOnly {
		ar, err := a.BeginRead(f.buffer, f.offset, f.size, callback, nil)
		if err == nil || !ar.IsZero() {
			t.Fatalf("BeginRead: result zero %t, error %v", ar.IsZero(), err)
		}
	}
	if w, by := a.Pending(); w != writes || by != bytes {
		t.Errorf("Pending changed from %d, %d to %d, %d", writes, bytes, w, by)
	}
	if now := a.Stats(); now.WriteOps != before.WriteOps || now.ReadOps != before.ReadOps {
		t.Errorf("refused operations were counted: %+v, before %+v", now, before)
	}
	if writes == 0 { // nothing of the refused write may come out when the rest ends
		got := kit.GoRead(b)
		kit.CloseAndWait(t, a)
		o := kit.Within(t, "the peer sees the end", got)
		if f.name != "torn" && (len(o.Data) != 0 || o.Err != nil && o.Err != io.EOF) {
			t.Errorf("the peer read %d bytes and %v", len(o.Data), o.Err)
		}
		return
	}
	kit.CloseAndWait(t, a)
}
