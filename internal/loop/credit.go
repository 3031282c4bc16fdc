package loop

import "sync/atomic"

// A Credit bounds how often something is done in a moment. The zero value is
// ready, and any goroutine may use it.
type Credit struct {
	word atomic.Uint64 // moment<<8 | how often it was taken in that one
}

// Take reports whether it was taken fewer than most times in the moment now,
// and counts that. most is at most 255.
func (c *Credit) Take(now uint64, most uint8) bool {
	for {
		old := c.word.Load()
		current := old
		if old>>8 != now<<8>>8 { // of an earlier moment; the word has room for 56 bits of it
			current = now << 8
		}
		if taken := uint8(current); taken >= most {
			return false
		}
		if c.word.CompareAndSwap(old, current+1) {
			return true
		}
	}
}
