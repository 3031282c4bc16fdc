// Example writes a question with BeginWrite and reads the answer with BeginRead; it is the translation of
// ../dotnet/Example.cs.
//
//	go run ./example PORT
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"

	"github.com/seed-9ac8cf60/netstream"
)

var (
	written  = netstream.NewManualResetEvent(false)
	answered = netstream.NewManualResetEvent(false)
	buffer   [16]byte
	answer   []byte
	failure  error
)

func main() {
	if err := run(os.Args[1]); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(string(answer))
}

func run(port string) error {
	address := net.JoinHostPort("127.0.0.1", port)
	stream, err := netstream.Dial(context.Background(), "tcp", address, nil)
	if err != nil {
		return err
	}
	defer stream.Close()
	if !stream.CanWrite() {
		return fmt.Errorf("this stream cannot be written to")
	}
	question := []byte("Is anybody there?")
	if _, err := stream.BeginWrite(question, 0, len(question), writeDone, stream); err != nil {
		return err
	}
	written.WaitOne()
	if err := stream.CloseWrite(); err != nil {
		return err
	}

	if _, err := stream.BeginRead(buffer[:], 0, len(buffer), readDone, stream); err != nil {
		return err
	}
	answered.WaitOne()
	return failure
}

func writeDone(ar netstream.AsyncResult) {
	stream := ar.AsyncState().(*netstream.NetworkStream)
	if err := stream.EndWrite(ar); err != nil {
		failure = err
	}
	written.Set()
}

func readDone(ar netstream.AsyncResult) {
	stream := ar.AsyncState().(*netstream.NetworkStream)
	n, err := stream.EndRead(ar)
	answer = append(answer, buffer[:n]...)
	if err == nil {
		_, err = stream.BeginRead(buffer[:], 0, len(buffer), readDone, stream)
	}
	if err == nil {
		return
	}
	if err != io.EOF {
		failure = err
	}
	answered.Set()
}
