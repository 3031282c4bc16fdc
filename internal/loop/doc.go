// Package loop watches sockets with epoll and runs queued work, on goroutines
// that ride on Go's own network poller. It knows descriptors, readiness and
// tasks, nothing of streams. Loops and their sockets exist on Linux. Elsewhere a
// [Batch] is all there is, and on Windows the wait for room in a send buffer.
//
// # Contract
//
// A [Socket] tells whether a system call may succeed now and calls a [Waiter]
// once when that changes. A [Task] posted to a [Loop] runs soon, on a
// goroutine of the loop. Tasks may run user code: they may block for ever, call
// [runtime.Goexit] or post again, and everything else is still served within
// some 10 milliseconds. Waiters may not: they do non-blocking I/O only.
//
// No lock of this package is held while a Waiter or a Task runs.
//
// # How it works
//
// Each loop in use has one epoll descriptor, which is itself registered with the
// runtime's poller: its goroutine parks like one that waits for a socket, so
// no thread is locked and no P held while nothing happens. Two roles exist per
// loop. One goroutine has the poll role: it parks and harvests. Goroutines
// with a run permit take tasks from the queue; normally there is one, the
// poller itself or one started by Post. A watchdog, which ticks only while
// loops are busy, gives permits and the poll role to fresh goroutines when
// queued work or the epoll descriptor has waited too long; who lost them stops
// after the task in hand.
//
// # Goroutines
//
// None are permanent: (*Loop).pollLoop ends, and closes the epoll descriptor,
// when no socket has been registered for a moment (see life_linux.go), and the
// next Add starts it again; (*worker).runLoop ends when the queue is empty,
// (*watchdog).watch some ticks after the last work. Tasks need neither the poller
// nor the descriptor.
package loop
