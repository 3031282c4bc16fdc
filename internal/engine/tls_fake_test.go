package engine

import (
	"bytes"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience only ends a hang.
const patience = time.Minute

// fakeLower is a transport whose every byte is the test's: what has come, how much may go, when a wait ends.
type fakeLower struct {
	traits Traits
	owner  Owner

	mu      sync.Mutex
	changed *sync.Cond
	in      []byte
	inErr   error // behind in
	grain   int   // the most that one read returns; 0: no limit
	out     []byte
	room    int // how many bytes may go; negative: all
	outErr  error
	waits   [2]bool
	ids     [2]uint32
	lent    []byte
	vectors [][]byte
	asked   [2]uint64 // cancelled: set<<32 | id
	fin     bool
	closed  bool
	how     Ending
	finLate bool // StartCloseWrite waits
	reads   int  // TryRead calls
	sends   int  // TryWrite calls that sent something
	sum     int  // bytes sent
}

// newFake makes a transport like epoll, or one that keeps what it is given, as over a foreign connection.
func newFake(lends bool) *fakeLower {
	f := &fakeLower{room: -1, traits: Traits{TriesWrite: true, OnlyWaits: [2]bool{true, true}, Halves: true}}
	if lends {
		f.traits = Traits{Through: true, Halves: true, Joining: JoinAll}
	}
	f.changed = sync.NewCond(&f.mu)
	return f
}

func (f *fakeLower) Traits() *Traits    { return &f.traits }
func (f *fakeLower) Held() bool         { return false }
func (f *fakeLower) setOwner(o Owner)   { f.owner = o }
func (f *fakeLower) Hold(*Batch, Task)  {}
func (f *fakeLower) Post(t Task)        { go t.Run() }
func (f *fakeLower) MayPush(uint8) bool { return true }

func (f *fakeLower) TryRead(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reads++
	if !f.traits.TriesWrite {
		return 0, ErrWouldBlock
	}
	return f.takeLocked(p)
}

func (f *fakeLower) takeLocked(p []byte) (int, error) {
	switch {
	case len(f.in) > 0:
		if f.grain > 0 && len(p) > f.grain {
			p = p[:f.grain]
		}
		n := copy(p, f.in)
		f.in = f.in[n:]
		return n, nil
	case f.inErr != nil:
		return 0, f.inErr
	}
	return 0, ErrWouldBlock
}

func (f *fakeLower) TryWrite(v [][]byte) (int, int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.traits.TriesWrite {
		return 0, 0, ErrWouldBlock
	}
	n, err := f.sendLocked(v)
	return n, n, err
}

func (f *fakeLower) sendLocked(v [][]byte) (n int, err error) {
	if f.outErr != nil {
		return 0, f.outErr
	}
	size := 0
	for _, p := range v {
		size += len(p)
		if f.room >= 0 {
			p = p[:min(len(p), f.room)]
			f.room -= len(p)
		}
		f.out = append(f.out, p...)
		n += len(p)
	}
	if n > 0 {
		f.sends++
		f.sum += n
		f.changed.Broadcast()
	}
	if n == 0 && size > 0 {
		return 0, ErrWouldBlock
	}
	return n, nil
}

func (f *fakeLower) StartRead(id uint32, p []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waits[Read] {
		panic("two reads under way")
	}
	if f.traits.TriesWrite && (len(f.in) > 0 || f.inErr != nil) || f.asked[Read] == 1<<32|uint64(id) {
		return false
	}
	f.waits[Read], f.ids[Read], f.lent = true, id, p
	f.tellLocked()
	f.changed.Broadcast()
	return true
}

func (f *fakeLower) StartWrite(id uint32, v [][]byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.waits[Write] {
		panic("two writes under way")
	}
	if f.traits.TriesWrite && (f.room != 0 || f.outErr != nil) || f.asked[Write] == 1<<32|uint64(id) {
		return false
	}
	f.waits[Write], f.ids[Write], f.vectors = true, id, append([][]byte(nil), v...)
	f.tellLocked()
	f.changed.Broadcast()
	return true
}

// tellLocked ends the waits that have something to end for.
func (f *fakeLower) tellLocked() {
	if f.waits[Read] && (len(f.in) > 0 || f.inErr != nil) {
		n, err := 0, error(ErrInterrupted)
		if !f.traits.OnlyWaits[Read] {
			if n, err = f.takeLocked(f.lent); len(f.lent) == 0 {
				panic("nothing was lent")
			}
		}
		f.waits[Read], f.lent = false, nil
		go f.owner.ReadReturned(n, err)
	}
	if f.waits[Write] && (f.room != 0 || f.outErr != nil) {
		n, err := 0, error(ErrInterrupted)
		if !f.traits.OnlyWaits[Write] {
			n, err = f.sendLocked(f.vectors)
		}
		f.waits[Write], f.vectors = false, nil
		go f.owner.WriteReturned(n, err)
	}
}

func (f *fakeLower) ReadThrough(id uint32, p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		if f.asked[Read] == 1<<32|uint64(id) {
			return 0, ErrInterrupted
		}
		if n, err := f.takeLocked(p); err != ErrWouldBlock {
			return n, err
		}
		f.changed.Wait()
	}
}

