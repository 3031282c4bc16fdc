package engine

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
)

// realLower is an engine for TLS to stand on.
type realLower struct {
	name string
	pair func(t *testing.T) (a, b net.Conn)
	wrap func(conn net.Conn) (Connection, error)
}

func onLoop(conn net.Conn) (Connection, error) {
	c, _, err := NewOnLoop(nil, conn, Options{})
	if err == nil {
		conn.Close()
	}
	return c, err
}

func onPortable(conn net.Conn) (Connection, error) { return NewPortable(nil, conn, Options{}), nil }

func onForeign(conn net.Conn) (Connection, error) {
	return NewPortable(nil, struct{ net.Conn }{conn}, Options{}), nil
}

var realLowers = []realLower{
	{"loop", tcpPair, onLoop},
	{"portable", tcpPair, onPortable},
	{"pipe", func(*testing.T) (net.Conn, net.Conn) { return Pipe() }, onPortable},
	{"foreign", tcpPair, onForeign},
	{"net.Pipe", func(*testing.T) (net.Conn, net.Conn) { return net.Pipe() }, onForeign},
}

func tcpPair(t *testing.T) (a, b net.Conn) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	a, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

func eachReal(t *testing.T, f func(t *testing.T, l realLower)) {
	for _, l := range realLowers {
		t.Run(l.name, func(t *testing.T) { f(t, l) })
	}
}

// connect returns both ends, after the handshake.
func (l realLower) connect(t *testing.T) (client, server *testOwner) {
	t.Helper()
	clientConfig, serverConfig := tlsKeys()
	a, b := l.pair(t)
	client, server = l.over(t, a, clientConfig, false), l.over(t, b, serverConfig, true)
	over := make(chan error, 1)
	go func() { over <- server.shake(context.Background()) }()
	if err := client.shake(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	return client, server
}

func (l realLower) over(t *testing.T, conn net.Conn, config *tls.Config, server bool) *testOwner {
	t.Helper()
	below, err := l.wrap(conn)
	if errors.Is(err, errors.ErrUnsupported) {
		conn.Close()
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	o := newOwner()
	o.tls = NewTLS(below, o, TLSOptions{
		Config: config, Server: server, Ends: fakeEnds{}, IDs: [2]uint32{1, 1},
	})
	return o
}

func (o *testOwner) closeWrite() error {
	o.writeID++
	if o.tls.StartCloseWrite(o.writeID) {
		return <-o.finErr
	}
	return o.tls.CloseWrite()
}

// closeBoth closes both ends, the second one when it has read the end of the first: over a net.Pipe, a close_notify that nobody
// reads is sent for closePatience.
func closeBoth(t *testing.T, first, second *testOwner) {
	t.Helper()
	first.tls.Close(Orderly)
	for {
		if _, err := second.Read(make([]byte, 1<<10)); err != nil {
			break
		}
	}
	second.tls.Close(Orderly)
	<-first.closed
	<-second.closed
}

// TestTLSOverRealEngines sends much both ways at once, and then ends one half after the other.
func TestTLSOverRealEngines(t *testing.T) {
	eachReal(t, func(t *testing.T, l realLower) {
		client, server := l.connect(t)
		data := pattern(2_000_000)
		over := make(chan error, 4)
		go func() { over <- writeOdd(client, data) }()
		go func() { over <- writeOdd(server, data) }()
		go func() { over <- readSame(client, data) }()
		go func() { over <- readSame(server, data) }()
		for range 4 {
			if err := <-over; err != nil {
				t.Error(err)
			}
		}
		for _, o := range []*testOwner{client, server} {
			go func() { over <- o.closeWrite() }()
			go func() {
				n, err := o.Read(make([]byte, 1))
				if n == 0 && err == io.EOF {
					err = nil
				}
				over <- err
			}()
		}
		for range 4 {
			if err := <-over; err != nil {
				t.Error(err)
			}
		}
		closeBoth(t, client, server)
	})
}

// TestTLSReadThrough reads with blocking calls, where the engine below has them.
func TestTLSReadThrough(t *testing.T) {
	eachReal(t, func(t *testing.T, l realLower) {
		client, server := l.connect(t)
		if !client.tls.Traits().Through {
			closeBoth(t, client, server)
			t.Skip("it has none")
		}
		data := pattern(500_000)
		written := make(chan error, 1)
		go func() { written <- writeOdd(server, data) }()
		var got []byte
		buffer := make([]byte, 5_000)
		for len(got) < len(data) {
			client.readID++
			n, err := client.tls.ReadThrough(client.readID, buffer)
			if err != nil || n == 0 {
				t.Fatal(n, err)
			}
			got = append(got, buffer[:n]...)
		}
		if err := <-written; err != nil || !bytes.Equal(got, data) {
			t.Error("something else came", err)
		}
		over := make(chan error)
		client.readID++
		go func() {
			_, err := client.tls.ReadThrough(client.readID, buffer)
			over <- err
		}()
		client.tls.Cancel(Read, client.readID, false)
		if err := <-over; err != ErrInterrupted {
			t.Error("a call that was cancelled:", err)
		}
		closeBoth(t, client, server)
	})
}

// TestTLSResetOverRealEngines closes one end hard: the other end sees a failure and no end.
func TestTLSResetOverRealEngines(t *testing.T) {
	eachReal(t, func(t *testing.T, l realLower) {
		client, server := l.connect(t)
		over := make(chan error, 1)
		go func() { _, err := client.Write([]byte("x")); over <- err }()
		if n, err := server.Read(make([]byte, 9)); n != 1 || err != nil {
			t.Fatal(n, err)
		}
		if err := <-over; err != nil {
			t.Fatal(err)
		}
		client.tls.Close(Reset)
		<-client.closed
		if _, err := io.ReadAll(server); err == nil {
			t.Error("a reset looks like the end")
		}
		server.tls.Close(Orderly)
		<-server.closed
	})
}

// TestTLSWithCryptoTLS has crypto/tls at the other end of each engine.
func TestTLSWithCryptoTLS(t *testing.T) {
	eachReal(t, func(t *testing.T, l realLower) {
		clientConfig, serverConfig := tlsKeys()
		a, b := l.pair(t)
		client, server := tls.Client(a, clientConfig), l.over(t, b, serverConfig, true)
		over := make(chan error, 1)
		go func() { over <- client.Handshake() }()
		if err := server.shake(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-over; err != nil {
			t.Fatal(err)
		}
		echoed := make(chan error, 1)
		go func() { _, err := io.Copy(server, struct{ io.Reader }{server}); echoed <- err }()
		data := pattern(300_000)
		written := make(chan error, 1)
		go func() { written <- writeOdd(client, data) }()
		if err := readSame(client, data); err != nil {
			t.Error(err)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
		client.CloseWrite()
		if err := <-echoed; err != nil {
			t.Error(err)
		}
		closed := make(chan error)
		go func() { _, err := io.ReadAll(client); closed <- err; client.Close() }()
		server.tls.Close(Orderly)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		<-server.closed
	})
}
