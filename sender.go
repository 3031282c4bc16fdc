package netstream

import (
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
)

// Who sends a write that finds nothing ahead? An answer is sent by the caller of Begin: somebody has asked and waits. Of
// what is pushed unasked the caller sends a little, so that a lone message is not late, and the loop sends the rest. A
// publisher that visits 2,000 idle streams would make a system call for each message, and never be done with one round
// before the next is due. The loop comes later to each stream, and what has gathered by then goes out in one send.
//
// A write answers when something was read from the stream since the last write was begun on it.

// pushesAtOnce is how many such writes the callers send in each millisecond, for each loop. A send takes some 5 us.
const pushesAtOnce = 4

// unmoved is the credit of the streams that could move to a loop and have not; see move.go.
var unmoved loop.Credit

// noteBegunLocked reports whether the write that is begun now answers something.
func (s *NetworkStream) noteBegunLocked() (answers bool) {
	w := &s.write
	answers = w.answered != s.counters.bytesRead
	w.answered = s.counters.bytesRead
	return answers
}

// callerSendsLocked decides who sends a write that has nothing ahead of it.
func (s *NetworkStream) callerSendsLocked(answers bool) bool {
	if s.config.Send == SendDeferred {
		return false
	}
	return answers || s.transport.mayPush()
}

// takePush reports whether one more push may be sent in this millisecond, and counts it.
func takePush(c *loop.Credit) bool {
	return c.Take(uint64(sinceStart()/time.Millisecond), pushesAtOnce)
}