func (f *fakeLower) WriteThrough(uint32, [][]byte) (int, error) { panic("not for TLS") }

func (f *fakeLower) Cancel(d Direction, id uint32, _ bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[d] = 1<<32 | uint64(id)
	f.changed.Broadcast()
	if !f.waits[d] || f.ids[d] != id {
		return
	}
	f.waits[d] = false
	if d == Read {
		go f.owner.ReadReturned(0, ErrInterrupted)
	} else {
		go f.owner.WriteReturned(0, ErrInterrupted)
	}
}

func (f *fakeLower) Close(how Ending) {
	f.mu.Lock()
	f.closed, f.how = true, how
	f.changed.Broadcast()
	f.mu.Unlock()
	f.owner.Closed()
}

func (f *fakeLower) CloseWrite() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fin = true
	f.changed.Broadcast()
	return nil
}

func (f *fakeLower) StartCloseWrite(uint32) bool {
	if !f.finLate {
		return false
	}
	f.CloseWrite()
	go f.owner.WriteReturned(0, nil)
	return true
}

func (f *fakeLower) Available() (int, error)      { return 0, errors.ErrUnsupported }
func (f *fakeLower) Unacknowledged() (int, error) { return 0, nil }
func (f *fakeLower) SawReset() bool               { return false }
func (f *fakeLower) Control(func(uintptr)) error  { return errors.ErrUnsupported }
func (f *fakeLower) Set(Setting, int) error       { return errors.ErrUnsupported }
func (f *fakeLower) CloseRead() error             { f.end(io.EOF); return nil }
func (f *fakeLower) RawCall(Direction, uint32, func(uintptr) bool) error {
	return errors.ErrUnsupported
}

// feed gives the transport input.
func (f *fakeLower) feed(p []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in = append(f.in, p...)
	f.tellLocked()
	f.changed.Broadcast()
}

// end puts an error behind the input.
func (f *fakeLower) end(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inErr = err
	f.tellLocked()
	f.changed.Broadcast()
}

// kill has everything fail that waits.
func (f *fakeLower) kill() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.in, f.inErr, f.outErr = nil, io.EOF, syscall.ECONNRESET
	f.closed, f.how = true, Reset
	f.tellLocked()
	f.changed.Broadcast()
}

// ended returns whether and how the transport was closed.
func (f *fakeLower) ended() (closed bool, how Ending) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.closed, f.how
}

// allow lets n bytes more go out; negative: all.
func (f *fakeLower) allow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room = n
	f.tellLocked()
}

// await waits until ok, which runs with the transport's lock.
func (f *fakeLower) await(t testing.TB, what string, ok func() bool) {
	t.Helper()
	late := time.AfterFunc(patience, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.changed.Broadcast()
	})
	defer late.Stop()
	by := time.Now().Add(patience)
	f.mu.Lock()
	defer f.mu.Unlock()
	for !ok() {
		if time.Now().After(by) {
			t.Fatalf("still waiting: %s", what)
		}
		f.changed.Wait()
	}
}

// eventually asks until ok, or for too long.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for by := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(by) {
			t.Fatalf("not yet: %s", what)
		}
	}
}

// peerConn is the other end: what it writes goes to the fake's input, what it reads comes from the fake's output.
type peerConn struct {
	f    *fakeLower
	kept *bytes.Buffer // not nil: what is written stays here
}

func (c *peerConn) Read(p []byte) (int, error) {
	f := c.f
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		switch {
		case len(f.out) > 0:
			n := copy(p, f.out)
			f.out = f.out[n:]
			return n, nil
		case f.closed && f.how == Reset:
			return 0, errors.New("reset")
		case f.fin || f.closed:
			return 0, io.EOF
		}
		f.changed.Wait()
	}
}

func (c *peerConn) Write(p []byte) (int, error) {
	if c.kept != nil {
		return c.kept.Write(p)
	}
	c.f.feed(p)
	return len(p), nil
}

func (c *peerConn) Close() error                     { c.f.end(io.EOF); return nil }
func (c *peerConn) LocalAddr() net.Addr              { return &net.TCPAddr{} }
func (c *peerConn) RemoteAddr() net.Addr             { return &net.TCPAddr{} }
func (c *peerConn) SetDeadline(time.Time) error      { return nil }
func (c *peerConn) SetReadDeadline(time.Time) error  { return nil }
func (c *peerConn) SetWriteDeadline(time.Time) error { return nil }
