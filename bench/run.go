//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"
)

// settings are the choices for a run.
type settings struct {
	Rounds   int
	Warmup   time.Duration
	Measure  time.Duration
	Paced    time.Duration // length of a measurement in which the server waits for most of the time
	Limit    time.Duration // no new round begins after it, and the running one ends; 0: none
	Procs    int           // GOMAXPROCS and cores of the process under test
	Seed     uint64        // of the order of contenders
	Profiles string        // directory for CPU profiles of the first round
	Patience time.Duration // how long, in all, to wait for a quiet machine and to repeat what was disturbed
}

// sample is one measurement: one workload, one contender, one round.
type sample struct {
	Round     int
	Workload  string
	Contender string

	Messages  int64         // that arrived at the generator
	Elapsed   time.Duration // on the generator's clock
	ServerCPU float64       // cores used by the process under test
	LoadCPU   float64       // cores used by the generator
	Mallocs   float64       // allocations of the process under test, per second

	// Idle connections: growth per connection. Hub: growth in all, after all that was published.
	RSS, Heap, Stacks float64 `json:",omitempty"`
	Parts             []part  `json:",omitempty"` // idle connections: of what Heap is made

	// Hub: the part of the messages that arrived in the end, of those that were due, and how long they took, in seconds.
	Delivered, P50, P99 float64 `json:",omitempty"`

	// The machine meanwhile, in cores: what others used, and what the hypervisor withheld.
	Others, Steal float64

	Error string `json:",omitempty"` // why there are no figures
}

// rate is messages per second.
func (s sample) rate() float64 { return float64(s.Messages) / s.Elapsed.Seconds() }

// cpu is the server's CPU time per message, in seconds. The two processes take their snapshots at slightly different
// moments, so it is made of two rates, each on its own clock.
func (s sample) cpu() float64 { return s.ServerCPU / s.rate() }

func (s sample) allocs() float64 { return s.Mallocs / s.rate() }

// report is a whole run, as it is kept in JSON.
type report struct {
	Format   int
	Started  time.Time
	Took     time.Duration
	Machine  machine
	Cores    cores
	Settings settings
	Samples  []sample
	Notes    []string `json:",omitempty"`
}

const reportFormat = 1

// runner makes a run.
type runner struct {
	settings
	cores      cores
	executable string
	verify     bool // the generator checks every byte; for tests
	progress   func(done, all int, what string)
	report     *report
}

// cell is one workload with one contender.
type cell struct {
	workload  workload
	contender *contender
}

// run makes the rounds: in each, all workloads, and for each of them all contenders one after the other in an order
// that changes. A cell that fails is reported and does not stop the others.
func (r *runner) run(ctx context.Context, ws []workload, cs []*contender) error {
	random := rand.New(rand.NewPCG(r.Seed, 0))
	started := time.Now()
	defer func() { r.report.Took = time.Since(started) }()
	all, done := 0, 0
	for round := range r.Rounds {
		all += len(cells(ws, cs, round))
	}
	for round := range r.Rounds {
		for _, group := range grouped(cells(ws, cs, round)) {
			random.Shuffle(len(group), func(i, k int) { group[i], group[k] = group[k], group[i] })
			for _, c := range group {
				if r.Limit > 0 && time.Since(started) > r.Limit {
					r.report.Notes = append(r.report.Notes, fmt.Sprintf(
						"Stopped in round %d of %d: the time limit of %v was reached.", round+1, r.Rounds, r.Limit))
					return nil
				}
				r.progress(done, all, fmt.Sprintf("round %d of %d: %s, %s", round+1, r.Rounds, c.workload.ID, c.contender.name))
				s, err := r.measureInQuiet(ctx, c, round)
				if err != nil {
					return err
				}
				r.report.Samples = append(r.report.Samples, s)
				done++
			}
		}
	}
	r.progress(all, all, "done")
	return nil
}

// disturbed is how many cores others may use before a measurement is put off or repeated. It is judged by what the
// machine did and never by the figures.
const disturbed = 0.25

// measureInQuiet makes one measurement, as far as patience goes while nobody else uses the machine. The error is
// the end of the run; a measurement that failed says so itself.
func (r *runner) measureInQuiet(ctx context.Context, c cell, round int) (sample, error) {
	for {
		for r.Patience > 0 {
			const look = 100 * time.Millisecond
			before := hostLoad()
			if err := sleep(ctx, look); err != nil {
				return sample{}, err
			}
			if hostLoad().since(before).Busy.Seconds()/look.Seconds() < disturbed {
				break
			}
			r.Patience -= look
		}
		started := time.Now()
		s, err := r.measure(ctx, c, round)
		if ctx.Err() != nil {
			return s, ctx.Err()
		}
		if err != nil {
			s.Error = err.Error()
		}
		if s.Others+s.Steal < disturbed || r.Patience <= 0 {
			return s, nil
		}
		r.Patience -= time.Since(started)
	}
}

// cells lists what a round measures, workload by workload.
func cells(ws []workload, cs []*contender, round int) []cell {
	var out []cell
	for _, w := range ws {
		if w.Rounds > 0 && round >= w.Rounds {
			continue
		}
		for _, c := range cs {
			if c.serves(w) {
				out = append(out, cell{w, c})
			}
		}
	}
	return out
}

// grouped splits cells by workload.
func grouped(all []cell) [][]cell {
	var out [][]cell
	for _, c := range all {
		if n := len(out); n > 0 && out[n-1][0].workload.ID == c.workload.ID {
			out[n-1] = append(out[n-1], c)
			continue
		}
		out = append(out, []cell{c})
	}
	return out
}

// allowance is what starting, connecting, collecting garbage and ending may take in addition to the measurement.
const allowance = time.Minute

