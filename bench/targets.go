//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// target is a figure that netstream is meant to reach. It is the library's own measure, not a contender's.
type target struct {
	workload  string
	contender string
	about     string
	figure    figure
	over      string // the contender it is a ratio to, in the same round; empty: none, the figure itself
	versus    string // the workload of that contender, if another
	atLeast   bool   // limit is the least; otherwise the most
	limit     float64
}

const (
	ownEpoll      = "netstream epoll"
	ownAuto       = "netstream auto"
	rawFloor      = "raw epoll"
	copyFlusher   = "copying flusher"
	ofStdNet      = "std net's"
	ofRawFloor    = "the floor's"
	ofCopyFlusher = "the copying flusher's"
)

func latency(s sample) float64 { return 1 / s.rate() }
func memory(s sample) float64  { return s.RSS }

func delivered(s sample) float64 { return s.Delivered }
func middle(s sample) float64    { return s.P50 }
func tail(s sample) float64      { return s.P99 }
func kept(s sample) float64      { return s.Heap + s.Stacks }

func targets() []target {
	cpu := func(workload, over, whose string, limit float64) target {
		return target{workload: workload, contender: ownEpoll, about: "CPU per message, of " + whose, figure: sample.cpu, over: over, limit: limit}
	}
	rate := func(workload, over, whose string, limit float64) target {
		return target{workload: workload, contender: ownEpoll, about: "rate, of " + whose, figure: sample.rate, over: over, atLeast: true, limit: limit}
	}
	pingPong := func(workload string) target {
		return target{workload: workload, contender: ownAuto, about: "latency, of " + ofStdNet, figure: latency, over: reference, limit: 1.05}
	}
	return []target{
		cpu("W1", reference, ofStdNet, 0.85), cpu("W1", rawFloor, ofRawFloor, 1.12),
		cpu("W2", reference, ofStdNet, 0.78), cpu("W2", rawFloor, ofRawFloor, 1.12),
		cpu("W3", reference, ofStdNet, 0.85), cpu("W3", rawFloor, ofRawFloor, 1.12),
		rate("W4-64", reference, ofStdNet, 20), rate("W4-64", copyFlusher, ofCopyFlusher, 0.6),
		{workload: "W4-64", contender: ownEpoll, about: "allocations per write", figure: sample.allocs, limit: 0.005},
		rate("W4-1K", reference, ofStdNet, 6), rate("W4-1K", copyFlusher, ofCopyFlusher, 1),
		cpu("W5a", reference, ofStdNet, 1),
		rate("W5b", reference, ofStdNet, 3),
		rate("W6", reference, ofStdNet, 1),
		pingPong("W7a"), pingPong("W7b"),
		{workload: "W8", contender: ownEpoll, about: "bytes for an idle connection", figure: memory, limit: 700},
		rate("W9", reference, ofStdNet, 5),
		{workload: "W10", contender: ownEpoll, about: "rate, of that without slow readers", figure: sample.rate, over: ownEpoll, versus: "W10-none", atLeast: true, limit: 0.95},
	}
}

// reached is the figure over all rounds.
func (t target) reached(r *report) spread {
	if t.over == "" {
		return spreadOf(r.values(t.workload, t.contender, t.figure))
	}
	versus := t.versus
	if versus == "" {
		versus = t.workload
	}
	return spreadOf(r.ratios(t.figure, t.workload, t.contender, versus, t.over))
}

func (t target) met(s spread) bool {
	if t.atLeast {
		return s.Median >= t.limit
	}
	return s.Median <= t.limit
}

// targetRows says how each target that the run has figures for stands: workload, what, target, reached, met.
func (r *report) targetRows() [][]string {
	var rows [][]string
	for _, t := range targets() {
		s := t.reached(r)
		if math.IsNaN(s.Median) {
			continue
		}
		limit, reached, met := "at most "+short(t.limit), ratio(s), "no"
		switch {
		case t.atLeast:
			limit = "at least " + short(t.limit)
		case t.limit > 100:
			limit, reached = "at most "+byteCount(t.limit), byteCount(s.Median)
		case t.limit < 0.01:
			limit, reached = "0", allocs(s.Median)
		}
		if t.met(s) {
			met = "yes"
		}
		rows = append(rows, []string{t.workload, t.contender + ": " + t.about, limit, reached, met})
	}
	return rows
}

func (r *report) writeTargets(out io.Writer) error {
	rows := r.targetRows()
	if len(rows) == 0 {
		return nil
	}
	fmt.Fprintf(out, "\nTargets\n")
	tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\n", row[0], row[1], row[2], row[3], row[4])
	}
	return tw.Flush()
}
