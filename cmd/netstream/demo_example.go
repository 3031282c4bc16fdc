package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

const (
	question = "Are you receiving this message?"
	answer   = "Yes, every byte of it."
)

// runExample is the example of the .NET page for NetworkStream.BeginWrite, with a server that answers.
func runExample(ctx context.Context, out *output) error {
	out.heading("1. The example of the .NET page NetworkStream.BeginWrite")
	server, client, err := meet(ctx, nil)
	if err != nil {
		return err
	}
	defer server.Close()
	defer client.Close()
	defer closeWhenDone(ctx, server, client)()
	out.say("server", "Listen, BeginAccept, EndAccept on %v", server.LocalAddr())
	out.say("client", "BeginConnect, EndConnect from %v", client.LocalAddr())

	asked, err := beginReadMessage(server)
	if err != nil {
		return err
	}
	if err := ask(ctx, out, client); err != nil {
		return err
	}
	if err := reply(ctx, out, server, asked); err != nil {
		return err
	}
	return hear(ctx, out, client)
}

// ask writes the question as the page does: CanWrite, BeginWrite with a callback that ends the write, and an event
// that the callback sets.
func ask(ctx context.Context, out *output, client *netstream.NetworkStream) error {
	out.say("client", "CanWrite: %t", client.CanWrite())
	if !client.CanWrite() {
		return errors.New("sorry, you cannot write to this stream")
	}

	caller := goroutineID()
	allDone := netstream.NewManualResetEvent(false)
	var result error // written by the callback before it sets allDone
	callback := func(ar netstream.AsyncResult) {
		defer allDone.Set()
		stream := ar.AsyncState().(*netstream.NetworkStream)
		result = stream.EndWrite(ar)
		here := goroutineID()
		out.say("callback", "runs on goroutine %s, another one than the caller's: %t", here, here != caller)
		out.say("callback", "EndWrite: %s", outcome(result))
	}

	out.say("client", "BeginWrite(%q) on goroutine %s", question, caller)
	start := time.Now()
	ar, err := client.BeginWrite([]byte(question), 0, len(question), callback, client)
	took := time.Since(start)
	if err != nil {
		return err
	}
	if _, err := wait(ctx, allDone.Done()); err != nil {
		return err
	}
	out.say("client", "BeginWrite had returned after %v, CompletedSynchronously: %t", took.Round(time.Microsecond), ar.CompletedSynchronously())
	if result != nil {
		return result
	}
	return client.CloseWrite()
}

// reply answers once the whole question is there, with a Begin and an End on the same goroutine: the pattern without
// a callback.
func reply(ctx context.Context, out *output, server *netstream.NetworkStream, asked *messageReader) error {
	text, err := asked.wait(ctx)
	if err != nil {
		return err
	}
	out.say("server", "received %q in %d reads", text, asked.reads)
	if text != question {
		return fmt.Errorf("the server received %q", text)
	}
	ar, err := server.BeginWrite([]byte(answer), 0, len(answer), nil, nil)
	if err != nil {
		return err
	}
	err = server.EndWrite(ar)
	out.say("server", "BeginWrite(%q), EndWrite: %s", answer, outcome(err))
	if err != nil {
		return err
	}
	return server.CloseWrite()
}

// hear reads the answer to its end and tells which engine did all this.
func hear(ctx context.Context, out *output, client *netstream.NetworkStream) error {
	heard, err := beginReadMessage(client)
	if err != nil {
		return err
	}
	text, err := heard.wait(ctx)
	if err != nil {
		return err
	}
	out.say("client", "BeginRead, EndRead: %q in %d reads of up to %d bytes", text, heard.reads, len(heard.buffer))
	if text != answer {
		return fmt.Errorf("the client received %q", text)
	}
	engine, reason := client.Socket().Engine()
	out.say("engine", "%v: %s", engine, reason)
	return nil
}

// messageReader reads until the peer has ended its half of the connection. Each callback ends one read and begins the
// next; callbacks of one direction run one at a time, so the fields need no lock.
type messageReader struct {
	stream  *netstream.NetworkStream
	buffer  [16]byte // small, so that one message takes several reads
	message bytes.Buffer
	reads   int
	done    chan error
}

func beginReadMessage(stream *netstream.NetworkStream) (*messageReader, error) {
	r := &messageReader{stream: stream, done: make(chan error, 1)}
	return r, r.begin()
}

func (r *messageReader) begin() error {
	_, err := r.stream.BeginRead(r.buffer[:], 0, len(r.buffer), r.received, nil)
	return err
}

func (r *messageReader) received(ar netstream.AsyncResult) {
	n, err := r.stream.EndRead(ar)
	if err == nil {
		r.reads++
		r.message.Write(r.buffer[:n])
		err = r.begin()
	}
	switch {
	case errors.Is(err, io.EOF):
		r.done <- nil
	case err != nil:
		r.done <- err
	}
}

// wait returns the message once it is whole.
func (r *messageReader) wait(ctx context.Context) (string, error) {
	err, stopped := wait(ctx, r.done)
	if stopped != nil {
		return "", stopped
	}
	return r.message.String(), err
}

func outcome(err error) string {
	if err != nil {
		return err.Error()
	}
	return "every byte is with the system"
}

// goroutineID reads the number of the calling goroutine from its stack trace ("goroutine 7 [running]: ..."). Programs
// have no business with that number; here it is what the reader wants to see.
func goroutineID() string {
	var trace [64]byte
	fields := bytes.Fields(trace[:runtime.Stack(trace[:], false)])
	if len(fields) < 2 {
		return "?"
	}
	return string(fields[1])
}