// measure makes one measurement with two fresh processes.
func (r *runner) measure(ctx context.Context, c cell, round int) (sample, error) {
	out := sample{Round: round, Workload: c.workload.ID, Contender: c.contender.name}
	if err := r.measureOnce(ctx, c, round, false, &out); err != nil || !c.lookedInto() {
		return out, err
	}
	return out, r.measureOnce(ctx, c, round, true, &out)
}

// lookedInto reports whether it is also told of what a connection is made: ours on the loop, and what it is compared to.
func (c cell) lookedInto() bool {
	name := c.contender.name
	return c.workload.Shape == shapeIdle && (c.contender.own() && name != ownPortable || name == c.workload.reference())
}

// measureOnce fills in the figures of a measurement, or, if it records, only of what an idle connection is made:
// recording costs memory itself.
func (r *runner) measureOnce(ctx context.Context, c cell, round int, record bool, out *sample) error {
	lifetime := r.Warmup + r.lengthOf(c.workload) + allowance
	ctx, cancel := context.WithTimeout(ctx, lifetime)
	defer cancel()
	o := order{Workload: c.workload, Contender: c.contender.name, Lifetime: lifetime, Verify: r.verify, Record: record}
	if r.Profiles != "" && round == 0 {
		name := strings.NewReplacer(" ", "-", "/", "-").Replace(c.workload.ID + "-" + c.contender.name)
		o.Profile = filepath.Join(r.Profiles, name+".pprof")
	}
	server, err := r.start(ctx, commandServe, o, r.cores.Server, r.Procs)
	if err != nil {
		return err
	}
	defer server.end()
	listening, err := server.expect("listening")
	if err != nil {
		return err
	}
	o.Address = listening.Address
	generator, err := r.start(ctx, commandLoad, o, r.cores.Generator, 2)
	if err != nil {
		return err
	}
	defer generator.end()
	if err := expectBoth(server, generator, "ready"); err != nil {
		return err
	}
	switch {
	case record:
		return out.made(c.workload, server)
	case c.workload.Shape == shapeIdle:
		return out.memory(c.workload, server, listening.Snapshot)
	}
	if err := r.traffic(ctx, c.workload, out, server, generator); err != nil || c.workload.Shape != shapeHub {
		return err
	}
	return out.afterwards(server, generator, listening.Snapshot)
}

// errNothing: the measurement was too short for this machine.
var errNothing = errors.New("no message arrived")

// traffic fills in the figures of everything that moves.
func (r *runner) traffic(ctx context.Context, w workload, out *sample, server, generator *process) error {
	if err := sleep(ctx, r.Warmup); err != nil {
		return err
	}
	before, ownBefore, started := hostLoad(), cpuTime(), time.Now()
	s0, g0, err := both(server, generator, "begin")
	if err != nil {
		return err
	}
	if err := sleep(ctx, r.lengthOf(w)); err != nil {
		return err
	}
	s1, g1, err := both(server, generator, "end")
	if err != nil {
		return err
	}
	host, own, wall := hostLoad().since(before), cpuTime()-ownBefore, time.Since(started).Seconds()
	out.Messages, out.Elapsed = g1.Messages-g0.Messages, g1.Wall-g0.Wall
	out.ServerCPU = float64(s1.CPU-s0.CPU) / float64(s1.Wall-s0.Wall)
	out.LoadCPU = float64(g1.CPU-g0.CPU) / float64(g1.Wall-g0.Wall)
	out.Mallocs = float64(s1.Mallocs-s0.Mallocs) / (s1.Wall - s0.Wall).Seconds()
	ours := (s1.CPU - s0.CPU) + (g1.CPU - g0.CPU) + own
	out.Steal = host.Steal.Seconds() / wall
	out.Others = max(0, (host.Busy-host.Steal-ours).Seconds()/wall)
	if out.Messages <= 0 {
		return errNothing
	}
	return nil
}

func (s *settings) lengthOf(w workload) time.Duration {
	if w.Shape == shapeHub {
		return s.Paced
	}
	return s.Measure
}

// afterwards fills in what a hub is asked when the measurement is over and nothing more is published: what became of the
// messages that were under way at the end, and what is in memory then.
func (s *sample) afterwards(server, generator *process, before *snapshot) error {
	settled, err := generator.ask("settle")
	if err != nil {
		return err
	}
	after, err := server.ask("collect")
	if err != nil {
		return err
	}
	if settled.Due <= 0 {
		return errNothing
	}
	s.Delivered, s.P50, s.P99 = float64(settled.Arrived)/float64(settled.Due), settled.P50.Seconds(), settled.P99.Seconds()
	s.Heap, s.Stacks = float64(after.Heap-before.Heap), float64(after.Stacks-before.Stacks)
	return nil
}

// memory fills in what an idle connection costs.
func (s *sample) memory(w workload, server *process, before *snapshot) error {
	after, err := server.ask("collect")
	if err != nil {
		return err
	}
	n := float64(w.Conns)
	s.RSS = float64(after.RSS-before.RSS) / n
	s.Heap = float64(after.Heap-before.Heap) / n
	s.Stacks = float64(after.Stacks-before.Stacks) / n
	return nil
}

// made fills in of what an idle connection is made.
func (s *sample) made(w workload, server *process) error {
	after, err := server.ask("collect")
	if err != nil {
		return err
	}
	s.Parts = partsOf(after.Places, w.Conns)
	return nil
}

func both(server, generator *process, command string) (s, g *snapshot, err error) {
	if s, err = server.ask(command); err != nil {
		return nil, nil, err
	}
	g, err = generator.ask(command)
	return s, g, err
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
