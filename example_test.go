package netstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// The example of the .NET page for NetworkStream.BeginWrite and its other half, over a real connection: a message is
// written with BeginWrite and a callback that ends the write, and read with BeginRead and EndRead.
func Example() {
	listener, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	accepting, err := listener.BeginAccept(nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	client, err := netstream.Dial(context.Background(), "tcp", listener.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	server, err := listener.EndAccept(accepting)
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	// Write, if the stream can be written to.
	if !client.CanWrite() {
		fmt.Println("Sorry. You cannot write to this NetworkStream.")
		return
	}
	message := []byte("Are you receiving this message?")
	allDone := netstream.NewManualResetEvent(false)
	_, err = client.BeginWrite(message, 0, len(message), func(ar netstream.AsyncResult) {
		stream := ar.AsyncState().(*netstream.NetworkStream)
		if err := stream.EndWrite(ar); err != nil {
			log.Print(err)
		}
		allDone.Set()
	}, client)
	if err != nil {
		log.Fatal(err)
	}
	allDone.WaitOne()

	// Read what there is.
	buffer := make([]byte, 1024)
	reading, err := server.BeginRead(buffer, 0, len(buffer), nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	n, err := server.EndRead(reading)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("You received the following message :", string(buffer[:n]))
	// Output: You received the following message : Are you receiving this message?
}

// Several writes are begun one after the other, without waiting for any. They go out in this order, each of them
// whole, and their callbacks run one at a time in the same order.
func ExampleNetworkStream_BeginWrite() {
	a, b := netstream.Pipe(nil)
	defer b.Close()

	written := func(ar netstream.AsyncResult) {
		if err := a.EndWrite(ar); err != nil {
			log.Print(err)
			return
		}
		fmt.Printf("written: %s\n", ar.AsyncState())
	}
	for _, message := range []string{"one", "two", "three"} {
		p := []byte(message + "\n") // lent to the stream until the callback starts
		if _, err := a.BeginWrite(p, 0, len(p), written, message); err != nil {
			log.Fatal(err)
		}
	}
	if err := a.CloseTimeout(5 * time.Second); err != nil { // lets everything out first
		log.Fatal(err)
	}
	<-a.Done() // all callbacks have returned

	got, err := io.ReadAll(b)
	fmt.Printf("read: %q, %v\n", got, err)
	// Output:
	// written: one
	// written: two
	// written: three
	// read: "one\ntwo\nthree\n", <nil>
}

// A reader that goes on and on. A read that finds data at once is handled by whoever began it, in a loop, any other
// by its callback; CompletedSynchronously tells which, so each is handled exactly once.
func ExampleNetworkStream_BeginRead() {
	a, b := netstream.Pipe(nil)
	defer a.Close()

	buffer := make([]byte, 16)
	total, over := 0, make(chan error, 1)
	handle := func(ar netstream.AsyncResult) (more bool) {
		n, err := b.EndRead(ar)
		total += n
		if err != nil {
			over <- err
		}
		return err == nil
	}
	var read func()
	callback := func(ar netstream.AsyncResult) {
		if ar.CompletedSynchronously() {
			return // the loop below has it
		}
		if handle(ar) {
			read()
		}
	}
	read = func() {
		for {
			ar, err := b.BeginRead(buffer, 0, len(buffer), callback, nil)
			if err != nil {
				over <- err
				return
			}
			if !ar.CompletedSynchronously() || !handle(ar) {
				return
			}
		}
	}
	read()
	if _, err := a.Write(make([]byte, 1000)); err != nil {
		log.Fatal(err)
	}
	if err := a.CloseWrite(); err != nil {
		log.Fatal(err)
	}
	err := <-over
	fmt.Println(total, "bytes, then", err)
	// Output: 1000 bytes, then EOF
}

// A server that stops: its listeners close, what was begun still goes out, and then the streams are closed.
func ExampleGroup_Shutdown() {
	group := new(netstream.Group)
	listener, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{Group: group})
	if err != nil {
		log.Fatal(err)
	}
	client, err := netstream.Dial(context.Background(), "tcp", listener.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	server, err := listener.AcceptStream()
	if err != nil {
		log.Fatal(err)
	}
	goodbye := []byte("goodbye")
	if _, err := server.BeginWrite(goodbye, 0, len(goodbye), nil, nil); err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println("shutdown:", group.Shutdown(ctx))

	got, err := io.ReadAll(client)
	fmt.Printf("the client got %q, %v\n", got, err)
	_, err = listener.Accept()
	var closed *netstream.ObjectDisposedError
	fmt.Println("the listener is closed:", errors.As(err, &closed))
	// Output:
	// shutdown: <nil>
	// the client got "goodbye", <nil>
	// the listener is closed: true
}

// A pipe is a connection in memory, for tests of code that works on streams.
func ExamplePipe() {
	a, b := netstream.Pipe(nil)
	defer a.Close()
	defer b.Close()

	fmt.Fprintf(a, "hello over %s", a.LocalAddr().Network()) // it is buffered: nobody reads yet
	p := make([]byte, 100)
	n, err := b.Read(p)
	fmt.Printf("%s, %v\n", p[:n], err)
	// Output: hello over pipe, <nil>
}

// The queue of begun writes is bounded. When it is full, the policy decides; the default refuses the write and
// leaves it to the caller to wait for room.
func ExampleConfig() {
	a, b := netstream.Pipe(&netstream.Config{
		MaxPendingWrites: 2,
		Overflow:         netstream.OverflowFail, // or OverflowDropOldest, or OverflowClose
	})
	defer a.Close()
	defer b.Close()

	p := make([]byte, 64<<10) // as much as the pipe holds
	for i := range 4 {
		_, err := a.BeginWrite(p, 0, len(p), nil, nil)
		fmt.Printf("write %d: %v\n", i, err)
		if errors.Is(err, netstream.ErrQueueFull) {
			break
		}
	}
	go io.Copy(io.Discard, b) // the peer reads at last

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := a.WaitRoom(ctx, int64(len(p))); err != nil {
		log.Fatal(err)
	}
	_, err := a.BeginWrite(p, 0, len(p), nil, nil)
	fmt.Println("with room again:", err)
	fmt.Println("drained:", a.Drain(ctx))
	// Output:
	// write 0: <nil>
	// write 1: <nil>
	// write 2: <nil>
	// write 3: write queue is full
	// with room again: <nil>
	// drained: <nil>
}

// A server without a goroutine per connection: each accept begins the next, each stream echoes what it reads.
func ExampleListener_BeginAccept() {
	listener, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	var accepted netstream.AsyncCallback
	accepted = func(ar netstream.AsyncResult) {
		stream, err := listener.EndAccept(ar)
		if err != nil {
			return // the listener was closed
		}
		if _, err := listener.BeginAccept(accepted, nil); err != nil {
			log.Print(err)
		}
		p := make([]byte, 100)
		stream.BeginRead(p, 0, len(p), func(ar netstream.AsyncResult) {
			n, _ := stream.EndRead(ar)
			stream.Write(p[:n])
			stream.Close()
		}, nil)
	}
	if _, err := listener.BeginAccept(accepted, nil); err != nil {
		log.Fatal(err)
	}

	for _, message := range []string{"first", "second"} {
		client, err := netstream.Dial(context.Background(), "tcp", listener.Addr().String(), nil)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Fprint(client, message)
		answer, err := io.ReadAll(client)
		fmt.Println(string(answer), err)
		client.Close()
	}
	listener.Close()
	// Output:
	// first <nil>
	// second <nil>
}

// CloseTimeout says what the peer will never get.
func ExampleNetworkStream_CloseTimeout() {
	a, b := netstream.Pipe(nil)
	defer b.Close()

	p := make([]byte, 100<<10) // more than the pipe's 64 KiB, and nobody reads
	writing, err := a.BeginWrite(p, 0, len(p), nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	err = a.CloseTimeout(10 * time.Millisecond)
	var failure *netstream.IOError
	if errors.As(err, &failure) {
		fmt.Println("not sent:", failure.Unsent)
	}
	if errors.As(a.EndWrite(writing), &failure) {
		fmt.Println("sent:", failure.N, "torn:", failure.Torn)
	}
	_, err = io.Copy(io.Discard, b)
	fmt.Println("the peer knows:", errors.Is(err, netstream.CodeConnectionReset))
	// Output:
	// not sent: 36864
	// sent: 65536 torn: true
	// the peer knows: true
}

// Whichever of two reads comes first.
func ExampleWaitAny() {
	a, b := netstream.Pipe(nil)
	c, d := netstream.Pipe(nil)
	for _, s := range []*netstream.NetworkStream{a, b, c, d} {
		defer s.Close()
	}

	p, q := make([]byte, 10), make([]byte, 10)
	fromA, err := b.BeginRead(p, 0, len(p), nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	fromC, err := d.BeginRead(q, 0, len(q), nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	handles := []netstream.WaitHandle{fromA.AsyncWaitHandle(), fromC.AsyncWaitHandle()}
	fmt.Println("yet:", netstream.WaitAny(0, handles...) != netstream.WaitTimeout)

	fmt.Fprint(c, "hello")
	fmt.Println("first:", netstream.WaitAny(netstream.Infinite, handles...))
	n, err := d.EndRead(fromC)
	fmt.Printf("%s, %v\n", q[:n], err)
	// Output:
	// yet: false
	// first: 1
	// hello, <nil>
}
