package interop_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/interop"
)

// Wait handles: whichever of two streams has something to read first.
func Example_waitHandles() {
	left, leftPeer := netstream.Pipe(nil)
	right, rightPeer := netstream.Pipe(nil)
	defer closeAll(left, leftPeer, right, rightPeer)
	var fromLeft, fromRight [64]byte

	l, err := left.BeginRead(fromLeft[:], 0, len(fromLeft), nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	r, err := right.BeginRead(fromRight[:], 0, len(fromRight), nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	rightPeer.Write([]byte("hello from the right"))

	switch netstream.WaitAny(time.Second, l.AsyncWaitHandle(), r.AsyncWaitHandle()) {
	case 0:
		n, err := left.EndRead(l)
		fmt.Printf("%s %v\n", fromLeft[:n], err)
	case 1:
		n, err := right.EndRead(r)
		fmt.Printf("%s %v\n", fromRight[:n], err)
	case netstream.WaitTimeout:
		fmt.Println("nobody says anything")
	}
	// Output: hello from the right <nil>
}

// The same wait in Go's own words.
func Example_waitInSelect() {
	s, peer := netstream.Pipe(nil)
	defer closeAll(s, peer)
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var buffer [64]byte
	ar, err := s.BeginRead(buffer[:], 0, len(buffer), nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	peer.Write([]byte("in time"))

	select {
	case <-ar.AsyncWaitHandle().Done():
		n, err := s.EndRead(ar)
		fmt.Printf("%s %v\n", buffer[:n], err)
	case <-ctx.Done():
		fmt.Println(ctx.Err())
	}
	// Output: in time <nil>
}

// Errors: what a catch block tells apart.
func Example_errors() {
	s, peer := netstream.Pipe(nil)
	defer closeAll(s, peer)
	_, outside := s.BeginWrite(make([]byte, 4), 0, 5, nil, nil)
	s.Close()
	_, closed := s.BeginWrite(make([]byte, 4), 0, 4, nil, nil)

	for _, err := range []error{outside, closed, &netstream.SocketError{Code: netstream.CodeConnectionReset}, io.EOF} {
		fmt.Println(describe(err))
	}
	// Output:
	// the argument size is out of range
	// closed by this program
	// reset by the peer, 10054
	// the end of the stream
}

func describe(err error) string {
	var argument *netstream.ArgumentOutOfRangeError
	var socket *netstream.SocketError
	switch {
	case err == io.EOF: // EndRead of .NET returns 0
		return "the end of the stream"
	case errors.As(err, &argument): // catch (ArgumentOutOfRangeException e)
		return "the argument " + argument.ParamName + " is out of range"
	case errors.Is(err, net.ErrClosed): // catch (ObjectDisposedException)
		return "closed by this program"
	case errors.Is(err, netstream.CodeConnectionReset): // when (e.SocketErrorCode == SocketError.ConnectionReset)
		errors.As(err, &socket)
		return fmt.Sprintf("reset by the peer, %d", socket.ErrorCode())
	}
	return err.Error()
}

// FromAsync, the callback chain and the CompletedSynchronously loop.
func Example_patterns() {
	s, peer := netstream.Pipe(nil)
	var heard strings.Builder
	copied := interop.CopyTo(peer, &heard)

	task := interop.WriteTask(s, []byte("one "))
	if err := <-task; err != nil { // await Task.Factory.FromAsync(...)
		fmt.Println(err)
	}
	n, err := interop.SendAll(s, [][]byte{[]byte("two "), []byte("three")})
	fmt.Println(n, err)

	s.CloseWrite()
	fmt.Println(<-copied)
	fmt.Println(heard.String())
	closeAll(s, peer)
	// Output:
	// 2 <nil>
	// <nil>
	// one two three
}

// Draining before the end, and hearing what was lost.
func Example_closeTimeout() {
	s, peer := netstream.Pipe(nil)
	defer peer.Close()
	s.BeginWrite(make([]byte, 1<<20), 0, 1<<20, nil, nil) // more than a pipe holds, and nobody reads

	err := s.CloseTimeout(50 * time.Millisecond)
	var failure *netstream.IOError
	if errors.As(err, &failure) {
		fmt.Println("bytes that never left:", failure.Unsent > 0)
	}
	// Output: bytes that never left: true
}

func closeAll(streams ...*netstream.NetworkStream) {
	for _, s := range streams {
		s.Close()
	}
}
