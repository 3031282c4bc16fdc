package main

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/seed-9ac8cf60/netstream"
)

const defaultMessages = 200_000

// demoOptions are the flags of the demo.
type demoOptions struct {
	file     string // empty: the running executable
	messages int
}

func newDemoCommand() *cobra.Command {
	var opts demoOptions
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Run the .NET example, send a file, race net.Conn.Write",
		Long: `demo runs four steps over TCP on this machine's loopback and prints each as it happens:

  1. The example of the .NET page NetworkStream.BeginWrite: a client writes
     "Are you receiving this message?", a callback on another goroutine ends the
     write, and the answer is read with BeginRead and EndRead.
  2. A file goes over in writes of 4 KiB, many of them in flight; the receiver
     computes its SHA-256, which must agree with the sender's.
  3. Messages of 64 bytes are written once with net.Conn.Write and once with
     BeginWrite, 1,024 in flight, to the same receiver: both rates and their ratio.
  4. The same over TLS, against tls.Conn.Write.

Ctrl-C stops it. Nothing is written to disk, nothing leaves the machine.`,
		Example: `  netstream demo
  netstream demo --file /usr/bin/git --messages 1000000`,
		Args: refuseArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.messages < 1 {
				return fmt.Errorf("--messages must be at least 1, got %d", opts.messages)
			}
			if err := runDemo(cmd.Context(), opts, newOutput(cmd.OutOrStdout())); err != nil {
				return failure{err}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&opts.file, "file", "", "the file that step 2 sends (default: this program's own executable)")
	cmd.Flags().IntVar(&opts.messages, "messages", defaultMessages, "how many messages steps 3 and 4 write each way")
	return cmd
}

// runDemo runs the steps. The file is opened first: a wrong name is told before anything else happens.
func runDemo(ctx context.Context, opts demoOptions, out *output) error {
	file, err := openFile(opts.file)
	if err != nil {
		return err
	}
	defer file.Close()

	steps := []func() error{
		func() error { return runExample(ctx, out) },
		func() error { return sendFile(ctx, out, file) },
		func() error { return runRace(ctx, out, opts.messages) },
		func() error { return runEncryptedRace(ctx, out, opts.messages) },
		out.failed,
	}
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// openFile opens the file to send. Only a regular file has an end that can be waited for, and opening something else
// may block (a FIFO) or have effects (a device), so that is refused before it is opened.
func openFile(path string) (*os.File, error) {
	if path == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("find the own executable, name another file with --file: %w", err)
		}
		path = own
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory, --file needs a file", path)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a regular file", path)
	}
	return os.Open(path)
}

// connection is what an asynchronous accept or connect came to.
type connection struct {
	stream *netstream.NetworkStream
	err    error
}

// meet connects two streams over loopback with BeginAccept and BeginConnect; the client gets cfg. When ctx ends, both
// streams are closed, which completes whatever is pending on them.
func meet(ctx context.Context, cfg *netstream.Config) (server, client *netstream.NetworkStream, err error) {
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		return nil, nil, err
	}
	defer ln.Close()
	defer closeWhenDone(ctx, ln)()

	accepted := make(chan connection, 1)
	if _, err := ln.BeginAccept(func(ar netstream.AsyncResult) {
		stream, err := ln.EndAccept(ar)
		accepted <- connection{stream, err}
	}, nil); err != nil {
		return nil, nil, err
	}
	connected := make(chan connection, 1)
	if _, err := netstream.BeginConnect(ctx, "tcp", ln.Addr().String(), cfg, func(ar netstream.AsyncResult) {
		stream, err := netstream.EndConnect(ar)
		connected <- connection{stream, err}
	}, nil); err != nil {
		return nil, nil, err
	}

	c := <-connected // ends with ctx at the latest
	if c.err != nil {
		return nil, nil, c.err
	}
	s := <-accepted // ends with ctx at the latest, which closes the listener
	if s.err != nil {
		c.stream.Close()
		return nil, nil, s.err
	}
	return s.stream, c.stream, nil
}

// closeWhenDone closes all when ctx ends, until the function it returns is called.
func closeWhenDone(ctx context.Context, all ...io.Closer) (stop func() bool) {
	return context.AfterFunc(ctx, func() {
		for _, c := range all {
			c.Close()
		}
	})
}

// wait waits for one value, or for ctx to end.
func wait[T any](ctx context.Context, c <-chan T) (T, error) {
	select {
	case v := <-c:
		return v, nil
	case <-ctx.Done():
		var zero T
		return zero, ctx.Err()
	}
}
