//go:build linux

package main

import (
	"context"
	"strings"
	"testing"
)

// mute never accepts anything, and sends the generator where it does not go.
var mute = &contender{
	name: "mute", rank: 99,
	serves: func(workload) bool { return false },
	listen: func(*job) (string, error) { return "192.0.2.1:1", nil },
	serve:  func(*job) error { select {} },
}

func init() { register(mute) }

// A generator that fails says why, though the server goes on waiting for it.
func TestFailureOfTheGeneratorIsReported(t *testing.T) {
	_, err := testRunner(t).measure(context.Background(), cell{tiny(workloads()[0]), mute}, 0)
	if err == nil || !strings.Contains(err.Error(), "not on the loopback interface") {
		t.Errorf("error is %v", err)
	}
}
