package netstream

import "github.com/seed-9ac8cf60/netstream/internal/loop"

// callbackQueue holds the completed operations of one direction whose callbacks have not started, and is the
// task that runs them. One goroutine at a time runs a direction's callbacks, in completion order; the two
// directions are independent, and sending never waits for either.
//
// All fields are guarded by the stream's mu, but for chain.
type callbackQueue struct {
	stream *NetworkStream
	task   loop.Task
	ready  opList
	chain  opList // taken from ready by the running goroutine, which alone touches it
	state  callbackState
}

type callbackState uint8

const (
	callbacksIdle    callbackState = iota
	callbacksQueued                // the task was posted, or will be by unlock
	callbacksRunning               // a goroutine is in Run
)

func (c *callbackQueue) init(s *NetworkStream) {
	c.stream = s
	c.task.Runner = c
}

func (c *callbackQueue) idleLocked() bool { return c.state == callbacksIdle }

// pushLocked adds completed operations; the next unlock posts the task if need be.
func (c *callbackQueue) pushLocked(ops *opList) {
	if ops.empty() {
		return
	}
	c.ready.splice(ops)
	if c.state == callbacksIdle {
		c.state = callbacksQueued
		c.stream.todo |= c.stream.callbackTodo(c)
	}
}

// Run calls the callbacks that are ready, then gives the goroutine back. What became ready meanwhile is posted
// again, so one direction cannot keep a loop from the others.
func (c *callbackQueue) Run() {
	s := c.stream
	s.mu.Lock()
	c.state = callbacksRunning
	c.chain.splice(&c.ready)
	s.mu.Unlock()
	defer c.ran() // also when a callback ends its goroutine with runtime.Goexit
	for op := c.chain.popFront(); op != nil; op = c.chain.popFront() {
		callback, result := op.callback, op.result()
		if op.kind == kindWrite {
			s.discharge(op)
			if op.dropped {
				s.write.dropped.Add(-1)
			}
		}
		op.release(1) // from here on only the End that is still to come holds it
		callback(result)
	}
}

// ran ends a Run, however it ended.
func (c *callbackQueue) ran() {
	s := c.stream
	s.mu.Lock()
	if !c.chain.empty() { // Goexit: the rest goes first
		c.chain.splice(&c.ready)
		c.ready, c.chain = c.chain, opList{}
	}
	c.state = callbacksIdle
	if !c.ready.empty() {
		c.state = callbacksQueued
		s.todo |= s.callbackTodo(c)
	}
	s.unlock()
}
