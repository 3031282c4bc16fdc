//go:build linux

package main

import (
	"fmt"
	"slices"
	"strings"
)

// shape is what the process under test does in a workload.
type shape string

const (
	shapeEcho     shape = "echo"     // send back what comes in
	shapePipeline shape = "pipeline" // write to one stream without end
	shapeFanout   shape = "fanout"   // write one message to all streams, again and again
	shapeFeed     shape = "feed"     // write to each of many streams, as fast as it takes it
	shapeIdle     shape = "idle"     // send back what comes once, then keep a read pending on each stream
	shapeHub      shape = "hub"      // send what one connection publishes to all others
	shapeGreet    shape = "greet"    // echo on connections that come and go
)

// metric is a figure of a sample by which contenders are compared.
type metric string

const (
	metricCPU    metric = "CPU per message"
	metricRate   metric = "messages per second"
	metricMemory metric = "bytes per connection"
)

// workload is one row of the comparison. It goes to the processes as JSON.
type workload struct {
	ID    string
	Title string
	Shape shape
	Main  metric // what the workload is about

	Conns    int    // connections
	Slow     int    // of them, how many have a peer that reads slowly
	Deaf     int    // of them, how many have a peer that never reads
	Size     int    // bytes per message
	Window   int    // messages in flight per stream (pipeline: over all writers)
	Writers  int    // goroutines that write to one stream
	Lockstep bool   // fan-out: the next message when the one before has completed everywhere
	Blocking bool   // echo: with blocking Read and Write
	TLS      uint16 // version of TLS; 0: none
	Rate     int    // hub: messages published per second
	Batch    int    // hub: of them, how many at a time

	Versus string // ID of the workload to which this one's rate is compared, contender by contender
	Full   bool   // not part of a quick run, unless asked for
	Rounds int    // at most so many: the figure does not vary much, or takes long to measure; 0: any number
}

// workloads returns all of them, in the order of the table.
func workloads() []workload { return append(plainWorkloads(), tlsWorkloads()...) }

func plainWorkloads() []workload {
	return []workload{
		{ID: "W1", Title: "echo, 64 B, 64 connections", Shape: shapeEcho, Main: metricCPU, Conns: 64, Size: 64},
		{ID: "W2", Title: "echo, 64 B, 1,000 connections", Shape: shapeEcho, Main: metricCPU, Conns: 1000, Size: 64},
		{ID: "W3", Title: "echo, 1 KiB, 1,000 connections", Shape: shapeEcho, Main: metricCPU, Conns: 1000, Size: 1024},
		{ID: "W4-64", Title: "one stream, 64 B writes, 1,024 in flight, completion each", Shape: shapePipeline, Main: metricRate,
			Conns: 1, Size: 64, Window: 1024, Writers: 1},
		{ID: "W4-1K", Title: "one stream, 1 KiB writes, 1,024 in flight, completion each", Shape: shapePipeline, Main: metricRate,
			Conns: 1, Size: 1024, Window: 1024, Writers: 1},
		{ID: "W5a", Title: "fan-out of one 128 B message to 1,000 streams, the next when all have completed", Shape: shapeFanout,
			Main: metricCPU, Conns: 1000, Size: 128, Window: 1, Lockstep: true},
		{ID: "W5b", Title: "fan-out of 128 B messages to 1,000 streams, as fast as the limits allow (64 per stream)", Shape: shapeFanout,
			Main: metricRate, Conns: 1000, Size: 128, Window: 64},
		{ID: "W6", Title: "one stream, 1 MiB writes", Shape: shapePipeline, Main: metricRate, Conns: 1, Size: 1 << 20, Window: 4, Writers: 1},
		{ID: "W7a", Title: "one connection, 64 B ping-pong, blocking calls", Shape: shapeEcho, Main: metricRate, Conns: 1, Size: 64, Blocking: true},
		{ID: "W7b", Title: "one connection, 64 B ping-pong, Begin and End", Shape: shapeEcho, Main: metricRate, Conns: 1, Size: 64},
		{ID: "W8", Title: "memory for each of 10,000 idle connections that have echoed one message, a read pending on each", Shape: shapeIdle, Main: metricMemory,
			Conns: 10000, Size: 64, Rounds: 1},
		{ID: "W9", Title: "16 goroutines write 64 B messages to one stream, 1,024 in flight", Shape: shapePipeline, Main: metricRate,
			Conns: 1, Size: 64, Window: 1024, Writers: 16},
		{ID: "W10-none", Title: "160 streams fed with 128 B messages (16 in flight each), no slow reader", Shape: shapeFeed, Main: metricRate,
			Conns: 160, Size: 128, Window: 16},
		{ID: "W10", Title: "the same 160 streams, and 40 more whose peers read slowly; only the 160 count", Shape: shapeFeed, Main: metricRate,
			Conns: 200, Slow: 40, Size: 128, Window: 16, Versus: "W10-none"},
		hub(100, 1).full(), hub(100, 10), hub(400, 40).full(), hub(1000, 10).full(),
	}
}

// echoes reports whether the server sends back what comes; an idle connection has done so once.
func (w workload) echoes() bool {
	return w.Shape == shapeEcho || w.Shape == shapeIdle || w.Shape == shapeGreet
}

// collects reports whether the figures include what is in memory.
func (w workload) collects() bool { return w.Shape == shapeIdle || w.Shape == shapeHub }

// hub is a W11: a publisher that keeps to the clock, as most do, and leaves the server time.
func hub(rate, batch int) workload {
	return workload{ID: fmt.Sprintf("W11-%dx%d", rate, batch), Shape: shapeHub, Main: metricCPU,
		Title: fmt.Sprintf("hub: %d lines of 128 B a second, %d at a time, to 2,000 subscribers of whom 20 never read", rate, batch),
		Conns: 2000, Deaf: 20, Size: 128, Window: 1024, Rate: rate, Batch: batch, Rounds: 5}
}

func (w workload) full() workload {
	w.Full = true
	return w
}

// quickWorkloads leaves out those that are not part of a quick run.
func quickWorkloads() []workload {
	return slices.DeleteFunc(workloads(), func(w workload) bool { return w.Full })
}

// selectWorkloads returns the workloads that only names: IDs, or what stands before their last letters (W4 is W4-64
// and W4-1K, W5 is W5a and W5b). Empty: all.
func selectWorkloads(only string) ([]workload, error) {
	all := workloads()
	if only == "" {
		return all, nil
	}
	wanted := make(map[string]bool)
	for _, name := range strings.Split(only, ",") {
		name = strings.ToLower(strings.TrimSpace(name))
		found := false
		for _, w := range all {
			id := strings.ToLower(w.ID)
			rest, ok := strings.CutPrefix(id, name)
			if ok && name != "" && (rest == "" || rest[0] == '-' || rest == "a" || rest == "b") {
				wanted[w.ID], found = true, true
			}
		}
		if !found {
			return nil, fmt.Errorf("unknown workload %q; there are: %s", name, ids(all))
		}
	}
	for _, w := range all { // a comparison needs its other half
		if wanted[w.ID] && w.Versus != "" {
			wanted[w.Versus] = true
		}
	}
	var out []workload
	for _, w := range all {
		if wanted[w.ID] {
			out = append(out, w)
		}
	}
	return out, nil
}

func ids(all []workload) string {
	names := make([]string, len(all))
	for i, w := range all {
		names[i] = w.ID
	}
	return strings.Join(names, ", ")
}
