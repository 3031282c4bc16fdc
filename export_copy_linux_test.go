package netstream

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// SliceOverReset sends a slice of which 100 bytes go out before the connection ends, as end makes it. Like splice(2) it takes
// the error off the socket then, and returns the count alone.
func (s *NetworkStream) SliceOverReset(end func()) (int64, error) {
	ended := false
	return s.sendSlice(1000, "splice", func(fd int, n int64) (int, syscall.Errno) {
		if ended {
			return sendBytes(fd, int(n))
		}
		ended = true
		m, errno := sendBytes(fd, 100)
		if errno != 0 {
			return m, errno
		}
		end()
		for limit := time.Now().Add(time.Minute); time.Now().Before(limit); time.Sleep(time.Millisecond) {
			if info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO); err == nil && info.State == unix.BPF_TCP_CLOSE {
				break
			}
		}
		_, _ = syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ERROR)
		return m, 0
	})
}

func sendBytes(fd, size int) (int, syscall.Errno) {
	n, err := unix.SendmsgN(fd, make([]byte, size), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	errno, _ := err.(syscall.Errno)
	return n, errno
}
