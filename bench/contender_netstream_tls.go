//go:build linux

package main

import (
	"crypto/tls"
	"io"
	"net"

	"github.com/seed-9ac8cf60/netstream"
)

func init() {
	register(&contender{
		name: ownTLS, rank: 50,
		about:  "netstream.New over a tls.Conn whose handshake is made: what waits to be written shares records, a goroutine while a read waits",
		serves: func(w workload) bool { return w.TLS != 0 },
		serve:  serveOverTLS,
	})
}

func serveOverTLS(j *job) error {
	var config netstream.Config
	limit(&config, j)
	if j.echoes() {
		size := readBuffer
		if j.Shape == shapeIdle {
			size = min(size, j.Size) // to know that a tls.Conn has something, a zero-byte read takes a byte, and the next read gets only that
		}
		j.ready()
		for {
			c, err := j.accept()
			if err != nil {
				return err
			}
			go func() {
				s, err := newOverTLS(c, &config)
				if err != nil {
					j.over(err)
					return
				}
				newEcho(j, s, size).read()
			}()
		}
	}
	streams := make([]*netstream.NetworkStream, j.Conns)
	err := j.acceptEach(func(i int, c net.Conn) (err error) {
		streams[i], err = netstream.New(c, &config)
		return err
	})
	if err != nil {
		return err
	}
	return writeNetstream(j, streams, func() (io.Reader, error) {
		c, err := j.accept()
		if err != nil {
			return nil, err
		}
		return netstream.New(c, nil)
	})
}

// newOverTLS makes the handshake, which a stream would leave to its first read.
func newOverTLS(c net.Conn, config *netstream.Config) (*netstream.NetworkStream, error) {
	if err := c.(*tls.Conn).Handshake(); err != nil {
		return nil, err
	}
	return netstream.New(c, config)
}
