//go:build linux || darwin || dragonfly || freebsd

package engine

import (
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// HaveSendfile reports whether this system sends files without bringing them into the program.
const HaveSendfile = true

// Sendfile makes one attempt to send up to n bytes of the file in to the socket out. 0 without an error stands for the
// end of the file, for a file that cannot be sent that way and for one that cannot be read: a zero-length send
// tells whether an error was the connection's.
func Sendfile(out, in, n int) (int, syscall.Errno) {
	_ = sys.SetNonblock(out) // the flag is that of everybody who has the socket, and no flag of the call stands for it
	sent, errno := sys.Sendfile(out, in, n)
	if errno == 0 || errno == syscall.EAGAIN {
		return sent, errno
	}
	switch _, broken := sys.Send(out, nil); broken {
	case 0:
		return 0, 0
	case syscall.EPIPE: // the reset itself is told once
		return 0, errno
	default:
		return 0, broken
	}
}
