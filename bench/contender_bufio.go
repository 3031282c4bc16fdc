//go:build linux

package main

import (
	"bufio"
	"net"
	"sync"
)

func init() {
	register(&contender{
		name: "bufio+Flush", rank: 10,
		about: "bufio.Writer (64 KiB, one stream; 8 KiB, many), flushed after each window of messages: copies, reports nothing, and the program must know where its batches end",
		serves: func(w workload) bool {
			return (w.Shape == shapePipeline && w.Size <= 1024) || (w.Shape == shapeFanout && !w.Lockstep)
		},
		serve: func(j *job) error {
			conns, err := j.acceptAll()
			if err != nil {
				return err
			}
			size := 64 << 10
			if len(conns) > 1 {
				size = 8 << 10
			}
			senders := make([]sender, len(conns))
			for i, c := range conns {
				senders[i] = newBufioSender(c, size)
			}
			j.ready()
			return j.push(senders)
		},
	})
}

type bufioSender struct {
	mu sync.Mutex // guards w
	w  *bufio.Writer
}

func newBufioSender(c net.Conn, size int) *bufioSender {
	return &bufioSender{w: bufio.NewWriterSize(c, size)}
}

func (s *bufioSender) Send(message []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.w.Write(message)
	return err
}

func (s *bufioSender) Flush() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Flush()
}
