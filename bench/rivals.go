//go:build linux

package main

import (
	"fmt"
	"math"
	"strings"
)

// own reports whether a contender is a way to use this library.
func (c *contender) own() bool { return strings.HasPrefix(c.name, ownPrefix) }

// more reports whether a larger figure is the better one.
func (w workload) more() bool { return w.Main == metricRate }

// wholeDelivery is what a hub has to deliver to count among the strongest: who sends less has less to pay for.
const wholeDelivery = 0.999

// strongest is the contender with the best median among those that belong to a side, and its ratio to the reference.
// The floor is no library and belongs to none.
func (r *report) strongest(w workload, own bool) (name string, best spread) {
	best.Median = math.NaN()
	for _, c := range registry {
		if c.own() != own || c.name == rawFloor {
			continue
		}
		s := r.toReference(figureOf(w.Main), w, c.name)
		if math.IsNaN(s.Median) || w.Shape == shapeHub && spreadOf(r.values(w.ID, c.name, delivered)).Median < wholeDelivery {
			continue
		}
		if name == "" || (s.Median > best.Median) == w.more() {
			name, best = c.name, s
		}
	}
	return name, best
}

// rivalry names the strongest rival of netstream in a workload, and netstream's own best; empty: one of them is missing.
func (r *report) rivalry(w workload) string {
	rival, theirs := r.strongest(w, false)
	own, ours := r.strongest(w, true)
	if rival == "" || own == "" {
		return ""
	}
	return fmt.Sprintf("Strongest rival: %s, %s of %s's %s; netstream at its best: %s, %s.",
		rival, short(theirs.Median), w.reference(), w.Main, own, short(ours.Median))
}
