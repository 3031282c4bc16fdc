package engine

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// tlsHandshake is the one in progress. crypto/tls keeps the failure of a handshake for ever, so "again" is no answer there:
// HandshakeContext runs on a goroutine that waits inside tlsBelow.Read for the peer's flights. A server has neither that
// goroutine nor a *tls.Conn before the first record is there as a whole.
type tlsHandshake struct {
	t    *TLS
	ctx  context.Context
	stop func() bool // ends the interrupt by ctx
	done func(error)

	hello    []byte       // the first record, as far as it has come
	awaiting atomic.Bool  // it is being awaited, without a goroutine
	waiting  atomic.Int32 // waits below that are under way: for the peer
	holds    bool         // a compute slot is held

	mu          sync.Mutex // guards what follows; a leaf
	interrupted bool
	waits       [2]bool // by direction: a wait below is under way, or about to be
	waitID      [2]uint32
	returned    chan struct{} // the wait is over; for the goroutine
}

var (
	errHandshakeInterrupted = errors.New("netstream: the handshake was interrupted")
	errTLSVanished          = errors.New("netstream: a callback of the tls.Config ended its goroutine or panicked")
)

// Handshake begins the handshake, as the client or the server, and returns. Exactly one call of done follows, with no lock
// held, on a goroutine that nobody else needs. Until then only Close and the questions of an Endpoint may be used, and
// after a failure only Close. The end of ctx interrupts the handshake, which fails with ctx's cause.
func (t *TLS) Handshake(ctx context.Context, done func(error)) {
	h := &tlsHandshake{t: t, ctx: ctx, done: done, returned: make(chan struct{}, 1)}
	t.shaking.Store(h)
	h.stop = context.AfterFunc(ctx, h.interrupt)
	if !t.options.Server {
		go h.run()
		return
	}
	h.awaiting.Store(true)
	h.awaitHello()
}

// AwaitsPeer reports whether a handshake is in progress and waits for its peer; otherwise it computes, or waits for a slot.
// It takes no lock.
func (t *TLS) AwaitsPeer() bool {
	h := t.shaking.Load()
	return h != nil && h.waiting.Load() > 0
}

// awaitHello collects the first record.
func (h *tlsHandshake) awaitHello() {
	t := h.t
	for {
		if helloComplete(h.hello) || t.below != nil {
			h.awaiting.Store(false)
			t.in.bytes, h.hello = h.hello, nil
			go h.run()
			return
		}
		n, err := t.lower.TryRead(h.helloRoom())
		if err == ErrWouldBlock {
			started, err := h.startWait(Read, h.lendHello())
			if err != nil {
				go h.finish(err) // a loop may be here, and done leads to the user's code, such as a logger
				return
			}
			if started {
				return
			}
			continue
		}
		h.helloRead(n, err)
	}
}

func (h *tlsHandshake) helloRead(n int, err error) {
	h.hello = h.hello[:len(h.hello)+n]
	if n == 0 && err != nil && err != ErrInterrupted {
		h.t.below = err
	}
}

// helloRoom returns where more of the first record goes. It grows with what has come, so that many may send a little.
func (h *tlsHandshake) helloRoom() []byte {
	if len(h.hello) == cap(h.hello) {
		more := make([]byte, len(h.hello), max(512, 2*len(h.hello)))
		copy(more, h.hello)
		h.hello = more
	}
	return h.hello[len(h.hello):cap(h.hello)]
}

// lendHello is lend for the first record.
func (h *tlsHandshake) lendHello() []byte {
	if h.t.lower.Traits().TriesWrite {
		return nil
	}
	return h.helloRoom()
}

// helloComplete reports whether crypto/tls can decide on p: it is a whole record of a handshake, or begins like something
// else.
func helloComplete(p []byte) bool {
	const handshakeRecord, major, header = 22, 3, 5
	switch {
	case len(p) > 0 && p[0] != handshakeRecord, len(p) > 1 && p[1] != major:
		return len(p) >= header
	case len(p) < header:
		return false
	}
	size := int(p[3])<<8 | int(p[4])
	return size > recordBytes || len(p) >= header+size
}

// run makes the handshake.
func (h *tlsHandshake) run() {
	t := h.t
	err := errTLSVanished
	defer func() { h.finish(err) }() // a callback of the tls.Config may have ended the goroutine
	if t.options.Server {
		t.conn = tls.Server((*tlsBelow)(t), t.options.Config)
	} else {
		t.conn = tls.Client((*tlsBelow)(t), t.options.Config)
	}
	h.compute()
	failure := t.conn.HandshakeContext(h.ctx)
	h.pause()
	if flushed := h.flush(); failure == nil {
		failure = flushed
	}
	err = failure
}

