//go:build linux

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// settings are the choices for a run.
type settings struct {
	Rounds   int
	Warmup   time.Duration
	Measure  time.Duration
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

	// Idle connections: growth per connection. Hub: Heap and Stacks in all, after a collection under load.
	RSS, Heap, Stacks float64 `json:",omitempty"`

	// Hub: the part of the messages that arrived, of those that were due, and how long they took, in seconds.
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
		if w.Once && round > 0 {
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
const allowance = 30 * time.Second

// measure makes one measurement with two fresh processes.
func (r *runner) measure(ctx context.Context, c cell, round int) (sample, error) {
	out := sample{Round: round, Workload: c.workload.ID, Contender: c.contender.name}
	lifetime := r.Warmup + r.Measure + allowance
	ctx, cancel := context.WithTimeout(ctx, lifetime)
	defer cancel()
	o := order{Workload: c.workload, Contender: c.contender.name, Lifetime: lifetime, Verify: r.verify}
	if r.Profiles != "" && round == 0 {
		name := strings.NewReplacer(" ", "-", "/", "-").Replace(c.workload.ID + "-" + c.contender.name)
		o.Profile = filepath.Join(r.Profiles, name+".pprof")
	}
	server, err := r.start(ctx, commandServe, o, r.cores.Server, r.Procs)
	if err != nil {
		return out, err
	}
	defer server.end()
	listening, err := server.expect("listening")
	if err != nil {
		return out, err
	}
	o.Address = listening.Address
	generator, err := r.start(ctx, commandLoad, o, r.cores.Generator, 2)
	if err != nil {
		return out, err
	}
	defer generator.end()
	for _, p := range []*process{server, generator} {
		if _, err := p.expect("ready"); err != nil {
			return out, err
		}
	}
	if c.workload.Shape == shapeIdle {
		return out, out.memory(c.workload, server, listening.Snapshot)
	}
	return out, r.traffic(ctx, &out, server, generator)
}

// traffic fills in the figures of everything that moves.
func (r *runner) traffic(ctx context.Context, out *sample, server, generator *process) error {
	if err := sleep(ctx, r.Warmup); err != nil {
		return err
	}
	before, ownBefore, started := hostLoad(), cpuTime(), time.Now()
	s0, g0, err := both(server, generator, "begin")
	if err != nil {
		return err
	}
	if err := sleep(ctx, r.Measure); err != nil {
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
		return errors.New("no message arrived")
	}
	if due := g1.Due - g0.Due; due > 0 {
		out.Delivered, out.P50, out.P99 = float64(out.Messages)/float64(due), g1.P50.Seconds(), g1.P99.Seconds()
		out.Heap, out.Stacks = float64(s1.Heap), float64(s1.Stacks)
	}
	return nil
}

// memory fills in what an idle connection costs.
func (s *sample) memory(w workload, server *process, before *snapshot) error {
	after, err := server.ask("end")
	if err != nil {
		return err
	}
	n := float64(w.Conns)
	s.RSS = float64(after.RSS-before.RSS) / n
	s.Heap = float64(after.Heap-before.Heap) / n
	s.Stacks = float64(after.Stacks-before.Stacks) / n
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

// process is a child, seen from the parent.
type process struct {
	what   string
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *json.Decoder
	stderr bytes.Buffer
	ctx    context.Context
}

// start starts this program again. When ctx is done, the child is killed by its id.
func (r *runner) start(ctx context.Context, command string, o order, cpus []int, procs int) (*process, error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	p := &process{what: command[1:], ctx: ctx}
	p.cmd = exec.CommandContext(ctx, r.executable, command, string(text))
	p.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", procs))
	p.cmd.Stderr = &p.stderr
	p.cmd.WaitDelay = time.Second
	if p.in, err = p.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.out = json.NewDecoder(out)
	return p, startOn(p.cmd, cpus)
}

// expect reads the child's next event, which has to be the named one.
func (p *process) expect(name string) (event, error) {
	var e event
	switch err := p.out.Decode(&e); {
	case p.ctx.Err() != nil:
		return e, fmt.Errorf("%s: no %s in time: %w", p.what, name, p.ctx.Err())
	case err != nil:
		return e, fmt.Errorf("%s: %w: %s", p.what, err, strings.TrimSpace(p.stderr.String()))
	case e.Event == "failed":
		return e, fmt.Errorf("%s: %s", p.what, e.Error)
	case e.Event != name:
		return e, fmt.Errorf("%s: %s where %s was expected", p.what, e.Event, name)
	}
	return e, nil
}

func (p *process) ask(command string) (*snapshot, error) {
	if _, err := fmt.Fprintln(p.in, command); err != nil {
		if e, broken := p.expect("snapshot"); broken != nil { // it says why, if it can
			return e.Snapshot, broken
		}
		return nil, fmt.Errorf("%s: %w", p.what, err)
	}
	e, err := p.expect("snapshot")
	return e.Snapshot, err
}

// end tells the child to end and sees to it that it has.
func (p *process) end() {
	fmt.Fprintln(p.in, "stop")
	p.in.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer timer.Stop()
	_ = p.cmd.Wait() // what went wrong was said before
}
