package netstream

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

// setDescriptorOption sets an option on a descriptor of our own.
func setDescriptorOption(fd int, o option, value int) error {
	var errno syscall.Errno
	switch o {
	case optionNoDelay:
		errno = sys.SetNoDelay(fd, value != 0)
	case optionLinger:
		errno = sys.SetLinger(fd, value)
	case optionKeepAlive:
		errno = sys.SetKeepAlive(fd, value != 0, keepAliveIdle, keepAliveInterval, keepAliveCount)
	case optionReadBuffer:
		errno = sys.SetReadBuffer(fd, value)
	case optionWriteBuffer:
		errno = sys.SetWriteBuffer(fd, value)
	}
	switch errno {
	case 0:
		return nil
	case syscall.EOPNOTSUPP, syscall.ENOPROTOOPT: // TCP options of a Unix socket
		return errors.Join(errors.ErrUnsupported, errno)
	}
	return errno
}
