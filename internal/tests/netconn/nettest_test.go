package netconn_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// pairOver returns both ends of a connection over network, as streams of that configuration.
func pairOver(t testing.TB, network string, cfg *netstream.Config) (client, server *netstream.NetworkStream) {
	t.Helper()
	ln, err := netstream.Listen(network, listenAddress(t, network), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	type accepted struct {
		s   *netstream.NetworkStream
		err error
	}
	ch := make(chan accepted, 1)
	go func() {
		s, err := ln.AcceptStream()
		ch <- accepted{s, err}
	}()
	client, err = netstream.Dial(context.Background(), network, ln.Addr().String(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	a := <-ch
	if a.err != nil {
		t.Fatal(a.err)
	}
	return client, a.s
}

// listenAddress returns an address to listen on.
func listenAddress(t testing.TB, network string) string {
	t.Helper()
	if network != "unix" {
		return "127.0.0.1:0"
	}
	dir, err := os.MkdirTemp("", "ns") // t.TempDir can be too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return filepath.Join(dir, "s")
}

// allConns is every engine over every network it serves; kit.ConnCases leaves out what differs little.
var allConns = append([]kit.ConnCase{{Name: "auto-unix", Engine: netstream.EngineAuto, Network: "unix"}}, kit.ConnCases...)

// TestConnIsACorrectNetConn holds each engine to the suite that the Go team wrote for net.Conn.
func TestConnIsACorrectNetConn(t *testing.T) {
	for _, c := range allConns {
		if !c.Usable() {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				var a, b *netstream.NetworkStream
				if c.Network == "pipe" {
					a, b = netstream.Pipe(c.Config(nil))
				} else {
					a, b = pairOver(t, c.Network, c.Config(nil))
				}
				if c.TLS() {
					kit.MustAuthenticate(t, a, b)
				}
				return a, b, func() { a.Close(); b.Close() }, nil
			})
		})
	}
}

// lentConn is a stream with LeaveOpen and the connection that it gives back: the caller closes both.
type lentConn struct {
	*netstream.NetworkStream
	below net.Conn
}

func (c lentConn) Close() error {
	if err := c.NetworkStream.Close(); err != nil {
		return err
	}
	c.below.Close() // closed twice by some subtests
	return nil
}

func TestConnWithLeaveOpenIsACorrectNetConn(t *testing.T) {
	for _, c := range allConns {
		if c.Network == "pipe" || c.TLS() || !c.Usable() {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				below1, below2 := c.NetPair(t)
				lend := func(below net.Conn) lentConn {
					return lentConn{kit.MustNew(t, below, c.Config(&netstream.Config{LeaveOpen: true})), below}
				}
				a, b := lend(below1), lend(below2)
				return a, b, func() { a.Close(); b.Close() }, nil
			})
		})
	}
}
