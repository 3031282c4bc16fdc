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
		serves: func(workload) bool { return true },
		serve:  func(j *job) error { return serveNet(j, 64) },
	})
	register(&contender{
		name: "std net 4 KiB buffer", rank: 1,
		about:  "the same, idle with a 4 KiB read buffer that was used once",
		serves: inShapes(shapeIdle),
		serve:  func(j *job) error { return serveNet(j, 4096) },
	})
}

func serveNet(j *job, idleBuffer int) error {
	switch j.Shape {
	case shapeEcho:
		j.ready()
		for {
			c, err := j.ln.AcceptTCP()
			if err != nil {
				return err
			}
			go func() { j.fail(echoNet(c)) }()
		}
	case shapeIdle:
		conns, err := j.acceptAll()
		if err != nil {
			return err
		}
		for _, c := range conns {
			go func() {
				buffer := make([]byte, idleBuffer)
				for i := range buffer {
					buffer[i] = 1 // touched, as after a first full read
				}
				_, err := c.Read(buffer)
				j.fail(err)
			}()
		}
		j.ready()
		select {}
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

func echoNet(c net.Conn) error {
	defer c.Close()
	buffer := make([]byte, readBuffer)
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
