package netstream

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"time"
)

// Access says which directions of a connection a stream may use; it mirrors .NET's FileAccess.
type Access int

const (
	// AccessReadWrite allows both directions; it is the zero value.
	AccessReadWrite Access = iota
	// AccessRead allows reading only: every write is an [*InvalidOperationError].
	AccessRead
	// AccessWrite allows writing only: every read is an [*InvalidOperationError].
	AccessWrite
)

// Overflow says what a Begin of a write, or a Post, does when the queue is full.
type Overflow int

const (
	// OverflowFail makes Begin return [ErrQueueFull]; nothing was lent, nothing changed. The zero value.
	OverflowFail Overflow = iota
	// OverflowDropOldest completes queued writes that have not started with [ErrDropped], oldest first, until the
	// new one fits. Under this policy a write holds room, and is pending, until the kernel has it or it is over in
	// another way; it does not wait for its callback. No more than half of the limits is on its way at once, or one
	// write, so there is something to drop: with limits of at least two messages, Begin takes whatever comes. It
	// returns ErrQueueFull when dropping would not make room, because the write or one on its way is larger than
	// half of the limit, because of blocking writes, which are never dropped, or because other streams hold the
	// room of a [Group]; and as long as the callbacks of 65,536 writes that are over have not started: behind a
	// callback that blocks, they must not pile up without end.
	OverflowDropOldest
	// OverflowClose makes Begin return ErrQueueFull and closes the stream with that cause: the slow
	// consumer is disconnected. At a limit of the [Group] that is the stream whose Begin finds no room, although
	// others hold it.
	OverflowClose
)

// SendMode says who makes the first attempt to send a write.
type SendMode int

const (
	// SendNow lets the goroutine that calls Begin send an answer when nothing is ahead: the lowest latency. A write is
	// an answer when something was read from the stream since the last one was begun. Of what is pushed unasked, the
	// callers send four writes in each millisecond for each loop, and the stream's loop sends the rest, as with
	// SendDeferred. On a stream that no loop can serve, the caller always sends. The zero value.
	SendNow SendMode = iota
	// SendDeferred always hands the write to the stream's loop. Begin then makes no system call, and several messages
	// to a stream are gathered into one send.
	SendDeferred
)

// Engine names a way of moving bytes.
type Engine int

const (
	// EngineAuto picks: on Linux a TCP or Unix connection starts portable and moves to epoll at its first
	// asynchronous operation that has to wait, or that is left to the loop; everything else is portable. The zero value.
	EngineAuto Engine = iota
	// EngineEpoll is Linux's readiness engine for TCP and Unix sockets: no goroutine per connection. Where it
	// cannot be had, construction fails with an error that wraps [errors.ErrUnsupported].
	EngineEpoll
	// EnginePortable works over any net.Conn on any system, with a goroutine only while something waits.
	EnginePortable
)

// String returns the engine's name in lower case.
func (e Engine) String() string {
	switch e {
	case EngineAuto:
		return "auto"
	case EngineEpoll:
		return "epoll"
	case EnginePortable:
		return "portable"
	}
	return fmt.Sprintf("Engine(%d)", int(e))
}

// Limits that hold when a Config leaves them zero.
const (
	// DefaultMaxPendingBytes bounds the begun and unfinished writes of one stream: 64 MiB.
	DefaultMaxPendingBytes = 64 << 20
	// DefaultMaxPendingWrites bounds their number: 65,536.
	DefaultMaxPendingWrites = 1 << 16
)

