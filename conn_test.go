package netstream_test

import (
	"context"
	"net"
	"path/filepath"
	"testing"

	"golang.org/x/net/nettest"

	"github.com/seed-9ac8cf60/netstream"
)

// pairOver returns both ends of a connection over network, as streams of that configuration.
func pairOver(t testing.TB, network string, cfg *netstream.Config) (client, server *netstream.NetworkStream) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	ln, err := netstream.Listen(network, address, cfg)
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

func TestConnIsACorrectNetConn(t *testing.T) {
	over := func(network string, cfg *netstream.Config) nettest.MakePipe {
		return func() (c1, c2 net.Conn, stop func(), err error) {
			a, b := pairOver(t, network, cfg)
			return a, b, func() { a.Close(); b.Close() }, nil
		}
	}
	t.Run("epoll TCP", func(t *testing.T) {
		nettest.TestConn(t, over("tcp", &netstream.Config{Engine: netstream.EngineEpoll}))
	})
	t.Run("epoll Unix", func(t *testing.T) {
		nettest.TestConn(t, over("unix", &netstream.Config{Engine: netstream.EngineEpoll}))
	})
	t.Run("portable TCP", func(t *testing.T) {
		nettest.TestConn(t, over("tcp", &netstream.Config{Engine: netstream.EnginePortable}))
	})
	t.Run("auto TCP", func(t *testing.T) { nettest.TestConn(t, over("tcp", nil)) })
	t.Run("Pipe", func(t *testing.T) {
		nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
			a, b := netstream.Pipe(nil)
			return a, b, func() { a.Close(); b.Close() }, nil
		})
	})
}
