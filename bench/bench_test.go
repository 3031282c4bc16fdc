//go:build linux

package main

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests start this binary again as server and generator, as the program does.
func TestMain(m *testing.M) {
	childMain(os.Args)
	os.Exit(m.Run())
}

// tiny makes a workload small enough for a test.
func tiny(w workload) workload {
	w.Conns, w.Window = min(w.Conns, 12), max(min(w.Window, 64), 1)
	w.Slow, w.Deaf = min(w.Slow, 3), min(w.Deaf, 3)
	w.Writers = min(w.Writers, 4)
	w.Size = min(w.Size, 64<<10)
	return w
}

func testRunner(t *testing.T) *runner {
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	all, err := pickCores(1 << 10)
	if err != nil {
		t.Fatal(err)
	}
	return &runner{
		settings:   settings{Rounds: 1, Warmup: 5 * time.Millisecond, Measure: 30 * time.Millisecond, Paced: 30 * time.Millisecond, Procs: 2},
		cores:      all,
		executable: executable,
		verify:     true,
		progress:   func(int, int, string) {},
		report:     &report{},
	}
}

// Every contender does every workload it takes part in, and the peer gets the right bytes in the right order.
func TestContendersDeliver(t *testing.T) {
	for _, w := range workloads() {
		for _, c := range registry {
			if !c.serves(w) {
				continue
			}
			t.Run(w.ID+"/"+c.name, func(t *testing.T) {
				t.Parallel()
				r, fails := testRunner(t), 0
				for {
					s, err := r.measure(context.Background(), cell{tiny(w), c}, 0)
					if err == nil && (w.Shape == shapeIdle || s.Messages > 0 && s.ServerCPU > 0 && s.LoadCPU > 0) {
						return
					}
					if err != nil && err != errNothing {
						if c.own() || fails == 3 {
							t.Fatal(err)
						}
						fails++ // netpoll's Flush was seen to fail with ENOENT; that is not ours to mend
						continue
					}
					// On a busy machine 30 ms may be too short for a process to do anything at all.
					r.Paced *= 10
					if r.Measure *= 10; r.Measure > time.Minute {
						t.Fatalf("%v, %+v", err, s)
					}
				}
			})
		}
	}
}

// The echo on netstream costs no allocation for a message, as its users expect.
func TestEchoDoesNotAllocate(t *testing.T) {
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("the race detector makes sync.Pool forget at random")
	}
	c, err := contenderNamed("netstream epoll")
	if err != nil {
		t.Fatal(err)
	}
	r := testRunner(t)
	r.Warmup, r.Measure = 100*time.Millisecond, 200*time.Millisecond
	var s sample
	for range 5 { // an echo that allocates does so each time, what a busy machine adds to a few messages does not
		if s, err = r.measure(context.Background(), cell{tiny(workloads()[0]), c}, 0); err != nil {
			t.Fatal(err)
		}
		if s.allocs() <= 0.05 {
			return
		}
	}
	t.Errorf("%.2f allocations for each message", s.allocs())
}

func TestReferenceTakesPartEverywhere(t *testing.T) {
	for _, w := range workloads() {
		c, err := contenderNamed(w.reference())
		if err != nil {
			t.Fatal(err)
		}
		if !c.serves(w) {
			t.Errorf("not in %s", w.ID)
		}
	}
}

// A server that fails says why; nothing is left running and nothing is counted.
func TestFailureIsReported(t *testing.T) {
	r := testRunner(t)
	broken := &contender{name: "nobody"}
	w := tiny(workloads()[0])
	if _, err := r.measure(context.Background(), cell{w, broken}, 0); err == nil || !strings.Contains(err.Error(), `unknown contender "nobody"`) {
		t.Errorf("error is %v", err)
	}
	r.executable = "/does/not/exist"
	if _, err := r.measure(context.Background(), cell{w, registry[0]}, 0); err == nil {
		t.Error("no error without an executable")
	}
}

