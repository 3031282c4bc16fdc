//go:build unix

package sys

import (
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func getInt(fd, level, opt int) (int, syscall.Errno) {
	v, err := unix.GetsockoptInt(fd, level, opt)
	if errno := errnoOf(err); errno != 0 {
		return 0, errno
	}
	return v, 0
}

func setInt(fd, level, opt, value int) syscall.Errno {
	return errnoOf(unix.SetsockoptInt(fd, level, opt, value))
}

func setBool(fd, level, opt int, on bool) syscall.Errno {
	if on {
		return setInt(fd, level, opt, 1)
	}
	return setInt(fd, level, opt, 0)
}

// SocketError takes the pending error of the socket (SO_ERROR): pending is
// that error, 0 for none; errno tells whether the call itself worked. The
// kernel clears the error by handing it out.
func SocketError(fd int) (pending, errno syscall.Errno) {
	v, errno := getInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	return syscall.Errno(v), errno
}

// SetNoDelay turns Nagle's algorithm off (on = true) or on.
func SetNoDelay(fd int, on bool) syscall.Errno {
	return setBool(fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, on)
}

// SetKeepAlive turns TCP keep-alive probes on or off. When on, idle is the
// time before the first probe, interval the time between probes and count how
// many may go unanswered; a zero or negative value leaves the system's own.
// Times are rounded up to seconds, the kernel's unit.
func SetKeepAlive(fd int, on bool, idle, interval time.Duration, count int) syscall.Errno {
	if errno := setBool(fd, unix.SOL_SOCKET, unix.SO_KEEPALIVE, on); errno != 0 || !on {
		return errno
	}
	for _, o := range [...]struct{ opt, value int }{
		{keepIdle, seconds(idle)},
		{keepInterval, seconds(interval)},
		{keepCount, count},
	} {
		if o.value <= 0 {
			continue
		}
		if o.opt == 0 {
			return unix.ENOTSUP
		}
		if errno := setInt(fd, unix.IPPROTO_TCP, o.opt, o.value); errno != 0 {
			return errno
		}
	}
	return 0
}

func seconds(d time.Duration) int {
	if d <= 0 {
		return 0
	}
	return int((d-1)/time.Second) + 1
}

// SetReadBuffer sets the size of the kernel's receive buffer. (Linux doubles
// it for its own bookkeeping, socket(7).)
func SetReadBuffer(fd, bytes int) syscall.Errno {
	return setInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, bytes)
}

// SetWriteBuffer sets the size of the kernel's send buffer.
func SetWriteBuffer(fd, bytes int) syscall.Errno {
	return setInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, bytes)
}

// SetLinger sets how many seconds close waits in the kernel for unsent bytes;
// sec < 0 turns lingering off, which is how sockets are born.
func SetLinger(fd, sec int) syscall.Errno {
	l := unix.Linger{}
	if sec >= 0 {
		l.Onoff, l.Linger = 1, int32(sec)
	}
	return errnoOf(unix.SetsockoptLinger(fd, unix.SOL_SOCKET, soLinger, &l))
}

// SetLingerReset makes the coming close of a TCP socket a reset: SO_LINGER
// with a time of zero (tcp_close in net/ipv4/tcp.c sends a RST and drops what
// is unsent). On other sockets it changes nothing that can be seen.
func SetLingerReset(fd int) syscall.Errno { return SetLinger(fd, 0) }
