//go:build !linux

package engine

import (
	"errors"
	"net"
)

// HasLoops reports whether this system has an engine with loops.
const HasLoops = false

// Handle has nothing to release here.
type Handle struct{}

// Release does nothing.
func (Handle) Release() {}

// NewOnLoop cannot be had here.
func NewOnLoop(Owner, net.Conn, Options) (Connection, Handle, error) {
	return nil, Handle{}, errors.ErrUnsupported
}
