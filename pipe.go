package netstream

import "github.com/seed-9ac8cf60/netstream/internal/engine"

// Pipe returns the two ends of a connection in memory, for tests. It is buffered, 64 KiB in each direction
// (Socket().SetWriteBuffer changes it), so a small write completes without a reader, as on a socket. Both ends
// are portable streams and work in a testing/synctest bubble: everything that waits is durably blocked. A
// write that was cut shows at the other end as ECONNRESET. A cfg that cannot hold for a pipe (EngineEpoll,
// LeaveOpen, TLS, a value out of range, a Group that is full or was shut down) is a programming error and panics.
func Pipe(cfg *Config) (*NetworkStream, *NetworkStream) {
	a, b := engine.Pipe()
	c, err := listenConfig(cfg)
	if err == nil {
		err = c.refuseTLS()
	}
	if err != nil {
		panic(err)
	}
	sa, err := newStream(a, c, false)
	if err != nil {
		panic(err)
	}
	sb, err := newStream(b, c, false)
	if err != nil {
		sa.Close()
		panic(err)
	}
	return sa, sb
}
