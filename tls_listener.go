package netstream

import (
	"container/list"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// A listener with Config.TLS accepts ahead of its callers, so that a client that is slow in its handshake holds up nobody. A
// goroutine accepts from the first Accept on; a handshake has a goroutine only while it computes or waits for a later
// flight.

const (
	// mostHandshakes is how many connections of one listener may be in their handshake. Then the oldest one that waits for its
	// peer makes room, once it has had handshakePatience: if accepting paused instead, that many slow clients could keep
	// everybody out, and if it did not wait, as many honest ones that come at once would push each other out. One that waits for
	// this side, for a processor or a callback of the tls.Config, has busyPatience.
	mostHandshakes    = 1024
	handshakePatience = time.Second
	busyPatience      = 10 * time.Second
	// crowdPause is how long to wait before the handshakes are asked again whether they wait for their peer.
	crowdPause = 50 * time.Millisecond
	// mostReady is how many streams wait for an Accept. Then connections wait in the kernel's backlog.
	mostReady = 128
)

var errCrowded = errors.New("netstream: too many handshakes at once, and this one has kept the server waiting for longest")

// handshakes are those of a listener, and the streams that are ready.
type handshakes struct {
	l      *Listener // constant
	config *tls.Config
	demand chan struct{}       // one token: somebody has come to accept, or has taken a stream
	over   chan struct{}       // one token: a handshake is over
	ready  chan *NetworkStream // sent to under mu
	broken chan error          // what accepting fails with, for whoever waits

	mu       sync.Mutex // guards what follows. No other lock is taken under it
	phase    listenPhase
	running  list.List // of *shaking, the oldest first
	failures uint64
}

// listenPhase only goes forward.
type listenPhase uint8

const (
	listenIdle   listenPhase = iota // nobody has come to accept yet
	listening                       // a goroutine accepts
	listenClosed                    // no stream is to be had any more
)

// shaking is a stream in its handshake.
type shaking struct {
	stream  *NetworkStream
	auth    *authentication // constant
	since   time.Time       // constant
	crowded bool            // it has made room; guarded by mu
}

func newHandshakes(l *Listener, config *tls.Config) *handshakes {
	return &handshakes{
		l: l, config: config, demand: make(chan struct{}, 1), over: make(chan struct{}, 1), ready: make(chan *NetworkStream, mostHandshakes+mostReady),
		broken: make(chan error),
	}
}

// FailedHandshakes returns how many connections the listener has given up because their handshake failed, took too long,
// or was one too many. Those are logged at debug level. No Accept fails because of them.
func (l *Listener) FailedHandshakes() uint64 {
	h := l.handshakes
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.failures
}

// tlsStream is what Accept of a listener with Config.TLS returns. Its ConnectionState is the one that net/http knows a TLS
// connection by; that of a NetworkStream has another signature, or net/http would take each of them for one.
type tlsStream struct{ *NetworkStream }

// ConnectionState returns what crypto/tls says of the connection.
func (s tlsStream) ConnectionState() tls.ConnectionState {
	state, _ := s.NetworkStream.ConnectionState()
	return state
}

// asConn returns the stream as Accept does.
func (l *Listener) asConn(s *NetworkStream) net.Conn {
	if l.handshakes == nil {
		return s
	}
	return tlsStream{s}
}

// next waits for the next stream that is ready to be used.
func (l *Listener) next(onLoop bool) (*NetworkStream, error) {
	if l.handshakes == nil {
		return l.accept(onLoop)
	}
	return l.handshakes.next()
}

func (h *handshakes) next() (*NetworkStream, error) {
	h.start()
	defer h.want() // there is a place more
	select {
	case s := <-h.ready: // before a deadline that has passed, and only then a close
		if !h.l.hasClosed() {
			return s, nil
		}
		s.startClose(nil, false)
		return nil, h.l.closedError()
	default:
	}
	select {
	case s := <-h.ready:
		return s, nil
	case err := <-h.broken:
		return nil, err
	case <-h.l.closed:
		return nil, h.l.closedError()
	case <-h.l.deadline.channel():
		return nil, errAcceptTimeout
	}
}

// start has connections accepted from now on.
func (h *handshakes) start() {
	h.mu.Lock()
	start := h.phase == listenIdle
	if start {
		h.phase = listening
	}
	h.mu.Unlock()
	if start {
		go h.acceptAll()
	}
	h.want()
}

func (h *handshakes) want() {
	select {
	case h.demand <- struct{}{}:
	default:
	}
}

// acceptAll accepts connections and begins their handshakes, until the listener is closed.
func (h *handshakes) acceptAll() {
	over := false
	defer func() {
		if !over { // see errAcceptVanished
			go func() {
				if h.tell(errAcceptVanished) {
					h.acceptAll()
				}
			}()
		}
	}()
	h.acceptUntilClosed()
	over = true
}

func (h *handshakes) acceptUntilClosed() {
	for {
		for len(h.ready) >= mostReady {
			if !h.awaitDemand() {
				return
			}
		}
		s, err := h.l.accept(true)
		switch {
		case err == nil:
			h.makeRoom()
			h.begin(s)
		case h.l.hasClosed():
			return
		case errors.Is(err, os.ErrDeadlineExceeded): // whoever waits knows
			if !h.awaitDemand() {
				return
			}
		case !h.tell(err):
			return
		}
	}
}

// tell has the next Accept fail with err. False: the listener was closed.
func (h *handshakes) tell(err error) bool {
	select {
	case h.broken <- err:
		return true
	case <-h.l.closed:
		return false
	}
}

func (h *handshakes) awaitDemand() bool {
	select {
	case <-h.demand:
		return true
	case <-h.l.closed:
		return false
	}
}

// makeRoom returns when one more handshake may begin, or the listener is closed.
func (h *handshakes) makeRoom() {
	for {
		slow, wait := h.crowdOut()
		if wait == 0 {
			if slow != nil {
				slow.startClose(errCrowded, false)
			}
			return
		}
		patience := time.NewTimer(wait)
		select {
		case <-h.over:
		case <-patience.C:
		case <-h.l.closed:
			patience.Stop()
			return
		}
		patience.Stop()
	}
}

// crowdOut takes the handshake that has to make room out of those that are running, if there is one, or says how long to wait
// until one may be asked for that.
func (h *handshakes) crowdOut() (slow *NetworkStream, wait time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running.Len() < mostHandshakes {
		return nil, 0
	}
	now := time.Now()
	for e := h.running.Front(); e != nil; e = e.Next() {
		k := e.Value.(*shaking)
		age := now.Sub(k.since)
		if age < handshakePatience {
			return nil, min(handshakePatience-age, crowdPause)
		}
		if age >= busyPatience || k.auth.awaitsPeer() {
			h.running.Remove(e)
			k.crowded = true
			return k.stream, 0
		}
	}
	return nil, crowdPause
}

// begin begins the handshake of s.
func (h *handshakes) begin(s *NetworkStream) {
	h.mu.Lock()
	if h.phase == listenClosed {
		h.mu.Unlock()
		s.startClose(nil, false)
		return
	}
	place := h.running.PushBack(&shaking{stream: s, auth: s.auth, since: time.Now()})
	h.mu.Unlock()
	err := s.authenticate(context.Background(), s.auth, h.config, true, func(err error) { h.end(s, place, err) })
	if err != nil { // somebody has found it in its group, and closed it
		h.end(s, place, err)
	}
}

// end takes note of how the handshake of s has ended.
func (h *handshakes) end(s *NetworkStream, place *list.Element, err error) {
	h.mu.Lock()
	h.running.Remove(place) // does nothing for one that has made room
	crowded, closed := place.Value.(*shaking).crowded, h.phase == listenClosed
	ready := err == nil && !closed && !crowded
	if ready {
		h.ready <- s // this does not block: s counted as running until now
	}
	if (err != nil || crowded) && !closed { // else Close has ended it
		h.failures++
	}
	h.mu.Unlock()
	select {
	case h.over <- struct{}{}:
	default:
	}
	if ready {
		return
	}
	if err != nil && !closed {
		h.l.config.logger().Debug("netstream: a handshake failed", "remote", addrText(s.RemoteAddr()), "error", err)
	}
	s.startClose(nil, false)
}

// close gives up all streams that nobody has accepted.
func (h *handshakes) close() {
	if h == nil {
		return
	}
	var streams []*NetworkStream
	h.mu.Lock()
	h.phase = listenClosed
	for e := h.running.Front(); e != nil; e = e.Next() {
		streams = append(streams, e.Value.(*shaking).stream)
	}
	for {
		select {
		case s := <-h.ready:
			streams = append(streams, s)
			continue
		default:
		}
		break
	}
	h.mu.Unlock()
	for _, s := range streams {
		s.startClose(nil, false)
	}
}
