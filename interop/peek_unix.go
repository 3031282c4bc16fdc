//go:build unix

package interop

import "syscall"

// peek tells how many bytes a socket holds, up to 64 KiB, and leaves them there.
func peek(fd uintptr) (int, error) {
	var buffer [64 << 10]byte
	n, _, err := syscall.Recvfrom(int(fd), buffer[:], syscall.MSG_PEEK)
	if err == syscall.EAGAIN {
		return 0, nil
	}
	return max(n, 0), err
}
