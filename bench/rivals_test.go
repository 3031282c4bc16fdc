//go:build linux

package main

import (
	"math"
	"strings"
	"testing"
)

func TestStrongestRival(t *testing.T) {
	r := &report{Samples: []sample{
		second(0, "W4-64", reference, 10, 1), second(0, "W4-64", copyFlusher, 200, 1), second(0, "W4-64", rawFloor, 300, 1),
		second(0, "W4-64", ownEpoll, 60, 1), second(0, "W4-64", ownAuto, 50, 1),
		second(0, "W1", reference, 10, 1), second(0, "W1", rawFloor, 10, 0.5),
	}}
	for id, want := range map[string]string{
		"W4-64": "Strongest rival: copying flusher, 20.0 of std net's messages per second; netstream at its best: netstream epoll, 6.00.",
		"W1":    "", // nothing to compare
	} {
		ws, err := selectWorkloads(id)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.rivalry(ws[0]); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

// A hub that drops messages has less to pay for, and is nobody's strongest rival.
func TestStrongestRivalDeliversEverything(t *testing.T) {
	w := hub(100, 10)
	whole, drops, own := second(0, w.ID, idiomatic, 100, 1), second(0, w.ID, natsStyle, 100, 0.5), second(0, w.ID, ownEpoll, 100, 0.7)
	whole.Delivered, drops.Delivered, own.Delivered = 1, 0.8, 1
	r := &report{Samples: []sample{whole, drops, own}}
	if got := r.rivalry(w); !strings.HasPrefix(got, "Strongest rival: "+idiomatic+", 1.00 ") {
		t.Error(got)
	}
	r.Samples = r.Samples[1:] // no reference, no ratios
	if name, s := r.strongest(w, true); name != "" || !math.IsNaN(s.Median) {
		t.Errorf("%s, %+v", name, s)
	}
}
