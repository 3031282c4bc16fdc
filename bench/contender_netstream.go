//go:build linux

package main

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/seed-9ac8cf60/netstream"
)

func init() {
	register(&contender{
		name: ownEpoll, rank: 40,
		about:  "netstream, EngineEpoll: Begin and End with callbacks, run to completion (idle: a zero-byte read)",
		serves: func(workload) bool { return true },
		serve:  serveNetstream(netstream.Config{Engine: netstream.EngineEpoll}),
	})
	register(&contender{
		name: "netstream epoll deferred", rank: 41,
		about:  "the same with SendDeferred: Begin makes no system call",
		serves: inShapes(shapeFanout, shapeHub),
		serve:  serveNetstream(netstream.Config{Engine: netstream.EngineEpoll, Send: netstream.SendDeferred}),
	})
	register(&contender{
		name: ownPortable, rank: 42,
		about:  "netstream, EnginePortable: net's own connections, a goroutine while something waits",
		serves: func(w workload) bool { return w.Shape != shapeHub }, // a goroutine for each callback: nobody's choice there
		serve:  serveNetstream(netstream.Config{Engine: netstream.EnginePortable}),
	})
	register(&contender{
		name: ownAuto, rank: 43,
		about: "netstream, EngineAuto, accepted by Accept: starts at net's speed, moves to the loop when something asynchronous has to wait",
		serves: func(w workload) bool {
			return w.Blocking || w.Shape == shapePipeline || w.Shape == shapeHub || w.ID == "W1" || w.ID == "W7b" || w.ID == "T7"
		},
		serve: serveNetstream(netstream.Config{}),
	})
}

func serveNetstream(config netstream.Config) func(*job) error {
	return func(j *job) error {
		limit(&config, j)
		config.TLS = j.tls
		ln, err := netstream.NewListener(j.ln, &config)
		if err != nil {
			return err
		}
		accept := beginAccepts
		if config.Engine == netstream.EngineAuto || j.Blocking {
			accept = acceptStreams
		}
		if j.echoes() {
			serve := echoNetstream(j)
			j.ready()
			return accept(ln, -1, serve)
		}
		var streams []*netstream.NetworkStream
		err = accept(ln, j.Conns, func(s *netstream.NetworkStream) error {
			streams = append(streams, s)
			if size := j.sendBuffer(); size > 0 {
				return s.Socket().SetWriteBuffer(size)
			}
			return nil
		})
		if err != nil {
			return err
		}
		return writeNetstream(j, streams, func() (io.Reader, error) { return ln.AcceptStream() })
	}
}

// limit gives streams the limit of the workload where the server does not count what is in flight itself.
func limit(config *netstream.Config, j *job) {
	if j.Shape == shapeFanout || j.Shape == shapeHub {
		config.MaxPendingWrites = j.Window
	}
}

// echoNetstream returns what sends back what comes on a stream.
func echoNetstream(j *job) func(*netstream.NetworkStream) error {
	idle := newIdler(j)
	return func(s *netstream.NetworkStream) error {
		switch {
		case j.Shape == shapeIdle:
			idle.wait(s)
		case j.Blocking:
			go func() { j.over(echoNet(s, make([]byte, readBuffer))) }()
		default:
			newEcho(j, s, readBuffer).read()
		}
		return nil
	}
}

// writeNetstream runs the workloads in which the server writes. The publisher of a hub is accepted when all is ready.
func writeNetstream(j *job, streams []*netstream.NetworkStream, publisher func() (io.Reader, error)) error {
	if j.Shape == shapeHub {
		return hubNetstream(j, streams, publisher)
	}
	j.ready()
	switch j.Shape {
	case shapePipeline:
		return together(j.Writers, func(int) error { return newPipeliner(j, streams[0]).run() })
	case shapeFeed:
		for _, s := range streams {
			if err := newFeeder(j, s).start(); err != nil {
				return err
			}
		}
		select {}
	}
	return newPublisher(j, streams).run()
}

// acceptStreams accepts n streams (n < 0: without end) by the blocking call.
func acceptStreams(ln *netstream.Listener, n int, got func(*netstream.NetworkStream) error) error {
	for i := 0; i != n; i++ {
		s, err := ln.AcceptStream()
		if err != nil {
			return err
		}
		if err := got(s); err != nil {
			return err
		}
	}
	return nil
}

// beginAccepts does the same asynchronously: with an engine chosen by itself, such streams start on the loop.
func beginAccepts(ln *netstream.Listener, n int, got func(*netstream.NetworkStream) error) error {
	done := make(chan error, 1)
	accepted := 0
	var callback netstream.AsyncCallback
	callback = func(ar netstream.AsyncResult) {
		s, err := ln.EndAccept(ar)
		if err == nil {
			err = got(s)
		}
		if accepted++; err != nil || accepted == n {
			done <- err
			return
		}
		if _, err := ln.BeginAccept(callback, nil); err != nil {
			done <- err
		}
	}
	if _, err := ln.BeginAccept(callback, nil); err != nil {
		return err
	}
	return <-done
}

// echo serves one connection in .NET's usual way: what completed synchronously is handled by the caller of Begin,
// everything else by the callback. The callbacks are bound once, so no message costs an allocation.
type echo struct {
	job       *job
	stream    *netstream.NetworkStream
	buffer    []byte
	onRead    netstream.AsyncCallback
	onWritten netstream.AsyncCallback
}

