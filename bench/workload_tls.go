//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
)

// tlsWorkloads are those of the plain ones that TLS changes most, with the same numbers.
func tlsWorkloads() []workload {
	all := []workload{
		{ID: "T2", Title: "echo, 64 B, 1,000 connections", Shape: shapeEcho, Main: metricCPU, Conns: 1000, Size: 64},
		{ID: "T4-64", Title: "one stream, 64 B writes, 1,024 in flight, completion each", Shape: shapePipeline, Main: metricRate,
			Conns: 1, Size: 64, Window: 1024, Writers: 1},
		{ID: "T4-1K", Title: "one stream, 1 KiB writes, 1,024 in flight, completion each", Shape: shapePipeline, Main: metricRate,
			Conns: 1, Size: 1024, Window: 1024, Writers: 1},
		{ID: "T5b", Title: "fan-out of 128 B messages to 1,000 streams, as fast as the limits allow (64 per stream)", Shape: shapeFanout,
			Main: metricRate, Conns: 1000, Size: 128, Window: 64},
		{ID: "T7", Title: "one connection, 64 B ping-pong, Begin and End", Shape: shapeEcho, Main: metricRate, Conns: 1, Size: 64},
		idleTLS("T8-1K", 1<<10, tls.VersionTLS13), idleTLS("T8-16K", 16<<10, tls.VersionTLS13).full(), idleTLS("T8-v12", 1<<10, tls.VersionTLS12).full(),
		hub(100, 10), hub(400, 40).full(),
		{ID: "TH", Title: "full handshakes, each on a new connection and followed by an echo of 64 B, 16 clients", Shape: shapeGreet,
			Main: metricCPU, Conns: 16, Size: 64},
	}
	for i := range all {
		w := &all[i]
		if w.TLS == 0 {
			w.TLS, w.Rounds = tls.VersionTLS13, 5
		}
		if w.Shape == shapeHub {
			w.ID = fmt.Sprintf("T11-%dx%d", w.Rate, w.Batch)
		}
		w.Title = tls.VersionName(w.TLS) + ": " + w.Title
	}
	return all
}

// idleTLS has fewer connections than W8: each begins with a handshake.
func idleTLS(id string, size int, version uint16) workload {
	return workload{ID: id, Shape: shapeIdle, Main: metricMemory, Conns: 1000, Size: size, TLS: version, Rounds: 1,
		Title: fmt.Sprintf("memory for each of 1,000 idle connections that have echoed %d KiB, a read pending on each", size>>10)}
}
