package netstream

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// failureOf is what a transport's answer with that code of the system becomes.
func failureOf(code SocketErrorCode) *failure {
	e := codeError(code, os.NewSyscallError("call", syscall.Errno(1)))
	return &failure{err: e, socket: e}
}

// What the connection died of is the first failure that ends it, except that one which ends the reading as well says more
// than a broken pipe.
func TestHealth_WhatTheConnectionDiedOf(t *testing.T) {
	pipe, reset, host, busy := failureOf(CodeShutdown), failureOf(CodeConnectionReset), failureOf(CodeHostUnreachable),
		failureOf(CodeNoBufferSpaceAvailable)
	rules := codeError(CodeConnectionAborted, &engine.BrokenError{Why: errors.New("rules")})
	broken := &failure{err: rules, socket: rules}
	foreign := &failure{err: deadlineError(), socket: deadlineError()}
	none := &failure{err: io.ErrUnexpectedEOF}
	for i, c := range []struct {
		failures []*failure
		dead     *SocketError
		deadIn   bool
	}{
		{[]*failure{none, foreign, busy}, nil, false},
		{[]*failure{pipe, busy}, pipe.socket, false},
		{[]*failure{pipe, pipe, reset, host}, reset.socket, true},
		{[]*failure{host, reset, pipe}, host.socket, true},
		{[]*failure{broken, reset}, broken.socket, true},
		{[]*failure{pipe, broken}, broken.socket, true},
	} {
		var h health
		for _, f := range c.failures {
			h.note(f)
		}
		if h.dead != c.dead || h.deadIn() != c.deadIn {
			t.Errorf("%d: %v, ends the reading: %t; want %v, %t", i, h.dead, h.deadIn(), c.dead, c.deadIn)
		}
	}
}

// After a failure that ends the reading no read shows a clean end, nor one that TLS sees as cut, except behind a
// Shutdown of this side.
func TestHealth_NoCleanEndOfADeadConnection(t *testing.T) {
	dead := failureOf(CodeConnectionReset)
	other := &failure{err: errors.New("other")}
	cut := &failure{err: io.ErrUnexpectedEOF, cut: true}
	for i, c := range []struct {
		deadIn, shutRead bool
		err, want        error
	}{
		{false, false, io.EOF, io.EOF},
		{true, false, io.EOF, dead.socket},
		{true, true, io.EOF, io.EOF},
		{false, false, cut, cut.err},
		{true, false, cut, dead.socket},
		{true, true, cut, cut.err},
		{true, false, other, other.err},
		{true, false, nil, nil},
	} {
		h := health{shutRead: c.shutRead}
		if c.deadIn {
			h.note(dead)
		}
		got := h.readFailure(c.err)
		if failure, ok := got.(*IOError); ok {
			got = failure.Err
		}
		if got != c.want {
			t.Errorf("%d: %v, want %v", i, got, c.want)
		}
	}
	var h health
	if h.readFailure(dead); h.dead != dead.socket || !h.deadIn() {
		t.Error("what a read has seen is forgotten")
	}
}

// TLS ends both directions with one error, which is the first.
func TestHealth_TheFirstFatalErrorOfTLS(t *testing.T) {
	h := health{auth: new(authentication)}
	first, second := errors.New("first"), errors.New("second")
	for _, f := range []*failure{{err: errors.New("harmless")}, {err: first, fatal: true}, {err: second, fatal: true}} {
		h.note(f)
	}
	if h.fatal() != first {
		t.Errorf("%v", h.fatal())
	}
}

// brokenConn is a connection that has been reset, and tells only the write that comes first; then reading finds a clean end.
type brokenConn struct{ *nullTransport }

func (c brokenConn) TryWrite([][]byte) (taken, done int, err error) { return 0, 0, syscall.ECONNRESET }

func (c brokenConn) TryRead([]byte) (int, error) { return 0, io.EOF }

// The kernel tells a reset once. What a write has met is remembered: a read shows no clean end, and Err tells it.
func TestHealth_AReadKnowsWhatAWriteHasMet(t *testing.T) {
	n := newNull(t, Config{}, taking{})
	s := n.stream
	s.transport = brokenConn{n}
	write := n.beginWrite(nil)
	n.settle()
	if err := s.EndWrite(write); !errors.Is(err, CodeConnectionReset) {
		t.Fatal("the write: ", err)
	}
	read, err := s.BeginRead(make([]byte, 1), 0, 1, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	n.settle()
	if _, err := s.EndRead(read); !errors.Is(err, CodeConnectionReset) {
		t.Error("a read after that: ", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.dead == nil || s.dead.Code != CodeConnectionReset {
		t.Errorf("the stream knows of %v", s.dead)
	}
}
