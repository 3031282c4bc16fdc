package sys

import "golang.org/x/sys/unix"

const (
	fionread = 0x4004667f // _IOR('f', 127, int), sys/filio.h
	// OpenBSD sets the times of keep-alive for the whole system only
	// (sysctl net.inet.tcp.keepidle): 0 makes SetKeepAlive say ENOTSUP.
	keepIdle     = 0
	keepInterval = 0
	keepCount    = 0
	soLinger     = unix.SO_LINGER
)
