//go:build linux

package main

import "io"

// publishBuffer is how much of what is published one read takes.
const publishBuffer = 64 << 10

// publish accepts the publisher, which connects last, and gives what it sends to send, all the messages of one read at
// a time. They are in memory of their own and never change again.
func (j *job) publish(accept func() (io.Reader, error), send func(messages [][]byte)) error {
	publisher, err := accept()
	if err != nil {
		return err
	}
	j.ready()
	buffer, had := make([]byte, publishBuffer), 0
	var messages [][]byte
	for {
		n, err := publisher.Read(buffer[had:])
		if err != nil {
			return err
		}
		whole := (had + n) / j.Size * j.Size
		published := append([]byte(nil), buffer[:whole]...)
		had = copy(buffer, buffer[whole:had+n])
		messages = messages[:0]
		for ; len(published) > 0; published = published[j.Size:] {
			messages = append(messages, published[:j.Size:j.Size])
		}
		send(messages)
	}
}
