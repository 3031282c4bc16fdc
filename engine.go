package netstream

import (
	"net"
	"runtime"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// Where a stream meets its engine: what it asks for, and what it is told. engine_move.go says which one it is on.

// engineOwner is a stream as its engine knows it.
type engineOwner NetworkStream

var _ engine.Owner = (*engineOwner)(nil)

func (s *NetworkStream) engineOwner() *engineOwner { return (*engineOwner)(s) }

// ReadReturned implements engine.Owner.
func (o *engineOwner) ReadReturned(n int, err error) {
	(*NetworkStream)(o).serveReads(moved(n, err), nil, turnBytes)
}

// WriteReturned implements engine.Owner. The engine has owned the direction until now, so fin still says what it was
// started for.
func (o *engineOwner) WriteReturned(n int, err error) {
	s := (*NetworkStream)(o)
	s.mu.Lock() // CloseWrite may be asking for the end at this moment
	ending := s.write.fin == finSending
	s.mu.Unlock()
	if ending {
		s.writeEnded(err)
		return
	}
	last := moved(n, err)
	if s.transport.Traits().Holds {
		last.taken = 0
	}
	s.flush(last)
}

// WantWrite implements engine.Owner.
func (o *engineOwner) WantWrite() {
	s := (*NetworkStream)(o)
	s.mu.Lock()
	s.wantFlushLocked()
	s.unlock()
}

// Closed implements engine.Owner; it wakes a Close that waits for that.
func (o *engineOwner) Closed() {
	s := (*NetworkStream)(o)
	s.mu.Lock()
	s.life.released()
	s.unlock()
}

// Abandoned implements engine.Owner: Close returns although a call has not come back from the connection.
func (o *engineOwner) Abandoned() {
	s := (*NetworkStream)(o)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.life.abandon()
}

// engineOptions are what an engine has to know of the stream's configuration.
func (s *NetworkStream) engineOptions() engine.Options {
	return engine.Options{LeaveOpen: s.config.LeaveOpen, Gather: s.config.GatherWrites, ResetOnClose: resetOnClose}
}

// resetOnClose has a stream below another connection, as under TLS, end with a reset.
func resetOnClose(conn any) {
	if s, ok := conn.(*NetworkStream); ok {
		s.noteLinger(true)
	}
}

// Engine returns the engine that moves the stream's bytes now, and why it is that one.
func (k *Socket) Engine() (Engine, string) {
	s := k.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.residence >= chosenEpoll:
		return EngineEpoll, residences[s.residence]
	case s.residence == stays:
		return EnginePortable, residences[stays] + s.moved.failure.Error()
	}
	return EnginePortable, residences[s.residence]
}

// attach gives the stream its transport. Only its last step changes conn.
func (s *NetworkStream) attach(conn net.Conn, onLoop bool) error {
	native := engine.HasLoops && engine.OnSocket(conn)
	switch {
	case s.config.Engine == EngineEpoll && !native:
		return errEngine(EngineEpoll, "needs a TCP or Unix socket on Linux")
	case s.config.Engine == EngineEpoll:
		err := s.attachToLoop(conn, chosenEpoll)
		if exhausted(err) { // it can be had, only not now
			return s.opError("new", &IOError{Err: classify("dup", err)})
		}
		if err != nil {
			return errEngine(EngineEpoll, err.Error())
		}
		return nil
	case s.config.Engine == EngineAuto && native && onLoop:
		if s.attachToLoop(conn, madeAsynchronous) == nil {
			return nil
		}
	}
	switch {
	case s.config.Engine == EnginePortable:
		s.residence = chosenPortable
	case native:
		s.residence = mayMove
	}
	s.transport = engine.NewPortable(s.engineOwner(), conn, s.engineOptions())
	return nil
}

// attachToLoop puts the stream on a loop, over a duplicate of conn's descriptor. A call of somebody else that is blocked on
// conn sees net.ErrClosed.
func (s *NetworkStream) attachToLoop(conn net.Conn, r residence) error {
	t, handle, err := engine.NewOnLoop(s.engineOwner(), conn, s.engineOptions())
	if err != nil {
		return err
	}
	s.transport, s.residence = t, r
	s.releaseForgotten(handle)
	if !s.config.LeaveOpen {
		conn.Close()
	}
	return nil
}

// releaseForgotten has the descriptor closed when the stream is forgotten open.
func (s *NetworkStream) releaseForgotten(handle engine.Handle) {
	runtime.AddCleanup(s, engine.Handle.Release, handle)
}
