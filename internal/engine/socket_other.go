//go:build !unix && !windows

package engine

import (
	"errors"
	"io"
	"syscall"
)

// setNonblock has nothing to do: there is no mode that a process could share.
func setNonblock(syscall.RawConn) {}

// discardInput reads until the peer's end, nil, or until c's deadline.
func discardInput(c lingerer) error {
	_, err := io.Copy(io.Discard, c)
	return err
}

func rawBuffered(syscall.RawConn) (int, error) { return 0, errors.ErrUnsupported }
func rawUnacked(syscall.RawConn) (int, error)  { return 0, errors.ErrUnsupported }

func rawNotSentLowWater(syscall.RawConn, int) error { return errors.ErrUnsupported }

// peerErrno trusts that net hands out connected sockets only; a closed one fails in control.
func peerErrno(int) (int, syscall.Errno) { return 0, 0 }

// pendingErrno knows none.
func pendingErrno(int) (int, syscall.Errno) { return 0, 0 }
