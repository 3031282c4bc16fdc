//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"slices"
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
	part      bool   // the figure is a part of a whole, told in percent
	limit     float64
}

func latency(s sample) float64 { return 1 / s.rate() }
func memory(s sample) float64  { return s.RSS }

func delivered(s sample) float64 { return s.Delivered }
func middle(s sample) float64    { return s.P50 }
func tail(s sample) float64      { return s.P99 }
func kept(s sample) float64      { return s.Heap + s.Stacks }

// What targets are about, as the table says it.
const (
	theCPU     = "CPU per message"
	theRate    = "rate"
	theLatency = "latency"
)

// most is a target that a contender's figure over another's must not exceed.
func most(workload, contender, what string, f figure, over string, limit float64) target {
	return target{workload: workload, contender: contender, about: what + ", of " + over, figure: f, over: over, limit: limit}
}

// least is a target that a contender's figure over another's must reach.
func least(workload, contender, what string, f figure, over string, limit float64) target {
	t := most(workload, contender, what, f, over, limit)
	t.atLeast = true
	return t
}

func targets() []target {
	return slices.Concat(streamTargets(), hubTargets(), tlsTargets())
}

func streamTargets() []target {
	cpu := func(workload, over string, limit float64) target {
		return most(workload, ownEpoll, theCPU, sample.cpu, over, limit)
	}
	rate := func(workload, over string, limit float64) target {
		return least(workload, ownEpoll, theRate, sample.rate, over, limit)
	}
	return []target{
		cpu("W1", reference, 0.85), cpu("W1", rawFloor, 1.12),
		cpu("W2", reference, 0.78), cpu("W2", rawFloor, 1.12),
		cpu("W3", reference, 0.85), cpu("W3", rawFloor, 1.12),
		rate("W4-64", reference, 20), rate("W4-64", copyFlusher, 0.36),
		{workload: "W4-64", contender: ownEpoll, about: "allocations per write", figure: sample.allocs, limit: 0.005},
		rate("W4-1K", reference, 6), rate("W4-1K", copyFlusher, 1),
		cpu("W5a", reference, 1),
		rate("W5b", reference, 12),
		least("W4-64", ownPost, theRate, sample.rate, copyFlusher, 0.7),
		least("W5b", ownPost, theRate, sample.rate, copyFlusher, 1),
		rate("W6", reference, 1),
		most("W7a", ownAuto, theLatency, latency, reference, 1.05), most("W7b", ownAuto, theLatency, latency, reference, 1.05),
		{workload: "W8", contender: ownEpoll, about: "bytes for an idle connection that has echoed", figure: memory, limit: 900},
		rate("W9", reference, 5),
		{workload: "W10", contender: ownEpoll, about: "rate, of that without slow readers", figure: sample.rate, over: ownEpoll, versus: "W10-none", atLeast: true, limit: 0.95},
	}
}

// hubTargets are those of the paced hub.
func hubTargets() []target {
	var out []target
	for _, of := range []struct {
		workload string
		limit    float64
	}{{"W11-100x1", 0.9}, {"W11-100x10", 0.6}, {"W11-400x40", 0.4}} {
		out = append(out,
			whole(of.workload, ownBroadcast),
			most(of.workload, ownBroadcast, theCPU, sample.cpu, idiomatic, of.limit),
			most(of.workload, ownBroadcast, theCPU, sample.cpu, natsStyle, 0.85),
			most(of.workload, ownBroadcast, theCPU, sample.cpu, natsServer, 0.35),
			most(of.workload, ownBroadcast, "p50", middle, idiomatic, 0.75),
			most(of.workload, ownBroadcast, "p99", tail, idiomatic, 0.75),
			most(of.workload, ownBroadcast, "heap and stacks", kept, idiomatic, 0.15))
	}
	out = append(out, whole("W11-1000x10", ownBroadcast))
	for _, of := range []struct {
		workload string
		limit    float64
	}{{"W11-100x10", 1}, {"W11-400x40", 1.2}} {
		out = append(out, whole(of.workload, ownAuto), most(of.workload, ownAuto, theCPU, sample.cpu, idiomatic, of.limit))
	}
	return out
}

// whole is the target that a hub delivers everything to those who read.
func whole(workload, contender string) target {
	return target{workload: workload, contender: contender, about: "delivered to those who read", figure: delivered, atLeast: true, part: true, limit: 1}
}

// tlsTargets are those of TLS on the loops.
func tlsTargets() []target {
	return []target{
		most("T2", ownEpoll, theCPU, sample.cpu, tlsConn, 0.9),
		least("T4-64", ownEpoll, theRate, sample.rate, tlsConn, 15),
		{workload: "T4-64", contender: ownEpoll, about: "allocations per write", figure: sample.allocs, limit: 0.005},
		least("T4-1K", ownEpoll, theRate, sample.rate, tlsConn, 3),
		least("T5b", ownEpoll, theRate, sample.rate, tlsConn, 3),
		most("T7", ownAuto, theLatency, latency, tlsConn, 1.05),
		most("T8-1K", ownEpoll, "bytes for an idle connection", memory, tlsConn, 0.6),
		whole("T11-100x10", ownBroadcast), most("T11-100x10", ownBroadcast, theCPU, sample.cpu, idiomatic, 0.6),
		whole("T11-400x40", ownBroadcast), most("T11-400x40", ownBroadcast, theCPU, sample.cpu, idiomatic, 0.6),
		least("TH", ownEpoll, "handshakes per CPU time", perCPU, tlsConn, 0.95),
	}
}

// perCPU is the rate of a server whose core is full.
func perCPU(s sample) float64 { return 1 / s.cpu() }

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
		case t.part:
			limit, reached = fmt.Sprintf("at least %.0f%%", 100*t.limit), fmt.Sprintf("%.2f%%", 100*s.Median)
		case t.atLeast:
			limit = "at least " + short(t.limit)
		case t.limit > 100: // bytes
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
