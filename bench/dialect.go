//go:build linux

package main

import (
	"bytes"
	"fmt"

	"golang.org/x/sys/unix"
)

// A dialect is what a ready-made server wants said around the messages of a hub. Everything in it is of fixed length,
// as the messages are, so that the generator has next to nothing to do about it.
type dialect struct {
	subscribe  string // what a subscriber says first
	introduce  string // what the publisher says first
	welcome    string // with what the answer to either ends
	publishing string // stands before each message that is published
	arriving   string // stands before each message that arrives
	after      string // stands behind both
}

// greet says the first words on a new connection and waits until they are understood.
func (d *dialect) greet(fd int, words string) error {
	if n, err := rawWrite(fd, []byte(words)); err != nil || n < len(words) {
		return fmt.Errorf("generator: greeting: %d of %d bytes sent: %w", n, len(words), err)
	}
	var answer []byte
	part := make([]byte, 4096)
	for !bytes.HasSuffix(answer, []byte(d.welcome)) {
		n, err := unix.Read(fd, part)
		switch {
		case err == unix.EINTR:
			continue
		case err != nil:
			return err
		case n == 0:
			return fmt.Errorf("generator: the server ended the connection after %q", answer)
		}
		answer = append(answer, part[:n]...)
	}
	return nil
}
