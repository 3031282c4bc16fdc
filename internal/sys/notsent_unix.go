//go:build unix

package sys

import "syscall"

// SetNotSentLowWater bounds the bytes that the kernel keeps unsent for a TCP socket and still calls it writable
// (TCP_NOTSENT_LOWAT); 0 stands for the system's own bound. On Linux a send takes no further segment from there on, and
// readiness comes back when half of it is sent (tcp_stream_memory_free in include/net/tcp.h). ENOTSUP where there is no
// such option.
func SetNotSentLowWater(fd, bytes int) syscall.Errno {
	if notSentLowWater == 0 {
		return syscall.ENOTSUP
	}
	return setInt(fd, syscall.IPPROTO_TCP, notSentLowWater, bytes)
}
