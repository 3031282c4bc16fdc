//go:build linux

package main

import (
	"bufio"
	"io"
	"net"
)

func init() {
	register(&contender{
		name: reference, rank: 0,
		about:  "net, a goroutine for each connection, a blocking Write for each message (idle: a 64 B read buffer; hub: a channel of 1,024 messages and a bufio.Writer for each subscriber)",
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
	if j.Shape == shapeHub {
		return hubNet(j, conns)
	}
	senders := make([]sender, len(conns))
	for i, c := range conns {
		senders[i] = netSender{c}
	}
	j.ready()
	return j.push(senders)
}

// hubNet is the hub as it is usually written: a subscriber that falls behind loses messages.
func hubNet(j *job, conns []*net.TCPConn) error {
	subscribers := make([]chan []byte, len(conns))
	for i, c := range conns {
		subscribers[i] = make(chan []byte, j.Window)
		go func() { j.fail(writeAll(c, subscribers[i])) }()
	}
	return j.publish(func() (io.Reader, error) { return j.ln.Accept() }, func(lines [][]byte) {
		for _, line := range lines {
			for _, s := range subscribers {
				select {
				case s <- line:
				default:
				}
			}
		}
	})
}

// writeAll writes what comes and flushes when nothing more is there.
func writeAll(c net.Conn, lines <-chan []byte) error {
	w := bufio.NewWriter(c)
	for line := range lines {
		if _, err := w.Write(line); err != nil {
			return err
		}
		if len(lines) > 0 {
			continue
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
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