// Config holds the choices for a stream. A nil *Config and the zero value work. It is copied at
// construction; changing it afterwards has no effect.
type Config struct {
	// Access limits the directions. Zero: both.
	Access Access

	// LeaveOpen makes Close give the connection back to the caller, open (.NET's ownsSocket: false). Only
	// [New] takes it. A connection whose last write was cut is reset all the same. Where a zero-byte read has to take
	// a byte to know that there is one (a connection without a descriptor; on js and wasip1 any), it is refused,
	// because that byte could not be given back. Zero: Close closes it.
	LeaveOpen bool

	// MaxPendingBytes bounds the bytes of begun writes whose callback has not started (or which have not
	// completed, when they have none, and under OverflowDropOldest). Zero: 64 MiB. -1: no limit but the highest there
	// is, 512 GiB.
	MaxPendingBytes int64

	// MaxPendingWrites bounds the number of such writes. Zero: 65,536. -1: no limit but the highest there is,
	// 8,388,608.
	MaxPendingWrites int

	// Overflow is what Begin does at a limit. Zero: it fails with ErrQueueFull.
	Overflow Overflow

	// Send is who sends first. Zero: the caller, when it answers and nothing is ahead; see [SendNow].
	Send SendMode

	// Engine is how bytes move. Zero: chosen per connection. An explicit choice never falls back.
	Engine Engine

	// GatherWrites lets begun writes that wait for a connection of an unknown type share one Write of up to 16 KiB. It is
	// for byte streams: where a Write is a message (WebSocket, DTLS) messages would run together. Without it every write
	// is one Write of its own; only the pieces of one BeginWritev or WriteBuffers of up to 64 KiB are joined to one.
	// TCP, Unix and TLS (*tls.Conn) connections gather always. Zero: they do not share.
	GatherWrites bool

	// TLS has streams make a handshake before they are handed out, with [Dial] and [BeginConnect] as the client, with
	// [Listen] and [NewListener] as the server; see [NetworkStream.AuthenticateAsClient]. A client's ServerName is that of
	// the address unless it is set. The config may not be changed any more. [New] and [Pipe] do not take it. Nil: the
	// streams are not encrypted, until somebody calls AuthenticateAsClient or AuthenticateAsServer.
	TLS *tls.Config

	// HandshakeTimeout bounds each handshake, with the alert that ends it. Zero: 10 s. Negative: no limit.
	HandshakeTimeout time.Duration

	// Group is the group the stream joins. Nil: none.
	Group *Group

	// Logger receives the few things no caller can be told, such as an accept that is retried because the
	// process is out of descriptors. Nil: slog.Default() at the time of logging.
	Logger *slog.Logger
}

// defaultConfig is that of every stream that was made without one.
var defaultConfig = Config{MaxPendingBytes: DefaultMaxPendingBytes, MaxPendingWrites: DefaultMaxPendingWrites}

// withDefaults returns a checked copy with the zeros filled in. It is constant from then on, and shared by all streams
// of a listener.
func (c *Config) withDefaults() (*Config, error) {
	if c == nil {
		return &defaultConfig, nil
	}
	out := *c
	if out.MaxPendingBytes == 0 {
		out.MaxPendingBytes = DefaultMaxPendingBytes
	}
	if out.MaxPendingWrites == 0 {
		out.MaxPendingWrites = DefaultMaxPendingWrites
	}
	if err := out.check(); err != nil {
		return nil, err
	}
	if out.MaxPendingBytes < 0 || out.MaxPendingBytes > mostBytes {
		out.MaxPendingBytes = mostBytes
	}
	if out.MaxPendingWrites < 0 || out.MaxPendingWrites > mostWrites {
		out.MaxPendingWrites = mostWrites
	}
	return &out, nil
}

func (c *Config) check() error {
	switch {
	case c.MaxPendingBytes < -1:
		return &ArgumentOutOfRangeError{ParamName: "MaxPendingBytes", ActualValue: c.MaxPendingBytes}
	case c.MaxPendingWrites < -1:
		return &ArgumentOutOfRangeError{ParamName: "MaxPendingWrites", ActualValue: c.MaxPendingWrites}
	case c.Access < AccessReadWrite || c.Access > AccessWrite:
		return &ArgumentOutOfRangeError{ParamName: "Access", ActualValue: c.Access}
	case c.Overflow < OverflowFail || c.Overflow > OverflowClose:
		return &ArgumentOutOfRangeError{ParamName: "Overflow", ActualValue: c.Overflow}
	case c.Send < SendNow || c.Send > SendDeferred:
		return &ArgumentOutOfRangeError{ParamName: "Send", ActualValue: c.Send}
	case c.Engine < EngineAuto || c.Engine > EnginePortable:
		return &ArgumentOutOfRangeError{ParamName: "Engine", ActualValue: c.Engine}
	}
	return nil
}

// refuseTLS is for what makes no handshake.
func (c *Config) refuseTLS() error {
	if c.TLS != nil {
		return &ArgumentError{ParamName: "TLS", Message: "call AuthenticateAsClient or AuthenticateAsServer"}
	}
	return nil
}

func (c *Config) logger() *slog.Logger {
	if c.Logger != nil {
		return c.Logger
	}
	return slog.Default()
}

// errEngine says that an engine asked for by name cannot be had, and why.
func errEngine(e Engine, why string) error {
	return fmt.Errorf("netstream: engine %s: %s: %w", e, why, errors.ErrUnsupported)
}
