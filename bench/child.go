//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// The process under test and the load generator are this program again, with one of these as its first argument
// and an order as its second. They take commands, one a line, on standard input and answer with one JSON
// event each on standard output. They end when told to, when standard input ends (the parent is gone), or
// when their time is up.
const (
	commandServe = "_serve"
	commandLoad  = "_load"
)

// order is what a child process is told.
type order struct {
	Workload  workload
	Contender string
	Address   string        // generator only
	Profile   string        // server only: file for a CPU profile from begin to end
	Verify    bool          // generator only: check every byte, for tests
	Record    bool          // server only: each allocation, to tell of what an idle connection is made
	Lifetime  time.Duration // after which it ends, whatever happens
}

// event is one line of a child's answer.
type event struct {
	Event    string // listening, ready, snapshot or failed
	Address  string `json:",omitempty"`
	Error    string `json:",omitempty"`
	Snapshot *snapshot
}

// snapshot is the state of a process at one moment.
type snapshot struct {
	Wall     time.Duration // of the monotonic clock, this process only
	CPU      time.Duration // user and system, all threads
	Messages int64         // generator: complete messages
	Mallocs  uint64
	RSS      int64 // bytes; only after a collection was asked for
	Heap     int64 // bytes of live objects; likewise
	Stacks   int64 // bytes; likewise

	Places map[string]int64 `json:",omitempty"` // bytes of live objects by who allocated them; only if each allocation is recorded

	// Hub, generator, once settled: how many of the messages that were due between begin and end should have arrived, how
	// many did, and how long those took.
	Due, Arrived int64         `json:",omitempty"`
	P50, P99     time.Duration `json:",omitempty"`
}

var processStart = time.Now()

// collections is how many it takes until what is not needed is gone: one takes things out of a sync.Pool and the next one
// frees them, and each of them at best halves the stack of a goroutine that has made a handshake.
const collections = 5

func takeSnapshot(collect bool) *snapshot {
	if collect {
		for range collections {
			runtime.GC()
		}
		debug.FreeOSMemory()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s := &snapshot{Mallocs: m.Mallocs}
	if collect {
		s.Heap, s.Stacks, s.RSS = int64(m.HeapAlloc), int64(m.StackInuse), residentBytes()
	}
	s.Wall, s.CPU = time.Since(processStart), cpuTime()
	return s
}

func cpuTime() time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func residentBytes() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}

// child is the side of a child process that talks to the parent.
type child struct {
	mu  sync.Mutex // guards out
	out *json.Encoder
}

func (c *child) say(e event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.out.Encode(e); err != nil {
		os.Exit(1) // nobody listens
	}
}

func (c *child) fail(err error) {
	c.say(event{Event: "failed", Error: err.Error()})
	os.Exit(1)
}

// obey answers the parent's commands until it says stop or is gone, and ends the process.
func (c *child) obey(snap func(command string) *snapshot) {
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() && in.Text() != "stop" {
		c.say(event{Event: "snapshot", Snapshot: snap(in.Text())})
	}
	os.Exit(0)
}

// childMain runs the program as a child process if its arguments say so; then it does not return.
func childMain(args []string) {
	if len(args) < 3 || args[1] != commandServe && args[1] != commandLoad {
		return
	}
	signal.Ignore(unix.SIGINT) // a Ctrl-C is for the parent, which ends its children itself
	c := &child{out: json.NewEncoder(os.Stdout)}
	var o order
	if err := json.Unmarshal([]byte(args[2]), &o); err != nil {
		c.fail(fmt.Errorf("order: %w", err))
	}
	time.AfterFunc(o.Lifetime, func() { c.fail(errors.New("out of time")) })
	if args[1] == commandServe {
		c.serve(o)
	}
	c.load(o)
}

// serve is the process under test.
func (c *child) serve(o order) {
	contender, err := contenderNamed(o.Contender)
	if err != nil {
		c.fail(err)
	}
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		c.fail(err)
	}
	j := &job{workload: o.Workload, ln: ln.(*net.TCPListener), message: makeMessage(o.Workload.Size)}
	if o.Workload.TLS != 0 {
		if j.tls, err = serverTLS(o.Workload.TLS); err != nil {
			c.fail(err)
		}
	}
	j.onReady = func() { c.say(event{Event: "ready"}) }
	j.onFail = c.fail
	before, address := takeSnapshot(o.Workload.collects()), ln.Addr().String()
	var places map[string]int64
	if o.Record {
		runtime.MemProfileRate = 1
		places = heapProfile()
	}
	if contender.listen != nil {
		if address, err = contender.listen(j); err != nil {
			c.fail(err)
		}
	}
	c.say(event{Event: "listening", Address: address, Snapshot: before})
	go func() {
		if err := contender.serve(j); err != nil {
			j.fail(err)
		}
	}()
	var profile *os.File
	c.obey(func(command string) *snapshot {
		switch command {
		case "begin":
			if o.Profile != "" {
				if profile, err = os.Create(o.Profile); err == nil {
					err = pprof.StartCPUProfile(profile)
				}
				if err != nil {
					c.fail(err)
				}
			}
		case "end":
			j.stopping.Store(true)
			s := takeSnapshot(false)
			if profile != nil {
				pprof.StopCPUProfile()
				profile.Close()
			}
			return s
		case "collect":
			j.stopping.Store(true)
			s := takeSnapshot(true)
			if o.Record {
				s.Places = since(places, heapProfile())
			}
			return s
		}
		return takeSnapshot(false)
	})
}

// makeMessage returns a message whose bytes tell their place.
func makeMessage(size int) []byte {
	m := make([]byte, size)
	for i := range m {
		m[i] = byte(i*7 + i>>8)
	}
	return m
}

// load is the load generator.
func (c *child) load(o order) {
	contender, err := contenderNamed(o.Contender)
	if err != nil {
		c.fail(err)
	}
	g, err := connectAll(o.Workload, contender.dialect, o.Address, o.Verify)
	if err != nil {
		c.fail(err)
	}
	c.say(event{Event: "ready"})
	go func() {
		if err := g.run(); err != nil && !g.stopping.Load() {
			c.fail(err)
		}
	}()
	c.obey(func(command string) *snapshot {
		if command == "end" {
			g.stopping.Store(true)
		}
		s := takeSnapshot(false)
		s.Messages = g.count()
		if g.hub != nil {
			g.hub.tell(command, s)
		}
		return s
	})
}
