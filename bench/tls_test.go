//go:build linux

package main

import (
	"bytes"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is a connection that has made its handshake: a server by net, and the generator's end.
func pair(t *testing.T) (*tls.Conn, *secured) {
	t.Helper()
	config, err := serverTLS(tls.VersionTLS13)
	if err != nil {
		t.Fatal(err)
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]) })
	file := os.NewFile(uintptr(fds[1]), "server")
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	server := tls.Server(conn, config)
	t.Cleanup(func() { server.Close() })
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	g := &generator{workload: workload{TLS: tls.VersionTLS13}}
	client, err := g.secure(fds[0])
	if err == nil {
		err = <-done
	}
	if err != nil {
		t.Fatal(err)
	}
	client.wire.waits = false
	return server, client
}

// The generator counts what records carry without deciphering them, however they are cut.
func TestRecordCounter(t *testing.T) {
	server, client := pair(t)
	want := 0
	for _, size := range []int{1, 64, 1000, 40_000} {
		if _, err := server.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
		want += size
	}
	sealed := make([]byte, 64<<10)
	n, err := unix.Read(client.wire.fd, sealed)
	if err != nil {
		t.Fatal(err)
	}
	for n < len(sealed) {
		more, err := rawReceive(client.wire.fd, sealed[n:])
		if err == unix.EAGAIN {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n += more
	}
	for _, step := range []int{1, 2, 7, 1000, n} {
		var r recordCounter
		got := 0
		for rest := sealed[:n]; len(rest) > 0; {
			part := rest[:min(step, len(rest))]
			rest = rest[len(part):]
			got += r.count(part)
		}
		if got != want {
			t.Errorf("in steps of %d: %d bytes, want %d", step, got, want)
		}
	}
}

// A read that finds a part of a record says so, and the next one goes on with it.
func TestWireReadsOn(t *testing.T) {
	server, client := pair(t)
	var sealed []byte
	client.wire.queue = &sealed
	message := makeMessage(3000)
	if _, err := client.Write(message); err != nil {
		t.Fatal(err)
	}
	if len(sealed) <= len(message) {
		t.Errorf("%d bytes were queued for a message of %d", len(sealed), len(message))
	}
	inbox := make([]byte, len(message))
	if _, err := client.Read(inbox); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("error is %v where there is nothing to read", err)
	}
	if _, err := server.Write(message); err != nil {
		t.Fatal(err)
	}
	for got := 0; got < len(message); {
		n, err := client.Read(inbox[got:])
		if err != nil {
			t.Fatal(err)
		}
		got += n
	}
	if !bytes.Equal(inbox, message) {
		t.Error("what arrived is not what was sent")
	}
}
