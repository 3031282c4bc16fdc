//go:build linux

package main

import (
	"bufio"
	"io"
	"net"
)

func init() {
	register(&contender{
		name: idiomatic, rank: 2,
		about:  "the hub as it is usually written: net, and for each subscriber a goroutine, a channel of 1,024 messages and a bufio.Writer that is flushed when the channel is empty",
		serves: inShapes(shapeHub),
		serve: func(j *job) error {
			conns, err := j.acceptAll()
			if err != nil {
				return err
			}
			return hubIdiomatic(j, conns)
		},
	})
}

// hubIdiomatic sends to channels. A subscriber that falls behind loses messages.
func hubIdiomatic(j *job, conns []net.Conn) error {
	subscribers := make([]chan []byte, len(conns))
	for i, c := range conns {
		subscribers[i] = make(chan []byte, j.Window)
		go func() { j.fail(writeAll(c, subscribers[i])) }()
	}
	return j.publish(func() (io.Reader, error) { return j.accept() }, func(lines [][]byte) {
		for _, line := range lines {
			for _, s := range subscribers {
				select {
				case s <- line:
				default:
				}
			}
		}
	})
}

// writeAll writes what comes and flushes when nothing more is there.
func writeAll(c net.Conn, lines <-chan []byte) error {
	w := bufio.NewWriter(c)
	for line := range lines {
		if _, err := w.Write(line); err != nil {
			return err
		}
		if len(lines) > 0 {
			continue
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}
