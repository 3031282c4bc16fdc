package reliability_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// fault is what the proxy does to one direction when that many bytes have passed.
type fault struct {
	at   int64
	kind faultKind
	d    time.Duration // of a stall
}

type faultKind int

const (
	faultStall     faultKind = iota // nothing passes for a while
	faultTrickle                    // a few bytes at a time for a while
	faultHang                       // nothing passes any more
	faultHalfClose                  // the receiver sees the end, the sender nothing
	faultCut                        // both connections are closed
	faultReset                      // both connections are reset
)

func (k faultKind) destroys() bool { return k >= faultHang }

// drawFaults picks what happens to one direction: a third are left alone.
func drawFaults(rng *rand.Rand) []fault {
	var faults []fault
	for range rng.IntN(3) {
		f := fault{at: rng.Int64N(1 << (4 + rng.IntN(16))), d: time.Duration(rng.IntN(300)) * time.Millisecond}
		switch n := rng.IntN(100); {
		case n < 35:
			f.kind = faultStall
		case n < 70:
			f.kind = faultTrickle
		case n < 75:
			f.kind = faultHang
		case n < 83:
			f.kind = faultHalfClose
		case n < 91:
			f.kind = faultCut
		default:
			f.kind = faultReset
		}
		faults = append(faults, f)
	}
	slices.SortFunc(faults, func(a, b fault) int { return int(a.at - b.at) })
	return faults
}

// proxy passes connections on to a server, with faults. Each connection is a link, found by the address that the client
// has on it.
type proxy struct {
	ln     net.Listener
	server string
	links  meeting[*link]
	done   chan struct{}
	seed   uint64
	tls    bool
}

func newProxy(t *testing.T, server string, seed uint64, tls bool) *proxy {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(t, err)
	p := &proxy{ln: ln, server: server, done: make(chan struct{}), seed: seed, tls: tls}
	go func() {
		defer close(p.done)
		for n := uint64(0); ; n++ {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			onward, err := net.Dial("tcp", server)
			if err != nil {
				t.Error("the proxy cannot reach the server:", err)
				conn.Close()
				continue
			}
			number := fmt.Sprintf("%0*d", linkNumber, n)
			io.WriteString(onward, number)
			p.links.put(conn.RemoteAddr().String(), p.newLink(number, conn, onward, rand.New(rand.NewPCG(p.seed, n))))
		}
	}()
	return p
}

func (p *proxy) close() {
	p.ln.Close()
	<-p.done
}

const linkNumber = 12 // bytes

// link is one connection through the proxy. What its pumps have counted can be read after end.
type link struct {
	client, server net.Conn
	number         string      // the proxy tells it to the server first of all
	pumps          [2]pump     // from the client, from the server
	harmed         atomic.Bool // something was done to it that loses frames
	cut            atomic.Bool // the proxy ended it: its ends say nothing about what was sent
	tls            bool        // what is refused may be a last close_notify
	born           time.Time
	over           chan struct{}
	once           sync.Once
	wg             sync.WaitGroup
}

func (p *proxy) newLink(number string, client, server net.Conn, rng *rand.Rand) *link {
	l := &link{client: client, server: server, number: number, tls: p.tls, born: time.Now(), over: make(chan struct{})}
	l.pumps[0] = pump{link: l, from: client, to: server, faults: drawFaults(rng), rng: rand.New(rand.NewPCG(rng.Uint64(), 1))}
	l.pumps[1] = pump{link: l, from: server, to: client, faults: drawFaults(rng), rng: rand.New(rand.NewPCG(rng.Uint64(), 2))}
	for i := range l.pumps {
		l.wg.Go(l.pumps[i].run)
	}
	return l
}

