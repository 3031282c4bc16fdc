//go:build linux

package main

import (
	"io"

	"github.com/seed-9ac8cf60/netstream"
)

// hubNetstream begins a write for each message and subscriber. One whose queue is full loses the message.
func hubNetstream(j *job, streams []*netstream.NetworkStream, publisher func() (io.Reader, error)) error {
	callbacks := make([]netstream.AsyncCallback, len(streams))
	for i, s := range streams {
		callbacks[i] = func(ar netstream.AsyncResult) { j.fail(s.EndWrite(ar)) }
	}
	return j.publish(publisher, func(messages [][]byte) {
		for _, m := range messages {
			for i, s := range streams {
				if _, err := s.BeginWrite(m, 0, len(m), callbacks[i], nil); err != nil && err != netstream.ErrQueueFull {
					j.fail(err)
				}
			}
		}
	})
}
