package netconn_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// BeginConnect returns at once, whatever the connecting takes. Other systems than Linux refuse what does not fit into
// the backlog.
func TestBeginConnectDoesNotWait(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	ar, err := netstream.BeginConnect(ctx, "tcp", fullBacklog(t), nil, func(ar netstream.AsyncResult) {
		_, err := netstream.EndConnect(ar)
		ended <- err
	}, "state")
	if err != nil {
		t.Fatal(err)
	}
	if ar.IsCompleted() || ar.CompletedSynchronously() || ar.AsyncState() != "state" {
		t.Errorf("completed %t, synchronously %t, state %v", ar.IsCompleted(), ar.CompletedSynchronously(), ar.AsyncState())
	}
	if ar.AsyncWaitHandle().WaitOneTimeout(20 * time.Millisecond) {
		t.Error("the wait handle is set")
	}
	cancel()
	if err := kit.Within(t, "the callback", ended); !errors.Is(err, context.Canceled) {
		t.Error("EndConnect:", err)
	}
}

// A server that resets what it accepts may do so before Dial has looked at the connection: its error tells, as net's
// would, that it was reset.
func TestConnectToAServerThatResets(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepting := kit.Async(func() error {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return err
			}
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
	})
	defer func() { ln.Close(); <-accepting }()
	address, failed := ln.Addr().String(), 0
	for _, st := range connectStyles {
		for range 1000 {
			s, err := st.connect(t.Context(), "tcp", address, nil)
			if err == nil {
				s.Close()
				continue
			}
			failed++
			checkChain(t, err, "dial")
			if !errors.Is(err, syscall.ECONNRESET) || !errors.Is(err, netstream.CodeConnectionReset) {
				t.Fatalf("%s: %v", st.name, err)
			}
		}
	}
	t.Logf("%d were reset before they were streams", failed)
}
