package netstream

import (
	"math"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// SetNotSentLowWater sets TCP_NOTSENT_LOWAT: how many bytes the kernel may hold that it has not sent yet, and still take
// more. 0 restores the system's own bound, which usually is none. Anything below 0 or above math.MaxInt32 is an
// [*ArgumentOutOfRangeError] named "bytes". Linux and macOS have the option, for TCP; elsewhere, and for other
// connections, the error wraps errors.ErrUnsupported. In .NET only Socket.SetRawSocketOption reaches it.
//
// Without it a connection is writable until the send buffer is full, and that may grow to 4 MB. With it the connection
// is writable while fewer bytes than these are unsent. What the peer does not read then waits in the stream's queue
// instead of the kernel, where the limits count it, [OverflowDropOldest] can drop it, Cancel can take it back and
// OldestPending tells its age. A completion still means that the kernel has every byte, so it comes later. Bytes that
// are sent and not acknowledged do not count, so a fast peer loses no throughput while the value covers what the network
// takes until the stream's loop comes back: 16 to 64 KiB are enough. On Linux a stream that waits goes on when half of it is
// sent.
func (k *Socket) SetNotSentLowWater(bytes int) error {
	if bytes < 0 || bytes > math.MaxInt32 {
		return &ArgumentOutOfRangeError{ParamName: "bytes", ActualValue: bytes}
	}
	return k.set(engine.NotSentLowWater, bytes)
}
