//go:build linux

package main

import (
	"crypto/tls"
	"fmt"
	"net"
	"sort"
	"strings"
	"sync/atomic"
)

// A contender is one way of serving connections. Each has a file of its own, contender_NAME.go, whose init
// registers it; nothing else has to be changed to add one.
type contender struct {
	name  string // in tables and for -contenders
	about string // one line for the legend
	rank  int    // place in the tables
	// serves reports whether the contender takes part in a workload.
	serves func(w workload) bool
	// serve runs the workload on j.ln until the process is ended. It calls j.ready when it has accepted all
	// connections (echo: when it accepts). An error ends the measurement.
	serve func(j *job) error

	// Of ready-made servers, which take part in hubs only; nil for all others.
	dialect *dialect                                 // what they want said around a message
	listen  func(j *job) (address string, err error) // starts to listen, in the place of j.ln
}

// The contenders that others are compared to by name.
const (
	reference   = "std net"
	idiomatic   = "idiomatic hub"
	tlsConn     = "tls.Conn"
	natsStyle   = "nats-style hub"
	natsServer  = "nats-server"
	rawFloor    = "raw epoll"
	copyFlusher = "copying flusher"

	ownPrefix    = "netstream" // every way to use this library begins with it
	ownEpoll     = "netstream epoll"
	ownAuto      = "netstream auto"
	ownPost      = "netstream Post"
	ownBroadcast = "netstream Broadcast"
	ownGroup     = "netstream Group.Broadcast"
	ownTLS       = "netstream over tls.Conn"
	ownPortable  = "netstream portable"
)

// reference is the contender to which the others of a workload are compared: what most people write.
func (w workload) reference() string {
	switch {
	case w.Shape == shapeHub:
		return idiomatic
	case w.TLS != 0:
		return tlsConn
	}
	return reference
}

var registry []*contender

func register(c *contender) {
	registry = append(registry, c)
	sort.SliceStable(registry, func(i, k int) bool { return registry[i].rank < registry[k].rank })
}

func contenderNamed(name string) (*contender, error) {
	for _, c := range registry {
		if strings.EqualFold(c.name, strings.TrimSpace(name)) {
			return c, nil
		}
	}
	names := make([]string, len(registry))
	for i, c := range registry {
		names[i] = c.name
	}
	return nil, fmt.Errorf("unknown contender %q; there are: %s", name, strings.Join(names, ", "))
}

// selectContenders returns those that the comma-separated list names, and always the workloads' references. Empty: all.
func selectContenders(only string, ws []workload) ([]*contender, error) {
	if only == "" {
		return registry, nil
	}
	wanted := make(map[string]bool)
	for _, w := range ws {
		wanted[w.reference()] = true
	}
	for _, name := range strings.Split(only, ",") {
		c, err := contenderNamed(name)
		if err != nil {
			return nil, err
		}
		wanted[c.name] = true
	}
	var out []*contender
	for _, c := range registry {
		if wanted[c.name] {
			out = append(out, c)
		}
	}
	return out, nil
}

// plain takes part in those of a contender's workloads that are without TLS.
func plain(serves func(workload) bool) func(workload) bool {
	return func(w workload) bool { return w.TLS == 0 && serves(w) }
}

// inShapes takes part in all workloads of the given shapes.
func inShapes(shapes ...shape) func(workload) bool {
	return func(w workload) bool {
		for _, s := range shapes {
			if w.Shape == s {
				return true
			}
		}
		return false
	}
}

// job is what a contender gets in the process under test.
type job struct {
	workload
	ln      *net.TCPListener
	message []byte      // Size bytes, the same for every write; nobody may change it
	tls     *tls.Config // for all connections; nil: they are plain

	readyOnce atomic.Bool
	onReady   func()
	stopping  atomic.Bool // connections are about to break, which is no failure
	onFail    func(error)
}

// over says why the serving of a connection ended. Where connections come and go, that is no failure.
func (j *job) over(err error) {
	if j.Shape != shapeGreet {
		j.fail(err)
	}
}

// ready says that all connections are served, so that warm-up can begin.
func (j *job) ready() {
	if j.readyOnce.CompareAndSwap(false, true) {
		j.onReady()
	}
}

// fail ends the measurement with an error, unless it is over anyway.
func (j *job) fail(err error) {
	if err != nil && !j.stopping.Load() {
		j.onFail(err)
	}
}

// readBuffer is the size of a server's read buffer: larger than any echoed message, so that one read takes it.
const readBuffer = 4096

// The send buffers of streams with slow or deaf peers, for every contender: the kernel's default takes megabytes before
// anything is felt. A hub's has room for a second of the fastest publisher.
const (
	slowSendBuffer = 32 << 10
	hubSendBuffer  = 64 << 10
)

// sendBuffer is the size of every connection's send buffer in this workload; 0: the kernel's.
func (w *workload) sendBuffer() int {
	switch w.Shape {
	case shapeFeed:
		return slowSendBuffer
	case shapeHub:
		return hubSendBuffer
	}
	return 0
}
