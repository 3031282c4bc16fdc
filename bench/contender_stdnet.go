//go:build linux

package main

import (
	"io"
	"net"
)

func init() {
	register(&contender{
		name: reference, rank: 0,
		about:  "net, a goroutine for each connection, a blocking Write for each message (idle: a 64 B read buffer)",
		serves: func(w workload) bool { return w.reference() == reference },
		serve:  func(j *job) error { return serveNet(j, 64) },
	})
	register(&contender{
		name: "std net 4 KiB buffer", rank: 1,
		about:  "the same, idle with a 4 KiB read buffer",
		serves: plain(inShapes(shapeIdle)),
		serve:  func(j *job) error { return serveNet(j, 4096) },
	})
}

func serveNet(j *job, idleBuffer int) error {
	switch j.Shape {
	case shapeEcho, shapeGreet:
		return echoAllNet(j, readBuffer)
	case shapeIdle:
		return echoAllNet(j, idleBuffer)
	}
	conns, err := j.acceptAll()
	if err != nil {
		return err
	}
	senders := make([]sender, len(conns))
	for i, c := range conns {
		senders[i] = netSender{c}
	}
	j.ready()
	return j.push(senders)
}

// echoAllNet serves each connection in a goroutine.
func echoAllNet(j *job, bufferSize int) error {
	j.ready()
	for {
		c, err := j.accept()
		if err != nil {
			return err
		}
		go func() { j.over(echoNet(c, make([]byte, bufferSize))) }()
	}
}

func echoNet(c net.Conn, buffer []byte) error {
	defer c.Close()
	for i := range buffer {
		buffer[i] = 1 // its memory is there, as after a first full read
	}
	for {
		n, err := c.Read(buffer)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := c.Write(buffer[:n]); err != nil {
			return err
		}
	}
}

type netSender struct{ conn net.Conn }

func (s netSender) Send(message []byte) error {
	_, err := s.conn.Write(message)
	return err
}
