package netstream

// callbackQueue holds the completed operations of one direction whose callbacks have not started. One goroutine at
// a time runs a direction's callbacks, in completion order; the two directions are independent, and sending
// never waits for either. Guarded by the stream's mu.
type callbackQueue struct {
	ready opList
	state callbackState
	bit   todo // has its task posted; constant
}

type callbackState uint8

const (
	callbacksIdle    callbackState = iota
	callbacksQueued                // its task was posted, or will be by unlock
	callbacksRunning               // a goroutine is in Run
)

// readCallbacks and writeCallbacks are a stream as the task that runs one direction's callbacks.
type (
	readCallbacks  NetworkStream
	writeCallbacks NetworkStream
)

// Run implements engine.Task.
func (s *readCallbacks) Run() { (*NetworkStream)(s).runCallbacks(&s.read.callbacks) }

// Run implements engine.Task.
func (s *writeCallbacks) Run() { (*NetworkStream)(s).runCallbacks(&s.write.callbacks) }

func (c *callbackQueue) idle() bool { return c.state == callbacksIdle }

// add takes over completed operations, whose callbacks are to run, and returns what unlock has to do for that.
func (c *callbackQueue) add(ops *opList) todo {
	if ops.empty() {
		return 0
	}
	c.ready.splice(ops)
	if c.state != callbacksIdle {
		return 0
	}
	c.state = callbacksQueued
	return c.bit
}

// start takes out what is ready, for the goroutine that runs it.
func (c *callbackQueue) start() (chain opList) {
	c.state = callbacksRunning
	chain, c.ready = c.ready, opList{}
	return chain
}

// stop ends a run. What is left in chain, after runtime.Goexit, goes first in the next one.
func (c *callbackQueue) stop(chain *opList) todo {
	chain.splice(&c.ready)
	c.state = callbacksIdle
	return c.add(chain)
}

// runCallbacks calls the callbacks that are ready, then gives the goroutine back. What became ready meanwhile is
// posted again, so one direction cannot keep a loop from the others.
//
// On the portable engine it is the bottom of a new goroutine's stack, whose first 2 KiB have to hold a callback that
// begins a write or a read down to the system call: with 100 bytes more, growing the stack is 17% of an echo (W1 of
// docs/benchmarks.md).
func (s *NetworkStream) runCallbacks(c *callbackQueue) {
	s.mu.Lock()
	chain := c.start()
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
	}
	op.release(1)
	return callback, result
}

// ranCallbacks ends a run of callbacks, however it ended: those in chain have not been called.
func (s *NetworkStream) ranCallbacks(c *callbackQueue, chain *opList) {
	s.mu.Lock()
	s.todo |= c.stop(chain)
	s.unlock()
}
