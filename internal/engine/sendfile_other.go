//go:build !linux && !darwin && !dragonfly && !freebsd

package engine

import "syscall"

// HaveSendfile is false on Windows too: an interrupted TransmitFile does not tell how much it has sent, and then
// nobody knows where the stream stands.
const HaveSendfile = false

// Sendfile sends nothing.
func Sendfile(_, _, _ int) (int, syscall.Errno) { return 0, 0 }
