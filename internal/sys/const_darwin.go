package sys

import (
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	fionread     = 0x4004667f // _IOR('f', 127, int), sys/filio.h
	keepIdle     = unix.TCP_KEEPALIVE
	keepInterval = unix.TCP_KEEPINTVL
	keepCount    = unix.TCP_KEEPCNT
	soLinger     = unix.SO_LINGER_SEC // SO_LINGER counts clock ticks here
)

// Unacked returns how many bytes wait in the send queue (SO_NWRITE).
func Unacked(fd int) (int, syscall.Errno) {
	return getInt(fd, unix.SOL_SOCKET, unix.SO_NWRITE)
}