// finish ends the handshake.
func (h *tlsHandshake) finish(err error) {
	t := h.t
	h.pause()
	h.stop()
	if err != nil {
		err = h.failure(err)
		t.in.giveBack()
	} else {
		t.ready = true
		t.steady = steadySuite(t.conn.ConnectionState())
	}
	t.control = 0
	t.shaking.Store(nil)
	h.done(err)
}

// failure says why the handshake failed.
func (h *tlsHandshake) failure(err error) error {
	t, e := h.t, &TLSError{Authentication: true}
	switch { // crypto/tls may see the end of ctx before interrupt runs; and a callback may have interrupted, by closing
	case h.ctx.Err() != nil && (h.wasInterrupted() || err == h.ctx.Err()):
		e.Stopped, err = h.ctx.Err(), context.Cause(h.ctx)
	case errors.Is(err, errBelow):
		err = t.belowError()
	default:
		err = plainTLSError(err)
	}
	if err == io.EOF { // a close_notify that anybody may have sent; errors.Is would take that for the end of the data
		err = io.ErrUnexpectedEOF
	}
	e.Err, t.fatal = err, e
	return e
}

// steadySuite reports whether each record adds the same number of bytes.
func steadySuite(s tls.ConnectionState) bool {
	if s.Version == tls.VersionTLS13 {
		return true
	}
	switch s.CipherSuite {
	case tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
		tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return true
	}
	return false
}

// read is tlsBelow.Read during the handshake. What crypto/tls has written goes out before it waits.
func (h *tlsHandshake) read(p []byte) (int, error) {
	t := h.t
	for {
		n, err := t.takeInput(p)
		if n > 0 || err == errBelow {
			return n, err
		}
		if t.fill() == nil {
			continue
		}
		h.pause()
		err = h.flush()
		if err != errHandshakeInterrupted { // a send that failed: the peer's last words may say why
			err = h.awaitInput()
		}
		h.compute()
		if err != nil {
			return 0, err
		}
	}
}

// awaitInput waits for input from below.
func (h *tlsHandshake) awaitInput() error {
	started, err := h.startWait(Read, h.t.lend())
	if started {
		<-h.returned
	}
	return err
}

// flush sends what crypto/tls has written.
func (h *tlsHandshake) flush() error {
	for {
		if err := h.t.push(); err != ErrWouldBlock {
			return err
		}
		started, err := h.startWait(Write, nil)
		if err != nil {
			return err
		}
		if started {
			<-h.returned
		}
	}
}

// startWait begins a wait below. It fails after an interrupt.
func (h *tlsHandshake) startWait(d Direction, buffer []byte) (started bool, err error) {
	h.mu.Lock()
	if h.interrupted {
		h.mu.Unlock()
		return false, errHandshakeInterrupted
	}
	id := h.t.ids[d]
	h.t.ids[d]++
	h.waits[d], h.waitID[d] = true, id
	h.mu.Unlock()
	h.waiting.Add(1)
	if d == Read {
		started = h.t.lower.StartRead(id, buffer)
	} else {
		started = h.t.startHeld(id)
	}
	if !started {
		h.endWait(d)
	}
	return started, nil
}

func (h *tlsHandshake) endWait(d Direction) {
	h.waiting.Add(-1)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waits[d] = false
}

// interrupt has the handshake fail. The connection is of no use after that, so its calls are cancelled for good.
func (h *tlsHandshake) interrupt() {
	h.mu.Lock()
	h.interrupted = true
	waits, ids := h.waits, h.waitID
	h.mu.Unlock()
	for d := range waits {
		if waits[d] {
			h.t.lower.Cancel(Direction(d), ids[d], true)
		}
	}
}

func (h *tlsHandshake) wasInterrupted() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.interrupted
}

func (h *tlsHandshake) readReturned(n int, err error) {
	h.endWait(Read)
	if h.awaiting.Load() {
		h.helloRead(n, err)
		h.awaitHello()
		return
	}
	h.t.noteReturned(n, err)
	h.returned <- struct{}{}
}

func (h *tlsHandshake) writeReturned(n int, err error) {
	h.endWait(Write)
	h.t.noteWritten(n, err)
	h.returned <- struct{}{}
}

// compute takes a compute slot, pause gives it back.
func (h *tlsHandshake) compute() { h.holds = computing.acquire() }

func (h *tlsHandshake) pause() {
	if h.holds {
		h.holds = false
		computing.release()
	}
}
