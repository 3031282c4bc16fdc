package netstream

import "github.com/seed-9ac8cf60/netstream/internal/engine"

// Who sends a write that finds nothing ahead? An answer is sent by the caller of Begin: somebody has asked and waits. Of
// what is pushed unasked the caller sends a little, so that a lone message is not late, and the loop sends the rest. A
// publisher that visits 2,000 idle streams would make a system call for each message, and never be done with one round
// before the next is due. The loop comes later to each stream, and what has gathered by then goes out in one send.
//
// A write answers when something was read from the stream since the last write was begun on it.

// pushesAtOnce is how many such writes the callers send in each millisecond, for each loop. A send takes some 5 us.
const pushesAtOnce = 4

// unmoved is the credit of the streams that could move to a loop and have not; see engine_move.go.
var unmoved engine.Credit

// callerSendsLocked decides who sends a write that has nothing ahead of it.
func (s *NetworkStream) callerSendsLocked(answers bool) bool {
	if s.config.Send == SendDeferred {
		return false
	}
	if !answers && s.residence.portableYet() { // it is not on a loop, but one could send
		return engine.TakePush(&unmoved, pushesAtOnce)
	}
	return answers || s.transport.MayPush(pushesAtOnce)
}
