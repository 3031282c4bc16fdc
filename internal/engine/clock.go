package engine

import (
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/loop"
)

var processStart = time.Now()

// SinceStart is the monotonic clock, at half the price of time.Now.
func SinceStart() time.Duration { return time.Since(processStart) }

// inBubble reports whether the caller is in a testing/synctest bubble. Its clock begins in the year 2000, which is far
// from the time since this process has started on either side.
func inBubble() bool {
	const long = 10 * 365 * 24 * time.Hour
	d := SinceStart()
	return d < 0 || d > long
}

// Credit bounds how often something is done in a moment. The zero value is ready, and any goroutine may use it.
type Credit = loop.Credit

// TakePush reports whether fewer than most pushes were sent on this credit in this millisecond, and counts one.
func TakePush(c *Credit, most uint8) bool {
	return c.Take(uint64(SinceStart()/time.Millisecond), most)
}
