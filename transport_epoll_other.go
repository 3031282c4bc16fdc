//go:build !linux

package netstream

import (
	"errors"
	"net"
)

// There is no epoll here: an EngineAuto stream stays portable, and EngineEpoll is refused.

const haveEpoll = false

func adoptEpoll(*NetworkStream, net.Conn, reason) (transport, error) {
	return nil, errors.ErrUnsupported
}

func (t *portable) toLoop() (transport, error) { return nil, errors.ErrUnsupported }
