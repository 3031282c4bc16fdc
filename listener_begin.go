package netstream

import "errors"

// Accepts that are begun are served in order, on a goroutine that lasts as long as there are any.

// BeginAccept begins to accept a connection and returns at once; it mirrors Socket.BeginAccept. Accepts are served
// in Begin order, their callbacks run one at a time on another goroutine. The stream is made for
// asynchronous use: with EngineAuto it starts on the loop. Errors: an [*ObjectDisposedError] after Close.
func (l *Listener) BeginAccept(callback AsyncCallback, state any) (AsyncResult, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hasClosed() {
		return AsyncResult{}, disposedError("Listener", nil)
	}
	op := newOperation(&l.owner, kindAccept, callback, state)
	result := op.result()
	l.accepts.pushBack(op)
	if !l.accepting {
		l.accepting = true
		go l.serveAccepts()
	}
	return result, nil
}

// EndAccept waits for the accept that ar stands for and returns its stream; it mirrors Socket.EndAccept. Call it
// exactly once for each BeginAccept. A stream whose accept is never ended is closed when it is collected.
func (l *Listener) EndAccept(ar AsyncResult) (*NetworkStream, error) {
	s, err := ar.endStream(&l.owner, kindAccept)
	if ar.IsZero() {
		return nil, err
	}
	return s, l.opError(err)
}

// errAcceptVanished is why an accept fails when foreign code has ended its goroutine: the listener below, or a method of
// what it has accepted.
var errAcceptVanished = &IOError{Err: codeError(CodeConnectionAborted, errors.New("accepting has ended its goroutine"))}

// serveAccepts accepts for as long as accepts are begun.
func (l *Listener) serveAccepts() {
	over := false
	defer func() {
		if !over {
			l.finishAccept(nil, errAcceptVanished)
			go l.serveAccepts()
		}
	}()
	for l.mustAccept() {
		l.finishAccept(l.next(true))
	}
	over = true
}

// mustAccept reports whether an accept is begun; else nobody serves any from now on.
func (l *Listener) mustAccept() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.accepting = !l.accepts.empty()
	return l.accepting
}

// finishAccept completes the oldest accept.
func (l *Listener) finishAccept(s *NetworkStream, err error) {
	l.mu.Lock()
	op := l.accepts.popFront()
	l.mu.Unlock()
	op.rarely().accepted = s
	op.fail(err)
	op.complete()
	if op.callback == nil {
		op.release(1)
		return
	}
	l.mu.Lock()
	l.callbacks.pushBack(op)
	start := !l.calling
	l.calling = true
	l.mu.Unlock()
	if start {
		go l.runCallbacks()
	}
}

// runCallbacks runs what has completed. A callback that ends its goroutine leaves the rest to a fresh one.
func (l *Listener) runCallbacks() {
	over := false
	defer func() {
		if !over {
			go l.runCallbacks()
		}
	}()
	for {
		l.mu.Lock()
		op := l.callbacks.popFront()
		if op == nil {
			l.calling = false
			over = true
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		callback, result := op.callback, op.result()
		op.release(1)
		callback(result)
	}
}
