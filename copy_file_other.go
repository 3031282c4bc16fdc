//go:build !linux && !darwin && !dragonfly && !freebsd

package netstream

import "syscall"

// haveSendfile is false on Windows too: an interrupted TransmitFile does not tell how much it has sent, and then
// nobody knows where the stream stands.
const haveSendfile = false

func sendfile(_, _, _ int) (int, syscall.Errno) { return 0, 0 }
