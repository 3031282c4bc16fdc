// Package loop watches sockets with epoll and runs queued work, on goroutines
// that ride on Go's own network poller. It knows descriptors, readiness and
// tasks, nothing of streams. It exists on Linux; elsewhere it is empty.
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
// Each loop has one epoll descriptor, which is itself registered with the
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
// The only permanent goroutines are the pollers, one per loop, started by the
// first [Pick]. Tests with go.uber.org/goleak ignore them by
//
//	goleak.IgnoreAnyFunction("github.com/seed-9ac8cf60/netstream/internal/loop.(*Loop).pollLoop")
//
// All others end by themselves: (*worker).runLoop when the queue is empty,
// (*watchdog).watch some ticks after the last work.
package loop
