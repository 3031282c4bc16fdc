package engine

import (
	"errors"
	"syscall"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// Keep-alive times of net (net.KeepAliveConfig).
const (
	keepAliveIdle     = 15 * time.Second
	keepAliveInterval = 15 * time.Second
	keepAliveCount    = 9
)

// Set implements Endpoint.
func (t *epoll) Set(s Setting, value int) error {
	fd := t.fd()
	var errno syscall.Errno
	switch s {
	case NoDelay:
		errno = sys.SetNoDelay(fd, value != 0)
	case Linger:
		errno = sys.SetLinger(fd, value)
	case KeepAlive:
		errno = sys.SetKeepAlive(fd, value != 0, keepAliveIdle, keepAliveInterval, keepAliveCount)
	case ReadBuffer:
		errno = sys.SetReadBuffer(fd, value)
	case WriteBuffer:
		errno = sys.SetWriteBuffer(fd, value)
	case NotSentLowWater:
		errno = sys.SetNotSentLowWater(fd, value)
	}
	switch errno {
	case 0:
		return nil
	case syscall.EOPNOTSUPP, syscall.ENOPROTOOPT: // TCP options of a Unix socket
		return errors.Join(errors.ErrUnsupported, errno)
	}
	return errno
}
