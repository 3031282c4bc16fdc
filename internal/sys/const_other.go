//go:build aix || solaris

package sys

import "golang.org/x/sys/unix"

const (
	fionread     = 0x4004667f // _IOR('f', 127, int), sys/ioctl.h
	keepIdle     = unix.TCP_KEEPIDLE
	keepInterval = unix.TCP_KEEPINTVL
	keepCount    = unix.TCP_KEEPCNT
	soLinger     = unix.SO_LINGER
)