func newEcho(j *job, s *netstream.NetworkStream, size int) *echo {
	e := &echo{job: j, stream: s, buffer: make([]byte, size)}
	e.onRead = func(ar netstream.AsyncResult) {
		if !ar.CompletedSynchronously() && e.send(ar) {
			e.read()
		}
	}
	e.onWritten = func(ar netstream.AsyncResult) {
		if !ar.CompletedSynchronously() && e.sent(ar) {
			e.read()
		}
	}
	return e
}

// read begins reads until one has to wait.
func (e *echo) read() {
	for {
		ar, err := e.stream.BeginRead(e.buffer, 0, len(e.buffer), e.onRead, nil)
		if err != nil {
			e.end(err)
			return
		}
		if !ar.CompletedSynchronously() || !e.send(ar) {
			return
		}
	}
}

// send begins to send back what was read. True: it is sent, read on.
func (e *echo) send(ar netstream.AsyncResult) bool {
	n, err := e.stream.EndRead(ar)
	if err != nil {
		e.end(err)
		return false
	}
	ar, err = e.stream.BeginWrite(e.buffer, 0, n, e.onWritten, nil)
	if err != nil {
		e.end(err)
		return false
	}
	return ar.CompletedSynchronously() && e.sent(ar)
}

func (e *echo) sent(ar netstream.AsyncResult) bool {
	if err := e.stream.EndWrite(ar); err != nil {
		e.end(err)
		return false
	}
	return true
}

func (e *echo) end(err error) {
	e.stream.Close()
	if err != io.EOF {
		e.job.over(err)
	}
}

// window bounds the writes in flight of one goroutine. The common way through it is one atomic load to take a place
// and one addition to give it back; whoever finds it full waits until half of it is free.
type window struct {
	limit int64
	begun int64 // of the one goroutine that takes
	done  atomic.Int64
	until atomic.Int64  // the value of done that wakes the taker
	wake  chan struct{} // holds one token
}

func newWindow(limit int) *window { return &window{limit: int64(limit), wake: make(chan struct{}, 1)} }

func (w *window) take() {
	if w.begun-w.done.Load() >= w.limit {
		until := w.begun - w.limit/2
		w.until.Store(until)
		for w.done.Load() < until {
			<-w.wake // it may be an old one
		}
	}
	w.begun++
}

func (w *window) give() {
	if w.done.Add(1) == w.until.Load() {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
}

// pipeliner is one goroutine that keeps writes in flight on a stream, with a callback for each.
type pipeliner struct {
	job       *job
	stream    *netstream.NetworkStream
	window    *window
	onWritten netstream.AsyncCallback
}

func newPipeliner(j *job, s *netstream.NetworkStream) *pipeliner {
	p := &pipeliner{job: j, stream: s, window: newWindow(j.Window / j.Writers)}
	p.onWritten = func(ar netstream.AsyncResult) {
		if err := p.stream.EndWrite(ar); err != nil {
			p.job.fail(err)
		}
		p.window.give()
	}
	return p
}

func (p *pipeliner) run() error {
	for {
		p.window.take()
		if _, err := p.stream.BeginWrite(p.job.message, 0, p.job.Size, p.onWritten, nil); err != nil {
			return err
		}
	}
}

// feeder keeps a window of writes in flight on one stream without a goroutine: each completion begins the next.
type feeder struct {
	job       *job
	stream    *netstream.NetworkStream
	onWritten netstream.AsyncCallback
}

func newFeeder(j *job, s *netstream.NetworkStream) *feeder {
	f := &feeder{job: j, stream: s}
	f.onWritten = func(ar netstream.AsyncResult) {
		if err := f.stream.EndWrite(ar); err != nil {
			f.job.fail(err)
			return
		}
		f.job.fail(f.next())
	}
	return f
}

func (f *feeder) start() error {
	for range f.job.Window {
		if err := f.next(); err != nil {
			return err
		}
	}
	return nil
}

func (f *feeder) next() error {
	_, err := f.stream.BeginWrite(f.job.message, 0, f.job.Size, f.onWritten, nil)
	return err
}

// publisher writes one message to all streams.
type publisher struct {
	job       *job
	streams   []*netstream.NetworkStream
	callbacks []netstream.AsyncCallback
	left      atomic.Int64  // of the round: streams that have not completed
	complete  chan struct{} // a round is complete
}

func newPublisher(j *job, streams []*netstream.NetworkStream) *publisher {
	p := &publisher{job: j, streams: streams, complete: make(chan struct{}, 1)}
	for _, s := range streams {
		p.callbacks = append(p.callbacks, func(ar netstream.AsyncResult) {
			if err := s.EndWrite(ar); err != nil {
				p.job.fail(err)
			}
			if p.job.Lockstep && p.left.Add(-1) == 0 {
				p.complete <- struct{}{}
			}
		})
	}
	return p
}

func (p *publisher) run() error {
	for {
		p.left.Store(int64(len(p.streams)))
		for i, s := range p.streams {
			if err := p.publish(s, p.callbacks[i]); err != nil {
				return err
			}
		}
		if p.job.Lockstep {
			<-p.complete
		}
	}
}

// publish begins one write; where the stream's queue is full, it waits for room.
func (p *publisher) publish(s *netstream.NetworkStream, callback netstream.AsyncCallback) error {
	for {
		_, err := s.BeginWrite(p.job.message, 0, p.job.Size, callback, nil)
		if err != netstream.ErrQueueFull {
			return err
		}
		if err := s.WaitRoom(context.Background(), int64(p.job.Size)); err != nil {
			return err
		}
	}
}
