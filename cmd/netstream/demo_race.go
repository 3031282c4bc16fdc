package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

const (
	messageSize = 64
	inFlight    = 1024
	warmUp      = 10_000 // messages each way, at most a tenth of what is measured
)

// contender is one way to write. send writes count messages and returns when the system has them all.
type contender struct {
	name string
	conn net.Conn
	send func(ctx context.Context, count int) error
}

// runRace writes the same messages with net.Conn.Write and with BeginWrite, each to the same receiver.
func runRace(ctx context.Context, out *output, messages int) error {
	out.heading("3. Messages of %d bytes, %s each way, to the same receiver", messageSize, commas(int64(messages)))
	plain, err := race(ctx, out, messages, nil, dialPlain)
	if err != nil {
		return err
	}
	pipelined, err := race(ctx, out, messages, nil, func(ctx context.Context, address string) (*contender, error) {
		return dialPipelined(ctx, address, nil)
	})
	if err != nil {
		return err
	}
	out.say("ratio", "BeginWrite, %s in flight with a callback each, reached %.1f times the rate of net.Conn.Write",
		commas(inFlight), pipelined/plain)
	return nil
}

// race measures one contender: messages per second, from the first write until the receiver has the last byte. The
// receiver is net's connection, or crypto/tls over it with a config.
func race(ctx context.Context, out *output, messages int, config *tls.Config, dial func(context.Context, string) (*contender, error)) (rate float64, err error) {
	c, peer, err := start(ctx, config, dial)
	if err != nil {
		return 0, err
	}
	defer c.conn.Close()
	defer peer.Close()
	defer closeWhenDone(ctx, c.conn, peer)()

	if _, err := transfer(ctx, c, peer, min(warmUp, messages/10)); err != nil {
		return 0, err
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	took, err := transfer(ctx, c, peer, messages)
	if err != nil {
		return 0, err
	}
	runtime.ReadMemStats(&after)

	rate = float64(messages) / max(took.Seconds(), 1e-6)
	out.say("", "%-15s %10s messages/s, %v, %.2f allocations per message",
		c.name, commas(int64(rate)), took.Round(time.Millisecond/10), float64(after.Mallocs-before.Mallocs)/float64(messages))
	return rate, nil
}

// start connects a contender and its receiver.
func start(ctx context.Context, config *tls.Config, dial func(context.Context, string) (*contender, error)) (c *contender, peer net.Conn, err error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	return meetThrough(ctx, ln, config, dial)
}

// meetThrough is start with the listener that the receiver comes from.
func meetThrough(ctx context.Context, ln net.Listener, config *tls.Config, dial func(context.Context, string) (*contender, error)) (c *contender, peer net.Conn, err error) {
	type accepted struct {
		conn net.Conn
		err  error
	}
	met := make(chan accepted, 1)
	go func() {
		conn, err := ln.Accept()
		if err == nil && config != nil {
			server := tls.Server(conn, config)
			conn, err = server, server.HandshakeContext(ctx)
		}
		met <- accepted{conn, err}
	}()
	c, err = dial(ctx, ln.Addr().String())
	if err != nil {
		ln.Close() // nobody may have dialled, and Accept would wait for ever
	}
	a := <-met
	if err == nil {
		err = a.err
	}
	if err == nil {
		return c, a.conn, nil
	}
	if a.conn != nil {
		a.conn.Close()
	}
	if c != nil {
		c.conn.Close()
	}
	return nil, nil, err
}

// transfer sends count messages and waits until peer has received them.
func transfer(ctx context.Context, c *contender, peer net.Conn, count int) (time.Duration, error) {
	received := make(chan error, 1)
	start := time.Now()
	go func() { received <- receive(peer, int64(count)*messageSize) }()
	if err := c.send(ctx, count); err != nil {
		return 0, err
	}
	err, stopped := wait(ctx, received)
	if stopped != nil {
		return 0, stopped
	}
	return time.Since(start), err
}

// receive is the receiver of both contenders: it takes size bytes off the connection and looks at none of them.
func receive(conn net.Conn, size int64) error {
	buffer := make([]byte, readSize)
	for size > 0 {
		n, err := conn.Read(buffer)
		if err != nil {
			return fmt.Errorf("receive: %w", err)
		}
		size -= int64(n)
	}
	return nil
}

// dialPlain is the standard library: one system call per message.
func dialPlain(ctx context.Context, address string) (*contender, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return writeEach("net.Conn.Write", conn), nil
}

// writeEach is a Write for each message.
func writeEach(name string, conn net.Conn) *contender {
	var message [messageSize]byte
	return &contender{name: name, conn: conn, send: func(_ context.Context, count int) error {
		for range count { // ctx closes the connection, and that ends the Write
			if _, err := conn.Write(message[:]); err != nil {
				return err
			}
		}
		return nil
	}}
}

// dialPipelined is BeginWrite with inFlight messages under way.
func dialPipelined(ctx context.Context, address string, cfg *netstream.Config) (*contender, error) {
	stream, err := netstream.Dial(ctx, "tcp", address, cfg)
	if err != nil {
		return nil, err
	}
	p := &pipeline{stream: stream, wake: make(chan struct{}, 1), failed: make(chan error, 1)}
	p.callback = p.written
	return &contender{name: "BeginWrite", conn: stream, send: p.send}, nil
}

// pipeline keeps up to inFlight messages under way and allocates nothing for any of them: the callback is bound once,
// the state is a pointer, and the messages are a ring whose slots come free in the order in which they were begun.
type pipeline struct {
	stream   *netstream.NetworkStream
	callback netstream.AsyncCallback // constant: p.written
	ring     [inFlight]message
	begun    int64         // of the goroutine that calls send
	ended    atomic.Int64  // counted by the callback
	wakeAt   atomic.Int64  // the value of ended that send is waiting for
	wake     chan struct{} // holds one token
	failed   chan error    // the first failure, with room for it
}

// message is lent to the stream from BeginWrite until its callback.
type message struct {
	number  int64
	payload [messageSize]byte
}

func (p *pipeline) send(ctx context.Context, count int) error {
	for range count {
		if p.begun-p.ended.Load() == inFlight {
			if err := p.waitFor(ctx, p.begun-inFlight+1); err != nil { // until the oldest slot is free
				return err
			}
		}
		m := &p.ring[p.begun%inFlight]
		m.number = p.begun
		if _, err := p.stream.BeginWrite(m.payload[:], 0, messageSize, p.callback, m); err != nil {
			return err
		}
		p.begun++
	}
	return p.waitFor(ctx, p.begun)
}

// written is the callback of every message. Callbacks of one direction run one at a time and in order.
func (p *pipeline) written(ar netstream.AsyncResult) {
	m := ar.AsyncState().(*message)
	if err := p.stream.EndWrite(ar); err != nil {
		p.fail(err)
	}
	if m.number != p.ended.Load() {
		p.fail(fmt.Errorf("message %d completed in place of message %d", m.number, p.ended.Load()))
	}
	if p.ended.Add(1) == p.wakeAt.Load() {
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *pipeline) fail(err error) {
	select {
	case p.failed <- err:
	default: // not the first
	}
}

// waitFor returns when ended has reached target. The callback compares after it has counted, and waitFor looks again
// after it has announced target, so one of the two sees the other.
func (p *pipeline) waitFor(ctx context.Context, target int64) error {
	p.wakeAt.Store(target)
	for p.ended.Load() < target {
		select {
		case <-p.wake:
		case err := <-p.failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	select {
	case err := <-p.failed:
		return err
	default:
		return nil
	}
}
