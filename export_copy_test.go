package netstream

import (
	"sync/atomic"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// HoldPause is holdPause.
const HoldPause = holdPause

// StallSlice begins a slice whose source is kept waiting by a disk; end has it go on with errno as the connection's
// answer and returns what sendSlice returned.
func (s *NetworkStream) StallSlice() (end func(errno syscall.Errno) error) {
	begun, answer, done := make(chan struct{}), make(chan syscall.Errno), make(chan error)
	go func() {
		_, err := s.sendSlice(1000, "write", func(int, int64) (int, syscall.Errno) {
			close(begun)
			return 0, <-answer
		})
		done <- err
	}()
	<-begun
	return func(errno syscall.Errno) error {
		answer <- errno
		return <-done
	}
}

// CountReads counts the attempts to read from now on.
func (s *NetworkStream) CountReads() *atomic.Int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &countingTransport{Connection: s.transport}
	s.transport = t
	if s.residence == mayMove {
		s.residence = chosenPortable
	}
	return &t.reads
}

type countingTransport struct {
	engine.Connection
	reads atomic.Int64
}

func (t *countingTransport) TryRead(p []byte) (int, error) {
	t.reads.Add(1)
	return t.Connection.TryRead(p)
}
