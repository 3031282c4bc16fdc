package netstream

import (
	"context"
	"net"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// The gate of a stream is its mu and its life with the users count. Whoever wants to touch the connection
// either owns a direction or is counted as a user; both are refused in the same step that checks that the
// stream is open, and the last one out of a closed stream releases the connection. So no system call can hit
// a descriptor that was closed.

// enter counts the caller as a user of the transport, or returns why it may not be one.
func (s *NetworkStream) enter() (engine.Connection, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.life.disposed(); err != nil {
		return nil, err
	}
	s.life.users++
	return s.transport, nil
}

// leave ends what enter began.
func (s *NetworkStream) leave() {
	s.mu.Lock()
	s.life.users--
	s.todo |= s.moved.closeRetired(s.life.users)
	s.unlock()
}

// isClosed reports whether the stream or its socket was closed.
func (s *NetworkStream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.life.disposed() != nil
}

// todo is what a goroutine that holds mu has to do as soon as it has given mu up: nothing that can run other
// code is done under the lock.
type todo uint8

const (
	todoReadCallbacks todo = 1 << iota
	todoWriteCallbacks
	todoTurn
	todoCancelRead
	todoCancelWrite
	todoCloseRetired
	todoStopHandshake
)

// unlock gives up mu and does what was left to do. If the stream was closed and the caller was the last one
// out, it releases the connection; when the callbacks are done too, it closes Done.
func (s *NetworkStream) unlock() {
	down := s.life.down()
	if s.todo == 0 && !down {
		s.mu.Unlock()
		return
	}
	work, t := s.todo, s.transport
	s.todo = 0
	var retired net.Conn
	if work&todoCloseRetired != 0 {
		retired, s.moved = s.moved.retired, nil
	}
	var stop context.CancelCauseFunc
	if work&todoStopHandshake != 0 {
		stop = s.auth.stop
	}
	readID, writeID := s.read.id, s.write.id
	var release, finished bool
	var how engine.Ending
	if down {
		if release = s.life.release(s.read.idle() && s.write.idle()); release {
			how = s.endingLocked()
		}
		finished = s.life.finish(s.read.callbacks.idle() && s.write.callbacks.idle() && s.auth.idle())
	}
	s.mu.Unlock()
	s.do(work, t, readID, writeID, down)
	if stop != nil { // it may run foreign code
		stop(s.auth.stopped)
	}
	if retired != nil {
		retired.Close()
	}
	if release {
		t.Close(how)
	}
	if finished {
		s.tellDone()
	}
}

func (s *NetworkStream) do(work todo, t engine.Connection, readID, writeID uint32, final bool) {
	if work&todoCancelRead != 0 {
		t.Cancel(engine.Read, readID, final)
	}
	if work&todoCancelWrite != 0 {
		t.Cancel(engine.Write, writeID, final)
	}
	post := func(bit todo, task engine.Task) {
		if work&bit != 0 {
			t.Post(task)
		}
	}
	post(todoTurn, (*turnRunner)(s))
	post(todoReadCallbacks, (*readCallbacks)(s))
	post(todoWriteCallbacks, (*writeCallbacks)(s))
}
