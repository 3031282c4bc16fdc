// Command netstream shows what package netstream does, on this machine and for real.
//
//	netstream demo       the example, a file with its checksum, and races against net.Conn.Write and tls.Conn.Write
//	netstream version    version, Go release and platform
//
// It exits with status 0 when all went well, 1 when something failed, 2 when it was called wrongly and 130 when
// Ctrl-C stopped it. Each of the last three comes with one line on standard error.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
)

// Exit statuses. They are part of what scripts may rely on.
const (
	statusOK          = 0
	statusFailed      = 1
	statusUsage       = 2
	statusInterrupted = 130 // 128 + SIGINT, as shells report it
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	// The first Ctrl-C asks; after it the default handling is back, so that a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is the whole program: it runs the command that args name and returns the exit status. It touches nothing of the
// process except the three streams it is given, so tests call it like any function.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)

	err := root.ExecuteContext(ctx)
	if err == nil {
		return statusOK
	}
	status, text := explain(ctx, err)
	_, _ = fmt.Fprintln(stderr, "netstream: "+oneLine(text)) // with standard error gone there is nobody left to tell
	return status
}

// failure marks an error that came up while a command was doing its work. What cobra returns unmarked is a refusal of
// the command line.
type failure struct{ err error }

func (f failure) Error() string { return f.err.Error() }
func (f failure) Unwrap() error { return f.err }

// explain turns the error of a command into the exit status and the one line that goes with it.
func explain(ctx context.Context, err error) (status int, text string) {
	if !errors.As(err, new(failure)) {
		return statusUsage, err.Error() + " (see netstream --help)"
	}
	if ctx.Err() != nil {
		return statusInterrupted, "interrupted"
	}
	return statusFailed, err.Error()
}

// oneLine keeps a message on one line: an argument that it quotes may hold line breaks.
func oneLine(s string) string {
	return strings.NewReplacer("\n", `\n`, "\r", `\r`).Replace(s)
}
