// Package netstream is .NET's NetworkStream for Go: asynchronous reading and writing on a connection, with
// Begin and End, callbacks and wait handles, and everything that Microsoft's page about it promises and leaves
// out. A [NetworkStream] is also a correct net.Conn, so crypto/tls, net/http and bufio work on it, and blocking
// and asynchronous calls mix on one connection.
//
// BeginWrite returns at once, the system sends all the bytes, a callback runs on another goroutine, and
// EndWrite tells the outcome:
//
//	s.BeginWrite(message, 0, len(message), func(ar netstream.AsyncResult) {
//		if err := s.EndWrite(ar); err != nil {
//			log.Print(err)
//		}
//	}, nil)
//
// # Promises
//
//  1. Begin never blocks: not for the network, not for another call, not for room, not for a callback. The
//     caller's own attempt, where [SendNow] has it make one, moves at most 64 KiB, and a Begin serves nobody else's
//     operations. An error of Begin means that nothing was lent and no callback will run.
//  2. Completion means that the kernel has accepted every byte, or the error says how many it has. It does not
//     mean that the peer has read them.
//  3. Writes go out in Begin order, whole and never mixed, from any number of goroutines, blocking and begun
//     ones alike. Reads are served in Begin order.
//  4. The buffer is lent from Begin until the operation has completed: End returned, callback started, wait handle
//     set or IsCompleted. Begin copies nothing. Close, Cancel and deadlines only ask; the completion gives the
//     buffer back.
//  5. Each Begin completes exactly once, whatever happens.
//  6. End is called exactly once. A second End, a result of something else, one kept for hours: an error at once,
//     never a hang or a panic. An operation that is never ended costs garbage and nothing else.
//  7. Callbacks run on another goroutine than the code that called Begin, never inside Begin, never under a lock of
//     this package; a Begin made by a callback has its own callback run after that one has returned. Those
//     of one direction of a stream run one at a time, in completion order, which is Begin order except for
//     operations cancelled, dropped or timed out while they were queued. The two directions are independent.
//     A callback may call anything. Sending never waits for callbacks.
//  8. A callback that blocks delays only later callbacks of its own direction. Everything else is served within
//     about 10 ms. runtime.Goexit in a callback, or a panic the callback itself recovers, leaves everything running.
//  9. CompletedSynchronously is true when Begin's own attempt finished the operation. It is fixed before the callback
//     can see it. The callback runs in both cases.
//  10. One reader and one writer need no synchronisation, and neither do many of each.
//  11. A torn write poisons: once part of a BeginWrite, BeginWritev or WriteContext is out and the rest never will
//     be, every later write fails with [IOError].Torn set. After a blocking Write that a deadline cut, only
//     what is begun fails so; the next blocking Write goes through.
//  12. Cancel takes back only what has not started, and then the stream is intact.
//  13. The queue is bounded, in bytes and in writes, for a stream and for a [Group]. A write counts from Begin until its
//     callback starts; a cancelled or dropped one gives its room up at once, and so does every one that is over under
//     [OverflowDropOldest]. [Overflow] says what happens at a limit. Blocking writes wait for room, first come first
//     served. A write larger than a limit is admitted to an empty queue.
//  14. What happens before Begin is visible to the callback; what happens before the completion is visible after End,
//     WaitOne and Done.
//  15. End always tells the operation's own outcome, after Close too.
//  16. A cut message never looks whole, and an orderly close loses nothing. A TCP connection whose last message was cut
//     is reset. Otherwise it is shut down, and lingers in the background, up to 2 s, while something is
//     unacknowledged or unread. After a reset no read reports a clean end.
//
// Promise 16 needs a connection that can be reset. Over a *tls.Conn the connection below is reset and no
// close_notify is sent. A [Pipe] delivers ECONNRESET. A Unix socket knows no reset: a cut message ends there like
// any other. For other connections it is their Close.
//
// # One message to many streams
//
// [NetworkStream.Post] hands a message over to be sent and forgotten: no operation, no callback, no End, and no copy, so the
// message must never change again. [Broadcast] and [Group.Broadcast] post one message to many streams. What is posted
// keeps all the promises that a write without an End can keep: its place in Begin order, whole, within the limits. A post
// that is lost ends the stream's writing, so that no message is missing in the middle. [NetworkStream.AfterDone] tells when
// a stream is over, [NetworkStream.BeginWaitRoom] when there is room again. docs/hub.md has the whole of it.
//
// # Errors
//
// An I/O failure is a *net.OpError around an [*IOError] (how many bytes, torn or not) around a [*SocketError] (the
// Winsock code of .NET) around package net's *os.SyscallError around the errno, and reads like net's. errors.Is finds
// net.ErrClosed, os.ErrDeadlineExceeded, the context's error, the errno (where a system call has failed, so not after
// Close) and the code, as in errors.Is(err, netstream.CodeConnectionReset). The end of the stream is io.EOF, never
// wrapped. Argument and state errors are returned as they are, except that what an End says of its result stands in an
// IOError, as in .NET. A Begin does not report a broken connection: whoever begins writes and never ends them asks
// [NetworkStream.WriteErr], or finds it in Stats.
//
// # Engines
//
// On Linux, TCP and Unix sockets are served by epoll loops that ride on the runtime's own poller, without a
// goroutine for each connection. Everywhere else, and for any other net.Conn, the portable engine gives the
// same semantics with a goroutine while something waits; on the sockets of Windows and unix it makes the same attempts
// and merged sends. docs/platforms.md says what each system does itself. [EngineAuto] starts portable, at net's speed for
// blocking calls, and moves to the loop at the first asynchronous operation that has to wait or is left to the loop.
//
// Over a *tls.Conn the first call makes the handshake, beside the calls that wait for it, so that a deadline, a context
// or the Cancel of a read ends those and not the connection; short begun writes share records. A foreign connection that
// breaks the rules of net.Conn is ended with [CodeConnectionAborted].
//
// # Goroutines
//
// None stay. A loop has one goroutine and one descriptor while streams are on it, and both end 0.1 to 0.2 s after
// the last one has gone; the next stream starts them again. A connection that lingers has a goroutine for up to 2 s, one
// of TLS whose peer does not read for up to 5 s. A listener has one while begun accepts wait, and with [Config].TLS from
// its first accept until Close.
//
// # In tests
//
// In a testing/synctest bubble a [Pipe] does everything, on the bubble's clock. Streams over sockets that are made there
// work too, but they stay portable, and whoever waits for the network is not durably blocked: the clock stands
// still meanwhile. EngineEpoll is refused with errors.ErrUnsupported. As with anything made outside of a bubble, a
// stream that is on a loop already must not be used inside.
//
// # Costs worth knowing
//
// A method value as callback allocates at each Begin; bound once in a field it does not. A pointer as state is
// free, a slice or struct allocates. AsyncWaitHandle allocates, callbacks do not. A peer that never
// reads absorbs up to about 4 MB in kernel buffers before the queue sees it; Socket().SetWriteBuffer
// lowers that.
package netstream
