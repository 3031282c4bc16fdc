package main

import (
	"bufio"
	"bytes"
	"io"
	"log/slog"

	"github.com/seed-9ac8cf60/netstream"
)

// hub sends lines to everybody who is connected.
type hub struct {
	subscribers netstream.Group
	listener    *netstream.Listener
}

func newHub(address string) (*hub, error) {
	h := new(hub)
	h.subscribers.MaxStreams = 10_000 // the others wait in the kernel's backlog
	var err error
	h.listener, err = netstream.Listen("tcp", address, &netstream.Config{
		Group:            &h.subscribers,
		MaxPendingWrites: 1024, // lines that wait for one subscriber
		MaxPendingBytes:  256 << 10,
		Overflow:         netstream.OverflowDropOldest, // so many behind, a subscriber misses the oldest
	})
	return h, err
}

// accept lets subscribers in until the listener is closed.
func (h *hub) accept() error {
	for {
		s, err := h.listener.AcceptStream()
		if err != nil {
			return err
		}
		s.AfterDone(func(cause error) {
			slog.Info("left", "who", s.RemoteAddr(), "why", cause, "missed", s.Stats().Dropped)
		})
		watch(s)
	}
}

// watch closes s when the subscriber has gone. What it sends is ignored.
func watch(s *netstream.NetworkStream) {
	buffer := make([]byte, 64)
	var read netstream.AsyncCallback
	read = func(ar netstream.AsyncResult) {
		if _, err := s.EndRead(ar); err != nil {
			_ = s.CloseWithError(err)
			return
		}
		_, _ = s.BeginRead(buffer, 0, len(buffer), read, nil) // fails on a closed stream only
	}
	_, _ = s.BeginRead(buffer, 0, len(buffer), read, nil)
}

// publish sends each line of r to all subscribers.
func (h *hub) publish(r io.Reader) error {
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line := append(bytes.Clone(lines.Bytes()), '\n') // it is not copied again, and must never change
		h.subscribers.Broadcast(line, func(s *netstream.NetworkStream, err error) { _ = s.CloseWithError(err) })
	}
	return lines.Err()
}