// An interrupt ends the run at once, and the children with it.
func TestInterrupt(t *testing.T) {
	r := testRunner(t)
	r.Measure = 10 * time.Minute
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(300*time.Millisecond, cancel)
	started := time.Now()
	err := r.run(ctx, []workload{tiny(workloads()[0])}, registry[:1])
	if err != context.Canceled {
		t.Errorf("error is %v", err)
	}
	if d := time.Since(started); d > time.Minute {
		t.Errorf("took %v", d)
	}
}

// A child whose parent is gone ends by itself.
func TestChildEndsWithItsParent(t *testing.T) {
	text, err := json.Marshal(order{Workload: tiny(workloads()[0]), Contender: reference, Lifetime: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], commandServe, string(text))
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(50*time.Second, func() { cmd.Process.Kill() })
	defer timer.Stop()
	in.Close()
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}

func TestPinning(t *testing.T) {
	c, err := pickCores(1)
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Server) != 1 || len(c.Generator) == 0 {
		t.Fatalf("cores: %+v", c)
	}
	var out strings.Builder
	cmd := exec.Command("cat", "/proc/self/status")
	cmd.Stdout = &out
	if err := startOn(cmd, c.Server); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if want := "Cpus_allowed_list:\t" + trim(c.Server) + "\n"; !strings.Contains(out.String(), want) {
		t.Errorf("no %q in\n%s", want, out.String())
	}
}

func TestQuickFitsIntoTwoMinutes(t *testing.T) {
	o, err := parse([]string{"-quick"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if want := "W11-100x10, T2"; !strings.Contains(ids(o.workloads), want) || len(o.workloads) >= len(workloads()) {
		t.Errorf("a quick run has %s", ids(o.workloads))
	}
	if o.Limit <= 0 || o.Limit > 100*time.Second {
		t.Errorf("limit of %v", o.Limit)
	}
	r := testRunner(t)
	r.settings.Limit, r.Rounds = time.Nanosecond, 5
	if err := r.run(context.Background(), workloads(), registry); err != nil {
		t.Fatal(err)
	}
	if len(r.report.Samples) != 0 || len(r.report.Notes) != 1 {
		t.Errorf("samples %d, notes %q", len(r.report.Samples), r.report.Notes)
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-quick", "-rounds", "7", "-only", "w4,W10", "-contenders", "raw epoll"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := ids(o.workloads); got != "W4-64, W4-1K, W10-none, W10" {
		t.Errorf("workloads %s", got)
	}
	if o.Paced != 500*time.Millisecond {
		t.Errorf("%v of a hub", o.Paced)
	}
	if o.Rounds != 7 || o.Measure != 150*time.Millisecond {
		t.Errorf("rounds %d, measure %v: what was given wins over -quick, what was not does not", o.Rounds, o.Measure)
	}
	if len(o.contenders) != 2 || o.contenders[0].name != reference {
		t.Errorf("contenders %v", o.contenders)
	}
	for _, args := range []string{"-rounds 0", "-rounds 101", "-measure 2m", "-measure 0s", "-procs 0", "-only W", "-only W12", "-only ,",
		"-contenders x", "-patience 2h", "-nonsense", "extra"} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("no error for %s", args)
		}
	}
	for name, want := range map[string]string{"W1": "W1", "W5": "W5a, W5b", "w7B": "W7b", "W10": "W10-none, W10",
		"W11": "W11-100x1, W11-100x10, W11-400x40, W11-1000x10"} {
		ws, err := selectWorkloads(name)
		if err != nil || ids(ws) != want {
			t.Errorf("%s: %s, %v; want %s", name, ids(ws), err, want)
		}
	}
}

func TestSpread(t *testing.T) {
	s := spreadOf([]float64{4, 1, 3, 2, math.NaN()})
	if want := (spread{Median: 2.5, Min: 1, Max: 4, Q1: 1.75, Q3: 3.25, N: 4}); s != want {
		t.Errorf("%+v", s)
	}
	if s := spreadOf([]float64{5}); s.Median != 5 || s.iqr() != 0 {
		t.Errorf("%+v", s)
	}
	if s := spreadOf(nil); !math.IsNaN(s.Median) || ratio(s) != "-" {
		t.Errorf("%+v", s)
	}
}

