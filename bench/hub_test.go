//go:build linux

package main

import (
	"testing"
	"time"
)

// Of a hub's messages those count that were due between begin and end, however late they are.
func TestHubCountsWhatWasDue(t *testing.T) {
	w := tiny(hub(100, 10))
	h := &hubLoad{generator: &generator{workload: w, message: makeMessage(w.Size)}}
	at := func(command string, ms int) *snapshot {
		s := &snapshot{Wall: time.Duration(ms) * time.Millisecond}
		h.tell(command, s)
		return s
	}
	publish := func(at, every time.Duration) {
		if err := h.publish(at, every); err != nil {
			t.Fatal(err)
		}
	}
	const every = 100 * time.Millisecond
	publish(100*time.Millisecond, every)
	at("begin", 150)
	publish(200*time.Millisecond, every)
	at("end", 250)
	publish(300*time.Millisecond, every)
	h.arrived = 10 * 9
	s := at("settle", 260)
	if s.Due != 10*9 || s.Arrived != 10*9 {
		t.Errorf("due %d, arrived %d; want the batch of 10 to 9 that read", s.Due, s.Arrived)
	}
}
