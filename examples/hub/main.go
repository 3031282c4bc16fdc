// Hub sends each line of its standard input to everybody who is connected, until the input ends:
//
//	while date; do sleep 1; done | go run ./examples/hub
//	nc 127.0.0.1 7000    # in another terminal
//
// docs/hub.md explains it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"time"
)

func main() {
	address := flag.String("listen", "127.0.0.1:7000", "where subscribers connect")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *address, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "hub:", err)
		os.Exit(1)
	}
}

// patience is how long subscribers have at the end to take what waits for them.
const patience = 5 * time.Second

// run publishes the lines of r until they end or ctx is done.
func run(ctx context.Context, address string, r io.Reader) error {
	h, err := newHub(address)
	if err != nil {
		return err
	}
	slog.Info("listening", "address", h.listener.Addr())
	ended := make(chan error, 2)
	go func() { ended <- h.accept() }()
	go func() { ended <- h.publish(r) }()
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if lost := h.subscribers.Shutdown(closing); err == nil {
		err = lost
	}
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
