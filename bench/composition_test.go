//go:build linux

package main

import (
	"context"
	"strings"
	"testing"
)

// Of what an idle connection is made adds up to what it takes on the heap, as far as the two can be compared.
func TestComposition(t *testing.T) {
	ws, err := selectWorkloads("W8")
	if err != nil {
		t.Fatal(err)
	}
	c, err := contenderNamed(ownEpoll)
	if err != nil {
		t.Fatal(err)
	}
	w := ws[0]
	w.Conns = 200
	s, err := testRunner(t).measure(context.Background(), cell{w, c}, 0)
	if err != nil {
		t.Fatal(err)
	}
	sum, streams := 0.0, false
	for _, p := range s.Parts {
		sum += p.Bytes
		streams = streams || strings.HasPrefix(p.What, "netstream.")
	}
	if !streams || sum < 0.5*s.Heap {
		t.Errorf("%.0f B on the heap for a connection, made of %.0f B: %+v", s.Heap, sum, s.Parts)
	}
	r := &report{Samples: []sample{s}}
	for _, text := range []string{r.markdown(""), tableOf(t, r)} {
		if !strings.Contains(text, "netstream epoll: of what the ") {
			t.Errorf("nothing about it in\n%s", text)
		}
	}
}

func TestPartsOf(t *testing.T) {
	got := partsOf(since(map[string]int64{"a": 360, "e": 50}, map[string]int64{"a": 1000, "b": 6400, "c": 10, "d": 20, "e": 50}), 10)
	want := []part{{"b", 640}, {"a", 64}, {"smaller parts", 3}}
	if len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("%+v", got)
	}
}

func tableOf(t *testing.T, r *report) string {
	var b strings.Builder
	if err := r.writeTable(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
