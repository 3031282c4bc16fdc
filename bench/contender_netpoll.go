//go:build linux

package main

import (
	"context"
	"sync"

	"github.com/cloudwego/netpoll"
)

func init() {
	register(&contender{
		name: "cloudwego/netpoll", rank: 20,
		about:  "cloudwego/netpoll, its event loop and handler pool; writes by Writer().WriteBinary and Flush",
		serves: plain(func(w workload) bool { return !w.Blocking && w.Shape != shapeHub }),
		serve:  serveNetpoll,
	})
}

func serveNetpoll(j *job) error {
	accepted := make(chan netpoll.Connection, j.Conns)
	onRequest := echoNetpoll
	if !j.echoes() {
		onRequest = func(context.Context, netpoll.Connection) error { return nil }
	}
	events, err := netpoll.NewEventLoop(onRequest, netpoll.WithOnPrepare(func(c netpoll.Connection) context.Context {
		if !j.echoes() {
			accepted <- c
		}
		return context.Background()
	}))
	if err != nil {
		return err
	}
	if j.echoes() {
		j.ready()
		return events.Serve(j.ln)
	}
	go func() { j.fail(events.Serve(j.ln)) }()
	senders := make([]sender, j.Conns)
	for i := range senders {
		c := <-accepted
		if j.Shape == shapeFeed {
			if err := setSendBuffer(c.(netpoll.Conn).Fd(), slowSendBuffer); err != nil {
				return err
			}
		}
		senders[i] = &netpollSender{conn: c}
	}
	j.ready()
	return j.push(senders)
}

func echoNetpoll(_ context.Context, c netpoll.Connection) error {
	r, w := c.Reader(), c.Writer()
	in, err := r.Next(r.Len())
	if err != nil {
		return err
	}
	if _, err := w.WriteBinary(in); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return r.Release()
}

type netpollSender struct {
	mu   sync.Mutex // a Writer is for one goroutine at a time
	conn netpoll.Connection
}

func (s *netpollSender) Send(message []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.conn.Writer()
	if _, err := w.WriteBinary(message); err != nil {
		return err
	}
	return w.Flush()
}
