//go:build linux

package main

import (
	"io"
	"net"
	"sync"
)

func init() {
	register(&contender{
		name: natsStyle, rank: 12,
		about:  "a hub that copies messages into a pooled buffer for each subscriber, whose goroutine is woken once for each read of the publisher, as nats-server does",
		serves: inShapes(shapeHub),
		serve: func(j *job) error {
			conns, err := j.acceptAll()
			if err != nil {
				return err
			}
			subscribers := make([]*subscriber, len(conns))
			for i, c := range conns {
				s := &subscriber{conn: c}
				s.work.L = &s.mu
				go func() { j.fail(s.run()) }()
				subscribers[i] = s
			}
			return j.publish(func() (io.Reader, error) { return j.accept() }, func(messages [][]byte) {
				for _, m := range messages {
					for _, s := range subscribers {
						s.add(m, j.Window*j.Size)
					}
				}
				for _, s := range subscribers {
					s.work.Signal()
				}
			})
		},
	})
}

// subscriber is one connection of such a hub.
type subscriber struct {
	conn net.Conn

	mu      sync.Mutex // guards what follows
	work    sync.Cond  // pending is not empty
	pending *[]byte    // of the pool; nil: nothing
}

var pooledBuffers = sync.Pool{New: func() any { return new([]byte) }}

// add copies the message, unless that would be more than the limit.
func (s *subscriber) add(message []byte, limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending == nil {
		s.pending = pooledBuffers.Get().(*[]byte)
	}
	if len(*s.pending)+len(message) <= limit {
		*s.pending = append(*s.pending, message...)
	}
}

func (s *subscriber) run() error {
	for {
		s.mu.Lock()
		for s.pending == nil {
			s.work.Wait()
		}
		out := s.pending
		s.pending = nil
		s.mu.Unlock()
		if _, err := s.conn.Write(*out); err != nil {
			return err
		}
		*out = (*out)[:0]
		pooledBuffers.Put(out)
	}
}
