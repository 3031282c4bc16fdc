package netstream_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
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
	if err := within(t, "the callback", ended); !errors.Is(err, context.Canceled) {
		t.Error("EndConnect:", err)
	}
}
