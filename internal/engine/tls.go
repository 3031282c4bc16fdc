package engine

import (
	"crypto/tls"
	"errors"
	"net"
	"sync"
	"sync/atomic"
)

// TLS is a transport that encrypts, and stands on another one, which it owns. Below a *tls.Conn lies a connection in memory
// (tls_conn.go): its Read says "again" when no input is there, and crypto/tls goes on from the exact byte later. So
// nothing waits inside crypto/tls, and a connection at rest has no goroutine and no buffer but crypto/tls's own.
//
// Bytes that are sealed and not yet in the kernel are held here: TryWrite has its two counts because of them.
type TLS struct {
	owner   Owner      // set before the lower transport can call
	lower   Connection // constant
	options TLSOptions // constant
	traits  Traits     // constant

	shaking atomic.Pointer[tlsHandshake] // the handshake in progress; nil before and after
	held    atomic.Bool                  // out has bytes that are not in the kernel

	// mu covers each call of conn, of which none takes more than one record. crypto/tls has locks of its own for the two
	// directions, but readHandshake sends an alert without that for writing, and a peer can make it do so. It is locked
	// with no other lock of this package held, and no call of the owner or the lower transport is made under it. As
	// long as the handshake lasts, conn is called without it, and everything that it guards belongs to the handshake, except
	// that out may be asked for its size.
	mu      sync.Mutex
	conn    *tls.Conn // nil until the handshake begins
	out     *sealed   // what crypto/tls has written; nil: everything is in the kernel
	sealing bool      // conn.Write is running: what is written is data
	mute    bool      // close_notify is out, or the writing has failed: nothing follows
	control int       // bytes in out that answer the peer: KeyUpdates and alerts
	fatal   error     // what crypto/tls has ended both directions with
	puts    []sessionPut
	putting bool // a goroutine works on puts

	throttled bool   // a read waits until fewer control bytes are held
	readID    uint32 // its id
	cancelled uint64 // the read that was cancelled last: set<<32 | id

	// These belong to the owner of the reading.
	in      input
	below   error // how the lower transport's input ended
	readErr error // how the reading ended; it is final
	dry     bool  // crypto/tls has asked for input that was not there
	got     bool  // data has come
	aside   bool  // first is a byte that an empty read has found; guarded by mu, because Available looks
	first   byte

	noInput atomic.Bool // CloseRead was called: the end of the input is ours

	// These belong to the owner of the writing.
	burst    int       // how many records may be sealed for one send
	done     int       // bytes of data that are in the kernel and that the owner has not been told of
	writeErr error     // how the writing below ended; it is final
	told     bool      // the owner knows it
	sent     uint64    // sealed bytes that are in the kernel, all together
	one      [1][]byte // the vector for the lower transport
	steady   bool      // each record of the cipher suite is longer by the same number of bytes
	small    int       // bytes that were sealed in small records, see recordLimit

	ids    [2]uint32 // by direction: the next wait of a handshake, and later the last wait that began
	ready  bool      // the handshake has succeeded
	ending ending    // see tls_close.go
}

// Ends is what the callbacks of a tls.Config may ask of a connection. They may keep it, so it knows when that is closed. The
// addresses are asked for where they are needed: an idle stream makes none.
type Ends interface {
	LocalAddr() net.Addr
	RemoteAddr() net.Addr
	Control(f func(fd uintptr)) error
}

// TLSOptions are what NewTLS has to know.
type TLSOptions struct {
	Config *tls.Config // the caller's; it is not changed
	Server bool        // whose side of the handshake it is
	Ends   Ends        // for the callbacks of Config
	IDs    [2]uint32   // by direction: the first id that the lower transport has not seen
}

// NewTLS makes a transport that will own lower, of which nothing is under way. Everything that comes from lower goes to
// the new transport at once; it can be used after Handshake.
func NewTLS(lower Connection, owner Owner, o TLSOptions) *TLS {
	below := lower.Traits()
	t := &TLS{
		owner: owner, lower: lower, options: o, ids: o.IDs, burst: 1,
		traits: Traits{TriesWrite: true, OnlyWaits: [2]bool{true, true}, Holds: true, Through: below.Through, Halves: true},
	}
	lower.(rebinder).setOwner((*tlsOwner)(t))
	if !o.Server {
		t.options.Config = deferPuts(o.Config, t)
	}
	return t
}

// rebinder is an engine that another one can come to stand on, while nothing is under way.
type rebinder interface{ setOwner(Owner) }

// ConnectionState is that of the *tls.Conn, after a handshake that succeeded.
func (t *TLS) ConnectionState() tls.ConnectionState {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.conn.ConnectionState()
}

// IDs returns, by direction, the first id that the lower transport has not seen. It is called after the handshake.
func (t *TLS) IDs() [2]uint32 { return t.ids }

// Traits implements Transport.
func (t *TLS) Traits() *Traits { return &t.traits }

// Held implements Transport.
func (t *TLS) Held() bool { return t.held.Load() }

// Post implements Transport.
func (t *TLS) Post(task Task) { t.lower.Post(task) }

// Hold implements Transport.
func (t *TLS) Hold(b *Batch, task Task) { t.lower.Hold(b, task) }

// MayPush implements Transport.
func (t *TLS) MayPush(most uint8) bool { return t.lower.MayPush(most) }

// tlsOwner is a TLS as the transport below knows it.
type tlsOwner TLS

var _ Owner = (*tlsOwner)(nil)

// Abandoned implements Owner.
func (o *tlsOwner) Abandoned() { o.owner.Abandoned() }

// WantWrite implements Owner. The transport below holds nothing.
func (o *tlsOwner) WantWrite() {}

// Available is 1 when a read that was empty has found a byte. What else is decrypted, crypto/tls does not tell.
func (t *TLS) Available() (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.aside {
		return 1, nil
	}
	return 0, nil
}

// Unacknowledged implements Endpoint; it counts sealed bytes.
func (t *TLS) Unacknowledged() (int, error) {
	n, err := t.lower.Unacknowledged()
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return n + t.out.rest(), nil
}

// SawReset implements Endpoint.
func (t *TLS) SawReset() bool { return t.lower.SawReset() }

// Control implements Endpoint.
func (t *TLS) Control(f func(fd uintptr)) error { return t.lower.Control(f) }

// RawCall cannot be done: the bytes of the descriptor are not those of the stream.
func (t *TLS) RawCall(Direction, uint32, func(fd uintptr) bool) error { return errors.ErrUnsupported }

// Set implements Endpoint.
func (t *TLS) Set(s Setting, value int) error { return t.lower.Set(s, value) }

// CloseRead implements Endpoint.
func (t *TLS) CloseRead() error {
	t.noInput.Store(true)
	return t.lower.CloseRead()
}

// Cancel implements Transport.
func (t *TLS) Cancel(d Direction, id uint32, final bool) {
	if d == Read && t.cancelThrottled(id) {
		return
	}
	if d == Write {
		t.ending.cancel(id)
	}
	t.lower.Cancel(d, id, final)
}
