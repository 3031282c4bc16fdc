package netstream

import "github.com/seed-9ac8cf60/netstream/internal/loop"

// callbackQueue holds the completed operations of one direction whose callbacks have not started. One goroutine at
// a time runs a direction's callbacks, in completion order; the two directions are independent, and sending
// never waits for either. Guarded by the stream's mu.
type callbackQueue struct {
	task  loop.Task
	ready opList
	state callbackState
}

type callbackState uint8

const (
	callbacksIdle    callbackState = iota
	callbacksQueued                // the task was posted, or will be by unlock
	callbacksRunning               // a goroutine is in Run
)

// readCallbacks and writeCallbacks are a stream as the task that runs one direction's callbacks.
type (
	readCallbacks  NetworkStream
	writeCallbacks NetworkStream
)

// Run implements loop.Runner.
func (s *readCallbacks) Run() { (*NetworkStream)(s).runCallbacks(&s.read.callbacks) }

// Run implements loop.Runner.
func (s *writeCallbacks) Run() { (*NetworkStream)(s).runCallbacks(&s.write.callbacks) }

func (c *callbackQueue) idleLocked() bool { return c.state == callbacksIdle }

// readyLocked adds completed operations to those whose callbacks are to run; the next unlock posts the task if need be.
func (s *NetworkStream) readyLocked(c *callbackQueue, ops *opList) {
	if ops.empty() {
		return
	}
	c.ready.splice(ops)
	if c.state == callbacksIdle {
		c.state = callbacksQueued
		s.todo |= s.callbackTodo(c)
	}
}

// runCallbacks calls the callbacks that are ready, then gives the goroutine back. What became ready meanwhile is
// posted again, so one direction cannot keep a loop from the others.
//
// On the portable engine it is the bottom of a new goroutine's stack, whose first 2 KiB have to hold a callback that
// begins a write or a read down to the system call: when the way was 100 bytes deeper, growing the stack was 17% of an
// echo (W1 of docs/benchmarks.md).
func (s *NetworkStream) runCallbacks(c *callbackQueue) {
	s.mu.Lock()
	c.state = callbacksRunning
	chain := c.ready
	c.ready = opList{}
	s.mu.Unlock()
	defer s.ranCallbacks(c, &chain) // also when a callback ends its goroutine with runtime.Goexit
	for !chain.empty() {
		callback, result := s.startCallback(chain.popFront())
		callback(result)
	}
}

// startCallback gives up what a completed operation held until its callback. From here on only the End that is still
// to come holds it.
func (s *NetworkStream) startCallback(op *operation) (AsyncCallback, AsyncResult) {
	callback, result := op.callback, op.result()
	if op.kind == kindWrite {
		s.discharge(op)
		if op.piled {
			s.write.piled.Add(-1)
		}
	}
	op.release(1)
	return callback, result
}

// ranCallbacks ends a run of callbacks, however it ended: those in chain have not been called.
func (s *NetworkStream) ranCallbacks(c *callbackQueue, chain *opList) {
	s.mu.Lock()
	if !chain.empty() { // Goexit: the rest goes first
		chain.splice(&c.ready)
		c.ready = *chain
	}
	c.state = callbacksIdle
	if !c.ready.empty() {
		c.state = callbacksQueued
		s.todo |= s.callbackTodo(c)
	}
	s.unlock()
}