// second makes a sample of one second.
func second(round int, workload, contender string, messages int64, serverCPU float64) sample {
	return sample{Round: round, Workload: workload, Contender: contender, Messages: messages, Elapsed: time.Second,
		ServerCPU: serverCPU, LoadCPU: 0.5, Mallocs: 2 * float64(messages)}
}

func testReport() *report {
	other := "netstream epoll"
	r := &report{Format: reportFormat, Started: time.Unix(1e9, 0).UTC(), Settings: settings{Rounds: 3, Procs: 1}}
	r.Samples = []sample{
		second(0, "W1", reference, 100, 1), second(0, "W1", other, 200, 1),
		second(1, "W1", reference, 10, 1), second(1, "W1", other, 40, 1), // ten times slower: the ratio is what counts
		second(2, "W1", reference, 100, 1), second(2, "W1", other, 150, 0.75),
		{Round: 3, Workload: "W1", Contender: reference, Error: "broke"}, second(3, "W1", other, 1e6, 1), // no pair
		second(0, "W10-none", other, 100, 1), second(0, "W10", other, 95, 1),
		second(0, "W10-none", reference, 10, 1), second(0, "W10", reference, 5, 1),
	}
	return r
}

func TestRatiosAreOfOneRound(t *testing.T) {
	r := testReport()
	rate := r.toReference(sample.rate, workloads()[0], "netstream epoll")
	if rate.Median != 2 || rate.Min != 1.5 || rate.Max != 4 || rate.N != 3 {
		t.Errorf("rates %+v", rate)
	}
	cpu := r.toReference(sample.cpu, workloads()[0], "netstream epoll")
	if cpu.Median != 0.5 || cpu.Min != 0.25 || cpu.Max != 0.5 {
		t.Errorf("CPU %+v", cpu)
	}
	own := spreadOf(r.ratios(sample.rate, "W10", "netstream epoll", "W10-none", "netstream epoll"))
	if own.Median != 0.95 {
		t.Errorf("against the other workload %+v", own)
	}
	if a := r.Samples[0].allocs(); a != 2 {
		t.Errorf("%v allocations for each message", a)
	}
}

func TestNoiseIsTold(t *testing.T) {
	r := &report{}
	for round := range 8 {
		s := second(round, "W1", reference, 1000+int64(round), 1)
		r.Samples = append(r.Samples, s)
	}
	w := workloads()[:1]
	if n := r.noise(w); len(n) != 0 {
		t.Errorf("a quiet run: %q", n)
	}
	for i := range r.Samples {
		r.Samples[i].Others, r.Samples[i].Steal = 0.5, 0.1
		r.Samples[i].ServerCPU = 1 + float64(i%2)
	}
	if n := r.noise(w); len(n) != 3 {
		t.Errorf("a noisy run: %q", n)
	}
	if v := r.verdict(); !strings.HasPrefix(v, "NOISY") {
		t.Error(v)
	}
}

func TestReportInJSON(t *testing.T) {
	r := testReport()
	file := filepath.Join(t.TempDir(), "sub", "run.json")
	if err := r.save(file); err != nil {
		t.Fatal(err)
	}
	back, err := loadReport(file)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, back) {
		t.Errorf("saved %+v\nloaded %+v", r, back)
	}
	r.Format++
	if err := r.save(file); err != nil {
		t.Fatal(err)
	}
	if _, err := loadReport(file); err == nil {
		t.Error("another format was read")
	}
}

func TestParseStat(t *testing.T) {
	l := parseStat([]byte("cpu  100 2 30 9999 7 1 5 4 60 0\ncpu0 1 1 1 1\n"))
	if want := (load{Busy: 1420 * time.Millisecond, Steal: 40 * time.Millisecond}); l != want {
		t.Errorf("%+v", l)
	}
}

func TestWindow(t *testing.T) {
	w := newWindow(8)
	taken := make(chan struct{}, 1000)
	go func() {
		for range 1000 {
			w.take()
			taken <- struct{}{}
		}
		close(taken)
	}()
	out := 0
	for range taken { // one at a time comes back, some time later
		if out++; out > 4 {
			w.give()
			out--
		}
	}
}
