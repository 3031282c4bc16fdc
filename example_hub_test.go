package netstream_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"slices"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// A table of streams is kept right by the streams themselves, however they end.
func ExampleNetworkStream_AfterDone() {
	a, b := netstream.Pipe(nil)
	defer b.Close()

	left := make(chan string)
	a.AfterDone(func(cause error) {
		left <- fmt.Sprint("a has left: ", cause)
	})

	a.CloseWithError(errors.New("idle for an hour"))
	fmt.Println(<-left)
	// Output: a has left: idle for an hour
}

// What a slow peer has not read yet waits in the stream, where the limits and the overflow policy know of it, and not in
// the kernel.
func ExampleSocket_SetNotSentLowWater() {
	listener, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer listener.Close()
	s, err := netstream.Dial(context.Background(), "tcp", listener.Addr().String(), &netstream.Config{
		MaxPendingBytes: 256 << 10,
		Overflow:        netstream.OverflowDropOldest,
	})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	err = s.Socket().SetNotSentLowWater(32 << 10)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) { // not every system has it
		log.Fatal(err)
	}
}

// A message is handed over and forgotten. It goes out whole, in order with all other writes.
func ExampleNetworkStream_Post() {
	a, b := netstream.Pipe(nil)
	defer b.Close()

	for _, p := range [][]byte{[]byte("one "), []byte("two "), []byte("three")} {
		if err := a.Post(p); err != nil { // p must never change again
			log.Fatal(err)
		}
	}
	if err := a.CloseTimeout(time.Second); err != nil { // sends what was posted
		log.Fatal(err)
	}

	got, err := io.ReadAll(b)
	fmt.Printf("%s, %v\n", got, err)
	// Output: one two three, <nil>
}

// One message goes to some of many streams. Who does not take it is named with the reason.
func ExampleBroadcast() {
	a, aPeer := netstream.Pipe(nil)
	defer a.Close()
	b, _ := netstream.Pipe(nil)
	b.Close()

	rooms := map[string][]*netstream.NetworkStream{"kitchen": {a, b}}
	n := netstream.Broadcast([]byte("Dinner!"), slices.Values(rooms["kitchen"]), func(s *netstream.NetworkStream, err error) {
		fmt.Println("refused by b:", s == b && errors.Is(err, net.ErrClosed))
	})
	fmt.Println("taken by", n)

	got := make([]byte, 7)
	_, err := io.ReadFull(aPeer, got)
	fmt.Println(string(got), err)
	// Output:
	// refused by b: true
	// taken by 1
	// Dinner! <nil>
}

// All who have connected get the message.
func ExampleGroup_Broadcast() {
	var subscribers netstream.Group
	listener, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{
		Group:            &subscribers,
		MaxPendingWrites: 1000,                    // a subscriber that is further behind
		Overflow:         netstream.OverflowClose, // is disconnected
	})
	if err != nil {
		log.Fatal(err)
	}
	client, err := netstream.Dial(context.Background(), "tcp", listener.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if _, err := listener.AcceptStream(); err != nil {
		log.Fatal(err)
	}

	fmt.Println("taken by", subscribers.Broadcast([]byte("hello")))
	if err := subscribers.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	got, err := io.ReadAll(client)
	fmt.Println(string(got), err)
	// Output:
	// taken by 1
	// hello <nil>
}

// A producer that is faster than its consumer posts until the queue is full, and goes on when half of it is free.
func ExampleNetworkStream_BeginWaitRoom() {
	const limit = 10_000
	a, b := netstream.Pipe(&netstream.Config{MaxPendingBytes: limit})
	defer b.Close()

	left := 100
	var produce netstream.AsyncCallback
	produce = func(ar netstream.AsyncResult) {
		if err := a.EndWaitRoom(ar); err != nil {
			log.Fatal(err)
		}
		for ; left > 0; left-- {
			err := a.Post(make([]byte, 1000))
			if errors.Is(err, netstream.ErrQueueFull) {
				if _, err := a.BeginWaitRoom(limit/2, produce, nil); err != nil {
					log.Fatal(err)
				}
				return
			}
			if err != nil {
				log.Fatal(err)
			}
		}
		if err := a.CloseWrite(); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := a.BeginWaitRoom(limit/2, produce, nil); err != nil { // there is room: produce runs soon
		log.Fatal(err)
	}

	n, err := io.Copy(io.Discard, b)
	fmt.Println(n, err)
	a.Close()
	// Output: 100000 <nil>
}
