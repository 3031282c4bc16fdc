package netstream

import "time"

// When many writes are begun one after the other, those that find nothing ahead would each make a system call of their
// own, and so keep the others from gathering. So while a burst is on, a Begin with nothing ahead is queued too: what
// follows will be sent with it. A burst is on for a moment after the stream's loop has found more than one write
// queued, and is over when the loop finds one alone.

// burstLasts is in milliseconds. It is long beside the 1 ms or so after which a publisher to 1,000 streams comes back to
// each; a write after a pause that anybody would notice goes out at once.
const burstLasts = 10

// millis is the time since the process began, in milliseconds and never 0. It starts again after 49 days.
func millis() uint32 { return max(uint32(sinceStart()/time.Millisecond), 1) }

// noteBurstLocked is called when the loop begins to send.
func (w *writeQueue) noteBurstLocked() {
	w.burst = 0
	if w.queued.head != w.queued.tail {
		w.burst = millis()
	}
}

func (w *writeQueue) inBurstLocked() bool {
	if w.burst != 0 && millis()-w.burst > burstLasts {
		w.burst = 0
	}
	return w.burst != 0
}
