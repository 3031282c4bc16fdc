package netstream

import "github.com/seed-9ac8cf60/netstream/internal/loop"

// The gate of a stream is its mu, the closed flags and the users count. Whoever wants to touch the connection
// either owns a direction or is counted as a user; both are refused in the same step that checks that the
// stream is open, and the last one out of a closed stream releases the connection. So no system call can hit
// a descriptor that was closed, and Close never has to hope.

// enter counts the caller as a user of the transport, or returns why it may not be one.
func (s *NetworkStream) enter() (transport, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.disposedLocked(); err != nil {
		return nil, err
	}
	s.users++
	return s.transport, nil
}

// leave ends what enter began.
func (s *NetworkStream) leave() {
	s.mu.Lock()
	s.users--
	s.closeRetiredLocked()
	s.unlock()
}

// isClosed reports whether the stream or its socket was closed.
func (s *NetworkStream) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.disposedLocked() != nil
}

// disposedLocked returns the error of a stream or socket that was closed.
func (s *NetworkStream) disposedLocked() error {
	switch {
	case s.closed:
		return s.end.streamErr
	case s.socketClosed:
		return s.end.socketErr
	}
	return nil
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
	todoMove
	todoCloseRetired
)

func (s *NetworkStream) callbackTodo(c *callbackQueue) todo {
	if c == &s.read.callbacks {
		return todoReadCallbacks
	}
	return todoWriteCallbacks
}

// unlock gives up mu and does what was left to do. If the stream was closed and the caller was the last one
// out, it releases the connection; when the callbacks are done too, it closes Done.
func (s *NetworkStream) unlock() {
	if s.todo == 0 && !s.closed && !s.socketClosed {
		s.mu.Unlock()
		return
	}
	work, t := s.todo, s.transport
	s.todo = 0
	var retired *portable
	if work&todoCloseRetired != 0 {
		retired, s.retired = s.retired, nil
	}
	readTurn, writeTurn := s.read.turn, s.write.turn
	release := s.lastOutLocked()
	how := s.endingLocked()
	finished := !release && s.finishedLocked()
	s.mu.Unlock()
	s.do(work, t, readTurn, writeTurn)
	if retired != nil {
		retired.conn.Close()
	}
	if release {
		t.close(how)
	}
	if finished {
		s.tellDone()
	}
}

// tellDone closes Done. The stream leaves its group first: who has seen Done finds it there no more.
func (s *NetworkStream) tellDone() {
	if g := s.config.Group; g != nil {
		g.remove(s)
	}
	s.mu.Lock()
	s.doneTold = true
	if s.end.done != nil {
		close(s.end.done)
	}
	s.mu.Unlock()
}

func (s *NetworkStream) do(work todo, t transport, readTurn, writeTurn uint32) {
	if work&todoCancelRead != 0 {
		t.cancel(dirRead, readTurn)
	}
	if work&todoCancelWrite != 0 {
		t.cancel(dirWrite, writeTurn)
	}
	post := func(bit todo, task *loop.Task) {
		if work&bit != 0 {
			t.post(task)
		}
	}
	post(todoTurn, &s.next.task)
	post(todoReadCallbacks, &s.read.callbacks.task)
	post(todoWriteCallbacks, &s.write.callbacks.task)
	if work&todoMove != 0 {
		s.move()
	}
}

// lastOutLocked reports whether the caller has to release the connection, and makes it the only one that does.
func (s *NetworkStream) lastOutLocked() bool {
	if !(s.closed || s.socketClosed) || s.releasing || s.users != 0 ||
		!s.read.idleLocked() || !s.write.idleLocked() {
		return false
	}
	s.releasing = true
	return true
}

// transportClosed is called by the transport when the connection is gone; it wakes a Close that waits for that.
func (s *NetworkStream) transportClosed() {
	s.mu.Lock()
	s.released = true
	s.end.letCloseReturnLocked()
	s.unlock()
}

// abandon lets Close return although a call has not come back from the connection, nor will. What it was lent stays lent.
func (s *NetworkStream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end.abandoned = true
	s.end.letCloseReturnLocked()
}

// finishedLocked reports whether everything about the stream is over, the first time: the caller then closes Done.
func (s *NetworkStream) finishedLocked() bool {
	if !s.closed || !s.released || s.finished ||
		!s.read.callbacks.idleLocked() || !s.write.callbacks.idleLocked() {
		return false
	}
	s.finished = true
	return true
}