// drop gives both connections up, with a reset or as a program does that ends.
func (l *link) drop(reset bool) {
	l.once.Do(func() {
		close(l.over)
		for _, c := range []net.Conn{l.client, l.server} {
			if reset {
				c.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
		}
	})
}

// end drops the link and waits for its pumps.
func (l *link) end() {
	l.drop(false)
	l.wg.Wait()
}

// pump is one direction of a link.
type pump struct {
	link     *link
	from, to net.Conn
	faults   []fault
	rng      *rand.Rand

	taken, passed int64 // bytes read and written
	eof           bool  // the read of the sender's direction has said that it ended in good order
	refused       bool  // a write failed: if the receiver had sent a reset, this call was told of it
	cutHere       bool  // the proxy ended this direction, so the receiver may see the end anywhere
	trickle       int64 // bytes that are still to pass slowly
	happened      []faultKind
}

func (p *pump) run() {
	buf := make([]byte, 16<<10)
	for {
		for len(p.faults) > 0 && p.passed >= p.faults[0].at {
			if !p.suffer(buf) {
				return
			}
		}
		part := int64(len(buf))
		if len(p.faults) > 0 {
			part = min(part, p.faults[0].at-p.passed)
		}
		if p.trickle > 0 {
			part = min(part, 1+p.rng.Int64N(7))
			p.trickle -= part
			p.pause(100 * time.Microsecond)
		}
		n, err := p.from.Read(buf[:part])
		p.taken += int64(n)
		w, werr := p.to.Write(buf[:n])
		p.passed += int64(w)
		switch {
		case werr != nil: // the receiver is gone: what is left is nobody's
			p.refused = true
			if !p.link.tls { // else it may have closed with all it wants, and what it has sent is still on its way
				p.link.drop(true)
			}
			return
		case err == io.EOF:
			p.eof = true
			p.to.(*net.TCPConn).CloseWrite()
			return
		case err != nil:
			p.link.drop(true)
			return
		}
	}
}

// endedWell reports whether the sender ended its direction in good order. The kernel tells a reset once for each socket:
// when the other direction's write was told, the read says a clean end. It is for when both pumps are over.
func (p *pump) endedWell() bool {
	for i := range p.link.pumps {
		if other := &p.link.pumps[i]; other != p && other.refused {
			return false
		}
	}
	return p.eof
}

// suffer has the next fault happen; false: the direction is over.
func (p *pump) suffer(buf []byte) bool {
	f := p.faults[0]
	p.faults = p.faults[1:]
	p.happened = append(p.happened, f.kind)
	if f.kind.destroys() {
		p.link.harmed.Store(true)
	}
	switch f.kind {
	case faultStall:
		p.pause(f.d)
	case faultTrickle:
		p.trickle = 200
	case faultHang:
		<-p.link.over
		return false
	case faultHalfClose:
		p.cutHere = true
		p.to.(*net.TCPConn).CloseWrite()
		for { // the sender goes on, to nowhere
			n, err := p.from.Read(buf)
			p.taken += int64(n)
			if err != nil {
				p.eof = err == io.EOF
				return false
			}
		}
	case faultCut, faultReset:
		p.link.cut.Store(true)
		p.link.drop(f.kind == faultReset)
		return false
	}
	return true
}

func (p *pump) pause(d time.Duration) {
	select {
	case <-time.After(d):
	case <-p.link.over:
	}
}

// meeting hands values over by name, whoever comes first.
type meeting[T any] struct {
	mu  sync.Mutex
	set map[string]chan T
}

func (m *meeting[T]) at(name string) chan T {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.set == nil {
		m.set = make(map[string]chan T)
	}
	if m.set[name] == nil {
		m.set[name] = make(chan T, 1)
	}
	return m.set[name]
}

// put leaves v under its name. One that nobody has taken gives way.
func (m *meeting[T]) put(name string, v T) {
	for {
		select {
		case m.at(name) <- v:
			return
		case <-m.at(name):
		}
	}
}

// take waits for the value of that name, no longer than limit. The name stays known until forget.
func (m *meeting[T]) take(name string, limit time.Duration) (v T, ok bool) {
	select {
	case v = <-m.at(name):
		return v, true
	case <-time.After(limit):
		return v, false
	}
}

func (m *meeting[T]) forget(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.set, name)
}

// rest takes everything that nobody came for.
func (m *meeting[T]) rest() []T {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []T
	for _, ch := range m.set {
		select {
		case v := <-ch:
			all = append(all, v)
		default:
		}
	}
	m.set = nil
	return all
}
