package engine

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// lingerTime bounds how long a closed connection is kept for what the kernel has accepted and the peer has not
// acknowledged.
const lingerTime = 2 * time.Second

// lingering counts the connections that linger.
var lingering atomic.Int64

// Lingering returns how many closed connections still linger in the background.
func Lingering() int64 { return lingering.Load() }

// lingerer is what a lingering connection needs: *net.TCPConn and *os.File have it.
type lingerer interface {
	io.ReadCloser
	syscall.Conn
	SetReadDeadline(time.Time) error
}

// closeTCP closes in good order: FIN, and the descriptor as soon as nothing can be lost by it. A plain close with one
// byte of input unread, or with input that comes before the peer has read everything, makes the kernel
// send a reset, which destroys data that it had accepted and reported as written (RFC 1122, 4.2.2.13). A connection that
// a reset has ended has nothing to lose any more, although what it had sent stays unacknowledged.
//
// In a testing/synctest bubble the kernel lingers: the bubble's clock stands still while a goroutine reads a socket, and
// ends the program when one sleeps after the test has returned.
func closeTCP(c *net.TCPConn, raw syscall.RawConn) {
	unread, err := rawBuffered(raw)
	acknowledged := finish(c, raw)
	if acknowledged && unread == 0 && (err == nil || errors.Is(err, errors.ErrUnsupported)) || rawSawReset(raw) {
		c.Close()
		return
	}
	if inBubble() {
		_ = c.SetLinger(int(lingerTime / time.Second))
		go c.Close()
		return
	}
	startLinger(c, func() bool {
		all, known := acknowledges(raw)
		return all || !known || rawSawReset(raw)
	})
}

// startLinger discards input until the peer has closed and acknowledged everything, or lingerTime has passed,
// and closes c.
func startLinger(c lingerer, acknowledged func() bool) {
	lingering.Add(1)
	go func() {
		defer lingering.Add(-1)
		defer c.Close()
		until := time.Now().Add(lingerTime)
		_ = c.SetReadDeadline(until)
		if err := discardInput(c); err != nil { // the time is up, or the connection is dead
			return
		}
		for pause := time.Millisecond; !acknowledged() && time.Now().Before(until); pause *= 2 {
			time.Sleep(pause)
		}
	}()
}

var _ lingerer = (*os.File)(nil)
