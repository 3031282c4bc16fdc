package engine

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
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

// testOwner drives a TLS as a stream does: blocking reads and writes over the seam.
type testOwner struct {
	tls *TLS

	reading sync.Mutex // one reader
	readID  uint32
	readCh  chan struct{}

	mu       sync.Mutex // guards what follows
	busy     bool       // somebody owns the writing
	writeID  uint32
	writeCh  chan struct{}
	returned int // bytes done that the last wait has told of
	finErr   chan error
	closed   chan struct{}
	wants    int
}

func newOwner() *testOwner {
	return &testOwner{
		readCh: make(chan struct{}, 1), writeCh: make(chan struct{}, 1), closed: make(chan struct{}),
		finErr: make(chan error, 1),
	}
}

func (o *testOwner) ReadReturned(n int, err error) {
	if n != 0 || err != ErrInterrupted {
		panic("TLS returns no bytes")
	}
	o.readCh <- struct{}{}
}

func (o *testOwner) WriteReturned(n int, err error) {
	if err != ErrInterrupted {
		o.finErr <- err
		return
	}
	o.returned = n
	o.writeCh <- struct{}{}
}

func (o *testOwner) Closed()    { close(o.closed) }
func (o *testOwner) Abandoned() {}

func (o *testOwner) WantWrite() {
	o.mu.Lock()
	o.wants++
	start := !o.busy
	o.busy = true
	o.mu.Unlock()
	if start {
		go func() { o.drive(nil) }()
	}
}

// Read reads as a stream does.
func (o *testOwner) Read(p []byte) (int, error) {
	o.reading.Lock()
	defer o.reading.Unlock()
	for {
		n, err := o.tls.TryRead(p)
		if err != ErrWouldBlock {
			return n, err
		}
		o.readID++
		if o.tls.StartRead(o.readID, p) {
			<-o.readCh
		}
	}
}

// Write sends p as a stream does, and returns how much of it is in the kernel.
func (o *testOwner) Write(p []byte) (int, error) { return o.writev([][]byte{p}) }

func (o *testOwner) writev(v [][]byte) (int, error) {
	for {
		o.mu.Lock()
		if !o.busy {
			o.busy = true
			o.mu.Unlock()
			return o.drive(v)
		}
		o.mu.Unlock()
		time.Sleep(time.Millisecond) // a push of control bytes is under way
	}
}

// drive sends v and whatever is held; the caller owns the writing.
func (o *testOwner) drive(v [][]byte) (sum int, err error) {
	left := 0
	for _, p := range v {
		left += len(p)
	}
	undone := left
	for {
		taken, done, err := o.tls.TryWrite(v)
		v = skip(v, taken)
		left, undone, sum = left-taken, undone-done, sum+done
		if err != nil && err != ErrWouldBlock {
			o.rest()
			return sum, err
		}
		if err == nil && undone == 0 && o.rest() {
			return sum, nil
		}
		if err == ErrWouldBlock {
			o.writeID++
			if o.tls.StartWrite(o.writeID, v) {
				<-o.writeCh
				undone, sum = undone-o.returned, sum+o.returned
			}
		}
	}
}

// rest gives the writing up, unless something is held.
func (o *testOwner) rest() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.tls.Held() {
		return false
	}
	o.busy = false
	return true
}

func skip(v [][]byte, n int) [][]byte {
	v = append([][]byte(nil), v...)
	for len(v) > 0 && n >= len(v[0]) && (n > 0 || len(v[0]) == 0) {
		n -= len(v[0])
		v = v[1:]
	}
	if n > 0 {
		v[0] = v[0][n:]
	}
	return v
}

// shake makes the handshake and returns how it ended.
func (o *testOwner) shake(ctx context.Context) error {
	over := make(chan error, 1)
	o.tls.Handshake(ctx, func(err error) { over <- err })
	err := <-over
	ids := o.tls.IDs()
	o.readID, o.writeID = ids[Read]+10, ids[Write]+10
	return err
}

