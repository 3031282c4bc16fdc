package netstream

import (
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// ended is an engine whose connection has ended, by a reset or in order.
type ended struct {
	engine.Connection
	reset  bool
	traits engine.Traits
}

func (e *ended) Traits() *engine.Traits { return &e.traits }
func (e *ended) SawReset() bool         { return e.reset }

// An end of the stream is held back while a write may be about to tell of a reset, and not for anybody who has nothing to
// tell: then a read would not get the end for as long as that one waits.
func TestMustHoldEOF(t *testing.T) {
	onlyWaits := engine.Traits{OnlyWaits: [2]bool{engine.Write: true}}
	for name, c := range map[string]struct {
		traits engine.Traits
		set    func(s *NetworkStream)
		want   bool
	}{
		"nobody writes":                      {onlyWaits, func(*NetworkStream) {}, false},
		"an owner makes an attempt":          {onlyWaits, func(s *NetworkStream) { s.write.phase = owned }, true},
		"an engine waits for room":           {onlyWaits, func(s *NetworkStream) { s.write.phase = waiting }, false},
		"an engine writes":                   {engine.Traits{}, func(s *NetworkStream) { s.write.phase = waiting }, true},
		"a blocking write is in its call":    {onlyWaits, func(s *NetworkStream) { s.write.phase, s.write.calling = waiting, true }, true},
		"the stream moves":                   {onlyWaits, func(s *NetworkStream) { s.write.phase = parked }, false},
		"the end follows what an owner does": {onlyWaits, func(s *NetworkStream) { s.write.phase, s.write.fin = owned, finAsked }, true},
		"the end is being sent":              {engine.Traits{}, func(s *NetworkStream) { s.write.phase, s.write.fin = waiting, finSending }, false},
		"the reset is known":                 {onlyWaits, func(s *NetworkStream) { s.write.phase, s.dead = owned, codeError(CodeConnectionReset, nil) }, false},
	} {
		for _, reset := range []bool{true, false} {
			s := bareStream(&Config{}, nil, nil)
			s.transport = &ended{reset: reset, traits: c.traits}
			c.set(s)
			if held := s.mustHoldEOF(); held != (c.want && reset) {
				t.Errorf("%s, after a reset %t: held back: %t", name, reset, held)
			}
		}
	}
}
