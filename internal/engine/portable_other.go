//go:build !unix && !windows

package engine

import (
	"net"
	"syscall"
)

// newDescriptor has none: without attempts that do not wait, every asynchronous operation is a blocking call on a goroutine.
func newDescriptor(net.Conn, syscall.RawConn) direct { return nil }
