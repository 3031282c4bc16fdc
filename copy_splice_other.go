//go:build !linux

package netstream

import "io"

// Only Linux moves bytes from socket to socket.

func (s *NetworkStream) relayTo(io.Writer) shortcut   { return nil }
func (s *NetworkStream) relayFrom(io.Reader) shortcut { return nil }
