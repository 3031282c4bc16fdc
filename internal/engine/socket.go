package engine

import (
	"net"
	"reflect"
	"syscall"
)

// rawConnOf returns the descriptor of exactly a TCP or Unix connection: a type that embeds one may encrypt.
func rawConnOf(conn net.Conn) syscall.RawConn {
	var raw syscall.RawConn
	switch c := conn.(type) {
	case *net.TCPConn:
		raw, _ = c.SyscallConn()
	case *net.UnixConn:
		raw, _ = c.SyscallConn()
	}
	return raw
}

// OnSocket reports whether conn is exactly a TCP or Unix connection of package net.
func OnSocket(conn net.Conn) bool { return rawConnOf(conn) != nil }

// CheckPeer fails when the socket of conn, for which OnSocket is true, has no peer.
func CheckPeer(conn net.Conn) error {
	_, err := control(rawConnOf(conn), peerErrno)
	return err
}

// PendingError takes the error that the socket of conn, for which OnSocket is true, has not told anybody yet; 0 for none.
func PendingError(conn net.Conn) syscall.Errno {
	errno, _ := control(rawConnOf(conn), pendingErrno)
	return syscall.Errno(errno)
}

// control runs f on the descriptor and returns its errno as an error.
func control(raw syscall.RawConn, f func(fd int) (int, syscall.Errno)) (int, error) {
	var n int
	var errno syscall.Errno
	if err := raw.Control(func(fd uintptr) { n, errno = f(int(fd)) }); err != nil {
		return 0, err
	}
	if errno != 0 {
		return 0, errno
	}
	return n, nil
}

// IsNil reports whether an interface holds nothing, or a nil pointer.
func IsNil(conn any) bool {
	if conn == nil {
		return true
	}
	v := reflect.ValueOf(conn)
	return v.Kind() == reflect.Pointer && v.IsNil()
}