// tlsKeys returns the configurations of a client and a server that trust each other.
var tlsKeys = sync.OnceValues(func() (client, server *tls.Config) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		NotAfter:     time.Now().Add(24 * time.Hour),
		DNSNames:     []string{"test.example"},
		IsCA:         true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	must(err)
	leaf, err := x509.ParseCertificate(der)
	must(err)
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	certificate := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	return &tls.Config{RootCAs: roots, ServerName: "test.example", Certificates: []tls.Certificate{certificate}},
		&tls.Config{Certificates: []tls.Certificate{certificate}, ClientCAs: roots}
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// tlsCase is one way to make a connection.
type tlsCase struct {
	name    string
	server  bool // the TLS under test is the server
	lends   bool // the fake keeps what it is given
	version uint16
	suite   uint16
}

func tlsCases() (list []tlsCase) {
	for _, v := range []struct {
		name    string
		version uint16
		suite   uint16
	}{
		{"1.3", tls.VersionTLS13, 0},
		{"1.2-gcm", tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		{"1.2-chacha", tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
		{"1.2-cbc", tls.VersionTLS12, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
		{"1.0-cbc", tls.VersionTLS10, tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA},
	} {
		for _, server := range []bool{false, true} {
			for _, lends := range []bool{false, true} {
				name := v.name + map[bool]string{false: "/client", true: "/server"}[server] + map[bool]string{true: "/lends"}[lends]
				list = append(list, tlsCase{name, server, lends, v.version, v.suite})
			}
		}
	}
	return list
}

func eachTLS(t *testing.T, f func(t *testing.T, c tlsCase)) {
	for _, c := range tlsCases() {
		t.Run(c.name, func(t *testing.T) { f(t, c) })
	}
}

// configs returns the configuration of the TLS under test and that of its peer.
func (c tlsCase) configs() (own, peer *tls.Config) {
	client, server := tlsKeys()
	client, server = client.Clone(), server.Clone()
	for _, config := range []*tls.Config{client, server} {
		config.MinVersion, config.MaxVersion = c.version, c.version
		if c.suite != 0 {
			config.CipherSuites = []uint16{c.suite}
		}
	}
	if c.server {
		return server, client
	}
	return client, server
}

// rig is a TLS over a fake, and crypto/tls at the other end.
type rig struct {
	*testOwner
	fake *fakeLower
	peer *tls.Conn
	wire *peerConn
}

func newRig(t testing.TB, c tlsCase, own, peer *tls.Config) *rig {
	fake := newFake(c.lends)
	r := &rig{testOwner: newOwner(), fake: fake, wire: &peerConn{f: fake}}
	r.tls = NewTLS(fake, r.testOwner, TLSOptions{
		Config: own, Server: c.server, Ends: fakeEnds{}, IDs: [2]uint32{7, 7},
	})
	t.Cleanup(fake.kill)
	if c.server {
		r.peer = tls.Client(r.wire, peer)
	} else {
		r.peer = tls.Server(r.wire, peer)
	}
	return r
}

// connect makes a rig whose handshake is over, at both ends.
func (c tlsCase) connect(t testing.TB) *rig {
	t.Helper()
	own, peer := c.configs()
	r := newRig(t, c, own, peer)
	r.mustShake(t)
	return r
}

func (r *rig) mustShake(t testing.TB) {
	t.Helper()
	over := make(chan error, 1)
	go func() { over <- r.peer.Handshake() }()
	if err := r.shake(t.Context()); err != nil {
		t.Fatal("handshake:", err)
	}
	if err := <-over; err != nil {
		t.Fatal("the peer's handshake:", err)
	}
}

// sealed returns what the peer sends when it does what f says.
func (r *rig) sealed(f func(peer *tls.Conn)) []byte {
	r.wire.kept = new(bytes.Buffer)
	f(r.peer)
	p := r.wire.kept.Bytes()
	r.wire.kept = nil
	return p
}

// fakeEnds are the addresses of a connection that is none.
type fakeEnds struct{}

func (fakeEnds) LocalAddr() net.Addr  { return &net.TCPAddr{Port: 1} }
func (fakeEnds) RemoteAddr() net.Addr { return &net.TCPAddr{Port: 2} }
