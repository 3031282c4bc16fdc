package netstream

import (
	"errors"
	"io"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// reported is an engine on which a write has been told of a reset, so that a read sees an end.
type reported struct{ engine.Connection }

func (reported) Traits() *engine.Traits {
	return &engine.Traits{TriesWrite: true, OnlyWaits: [2]bool{true, true}}
}
func (reported) TryWrite([][]byte) (taken, done int, err error) { return 0, 0, syscall.ECONNRESET }
func (reported) TryRead([]byte) (int, error)                    { return 0, io.EOF }
func (reported) ReadThrough(uint32, []byte) (int, error)        { return 0, engine.ErrInterrupted }
func (reported) WriteThrough(uint32, [][]byte) (int, error)     { return 0, engine.ErrInterrupted }
func (reported) Cancel(engine.Direction, uint32, bool)          {}
func (reported) Held() bool                                     { return false }
func (reported) SawReset() bool                                 { return true }

// A read knows what a write was told: the system tells of a reset once.
func TestWriteFlow_AReadKnowsTheFailure(t *testing.T) {
	s := bareStream(&defaultConfig, nil, nil)
	s.transport = reported{}
	if _, err := s.Write([]byte("x")); !errors.Is(err, CodeConnectionReset) {
		t.Errorf("Write: %v", err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, CodeConnectionReset) {
		t.Errorf("Read: %v", err)
	}
	if s.Socket().Connected() {
		t.Error("connected")
	}
}

// holding is an engine that has bytes of its own.
type holding struct{ engine.Connection }

func (holding) Held() bool { return true }

// The direction does not rest while the engine holds bytes, except once the stream or its socket is closed: nobody waits for
// them then.
func TestWriteFlow_WhatTheEngineHoldsGoesOut(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*life)
		want writeStep
	}{
		"open":          {func(*life) {}, stepSend},
		"draining":      {(*life).drain, stepSend},
		"closed":        {func(l *life) { l.close(nil, false) }, stepRest},
		"socket closed": {func(l *life) { l.closeSocket(nil) }, stepRest},
	} {
		s := bareStream(&defaultConfig, nil, nil)
		s.transport = holding{}
		s.write.phase = owned
		c.end(&s.life)
		var fx writeEffects
		last := nothing
		if next := s.decideWriteLocked(&last, false, &fx); next != c.want {
			t.Errorf("%s: the next step is %d, want %d", name, next, c.want)
		}
	}
}

// An end that the engine could not send has met a broken connection: whoever asks is told.
func TestWriteFlow_AnEndThatFailsIsKnown(t *testing.T) {
	s := bareStream(&defaultConfig, nil, nil)
	s.transport = reported{}
	s.write.phase, s.write.fin = waiting, finSending
	s.engineOwner().WriteReturned(0, syscall.ECONNRESET)
	if err := s.Drain(t.Context()); !errors.Is(err, CodeConnectionReset) {
		t.Errorf("Drain: %v", err)
	}
	s.life.close(nil, false)
	if err := s.Err(); !errors.Is(err, CodeConnectionReset) {
		t.Errorf("Err: %v", err)
	}
}

// brokenTransport fails every attempt to write, and counts them.
type brokenTransport struct {
	*nullTransport
	attempts int
}

func (t *brokenTransport) TryWrite([][]byte) (taken, done int, err error) {
	t.attempts++
	return 0, 0, syscall.ECONNRESET
}

// A queue whose writes fail one by one takes turns with the other streams of the loop, as one whose writes go out.
func TestWriteFlow_ATurnEndsThoughNothingGoesOut(t *testing.T) {
	const most = turnBytes / attemptCost
	transport := &brokenTransport{nullTransport: newNull(t, deferred, taking{})}
	transport.stream.transport = transport
	for range 3 * most {
		transport.beginWrite(nil)
	}
	if transport.runNext(); transport.attempts > most {
		t.Errorf("%d attempts in one turn, want %d at most", transport.attempts, most)
	}
}
