//go:build linux

package main

import (
	"net"
	"sync"
)

func init() {
	register(&contender{
		name: copyFlusher, rank: 11,
		about: "a mutex, a buffer that messages are copied into and a goroutine for each stream that writes what has gathered: no completions, a copy",
		serves: func(w workload) bool {
			return (w.Shape == shapePipeline && w.Size <= 1024) || w.Shape == shapeFeed || (w.Shape == shapeFanout && !w.Lockstep)
		},
		serve: func(j *job) error {
			conns, err := j.acceptAll()
			if err != nil {
				return err
			}
			senders := make([]sender, len(conns))
			for i, c := range conns {
				f := newFlushSender(c, j.Window*j.Size)
				go func() { j.fail(f.run()) }()
				senders[i] = f
			}
			j.ready()
			return j.push(senders)
		},
	})
}

type flushSender struct {
	conn  net.Conn
	limit int // bytes

	mu      sync.Mutex // guards what follows
	work    sync.Cond  // pending is not empty
	room    sync.Cond  // pending is below the limit
	pending []byte
	failed  error
}

func newFlushSender(c net.Conn, limit int) *flushSender {
	f := &flushSender{conn: c, limit: limit}
	f.work.L, f.room.L = &f.mu, &f.mu
	return f
}

func (f *flushSender) Send(message []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.pending) >= f.limit && f.failed == nil {
		f.room.Wait()
	}
	if len(f.pending) == 0 {
		f.work.Signal()
	}
	f.pending = append(f.pending, message...)
	return f.failed
}

func (f *flushSender) run() error {
	var out []byte
	for {
		f.mu.Lock()
		for len(f.pending) == 0 {
			f.work.Wait()
		}
		f.pending, out = out[:0], f.pending
		f.mu.Unlock()
		f.room.Broadcast()
		if _, err := f.conn.Write(out); err != nil {
			f.mu.Lock()
			f.failed = err
			f.mu.Unlock()
			f.room.Broadcast()
			return err
		}
	}
}
