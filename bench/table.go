//go:build linux

package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
	"time"
)

// row is one line of a workload's table, as text.
type row struct {
	name  string
	cells []string
}

// head returns the columns of a workload's table.
func head(w workload) []string {
	of := "x " + w.reference()
	if w.Shape == shapeIdle {
		return []string{"RSS", of, "Go heap", "stacks"}
	}
	columns := []string{unit(w) + "/s", of, "CPU/" + unit(w), of, "allocs", "server", "generator"}
	if w.Shape == shapeHub {
		columns = append(columns, "delivered", "p50", of, "p99", of, "heap+stacks")
	}
	if w.Versus != "" {
		columns = append(columns, "rate, of "+w.Versus)
	}
	return columns
}

func unit(w workload) string {
	switch {
	case w.Size >= 1<<20:
		return "MiB"
	case w.Shape == shapeGreet:
		return "handshake"
	}
	return "msg"
}

// rows makes a workload's table.
func (r *report) rows(w workload) []row {
	var out []row
	for _, c := range registry {
		if !c.serves(w) || !r.has(w, c) {
			continue
		}
		if why := r.failure(w.ID, c.name); why != "" {
			out = append(out, row{c.name, []string{"failed: " + why}})
			continue
		}
		out = append(out, row{c.name, r.cells(w, c.name)})
	}
	return out
}

func (r *report) cells(w workload, name string) []string {
	median := func(f figure) float64 { return spreadOf(r.values(w.ID, name, f)).Median }
	if w.Shape == shapeIdle {
		return []string{
			byteCount(median(memory)), ratio(r.toReference(memory, w, name)),
			byteCount(median(func(s sample) float64 { return s.Heap })), byteCount(median(func(s sample) float64 { return s.Stacks })),
		}
	}
	cells := []string{
		number(median(sample.rate)), ratio(r.toReference(sample.rate, w, name)),
		duration(median(sample.cpu)), ratio(r.toReference(sample.cpu, w, name)),
		allocs(median(sample.allocs)),
		percent(median(func(s sample) float64 { return s.ServerCPU })),
		percent(median(func(s sample) float64 { return s.LoadCPU })),
	}
	if r.generatorBound(w.ID, name) {
		cells[len(cells)-1] += " (!)"
	}
	if w.Shape == shapeHub {
		cells = append(cells, fmt.Sprintf("%.1f%%", 100*median(delivered)),
			duration(median(middle)), ratio(r.toReference(middle, w, name)),
			duration(median(tail)), ratio(r.toReference(tail, w, name)),
			fmt.Sprintf("%.1f MB", median(kept)/1e6))
	}
	if w.Versus != "" {
		cells = append(cells, ratio(spreadOf(r.ratios(sample.rate, w.ID, name, w.Versus, name))))
	}
	return cells
}

// generatorBound reports whether the generator was busy while the process under test was not: then the rate is the
// generator's, and only the CPU time per message counts.
func (r *report) generatorBound(workload, name string) bool {
	server := spreadOf(r.values(workload, name, func(s sample) float64 { return s.ServerCPU })).Median
	generator := spreadOf(r.values(workload, name, func(s sample) float64 { return s.LoadCPU })).Median
	return generator > 0.9 && server < 0.9
}

func (r *report) has(w workload, c *contender) bool {
	for _, s := range r.Samples {
		if s.Workload == w.ID && s.Contender == c.name {
			return true
		}
	}
	return false
}

// failure returns why a contender has no figures in a workload, or nothing if it has some.
func (r *report) failure(workload, name string) string {
	why := ""
	for _, s := range r.Samples {
		if s.Workload == workload && s.Contender == name {
			if s.Error == "" {
				return ""
			}
			why = s.Error
		}
	}
	return why
}

// failures lists the measurements without figures.
func (r *report) failures() []string {
	var out []string
	for _, s := range r.Samples {
		if s.Error != "" {
			out = append(out, fmt.Sprintf("%s, %s, round %d: %s", s.Workload, s.Contender, s.Round+1, s.Error))
		}
	}
	return out
}

func (r *report) workloads() []workload {
	var out []workload
	for _, w := range workloads() {
		for _, s := range r.Samples {
			if s.Workload == w.ID {
				out = append(out, w)
				break
			}
		}
	}
	return out
}

// conditions describes the run, one sentence each.
func (r *report) conditions() []string {
	m := r.Machine
	pinned := fmt.Sprintf("Process under test on core %v with GOMAXPROCS=%d, load generator on core %v.",
		trim(r.Cores.Server), r.Settings.Procs, trim(r.Cores.Generator))
	if r.Cores.shared() {
		pinned += " They share a core: rates say little, CPU times more."
	}
	return append([]string{
		fmt.Sprintf("%s, %d cores, %s; %s; %s.", m.CPU, m.Cores, m.Memory, m.Kernel, m.Go),
		fmt.Sprintf("%s, %d rounds at most, %v (hubs %v) measured after %v of warm-up each, took %v.",
			r.Started.UTC().Format("2006-01-02 15:04 MST"), r.Settings.Rounds, r.Settings.Measure, r.Settings.Paced, r.Settings.Warmup, r.Took.Round(time.Second)),
		pinned,
	}, r.Notes...)
}

func trim(cpus []int) string { return strings.Trim(fmt.Sprint(cpus), "[]") }

// verdict says how quiet the machine was.
func (r *report) verdict() string {
	noise := r.noise(r.workloads())
	if len(noise) == 0 {
		return "Quiet machine: the references' own samples agree, nobody else used the cores."
	}
	return "NOISY machine, read with care: " + strings.Join(noise, "; ") + "."
}

const explanation = "Medians; ratios are to the contender named above them in the same round, with the smallest and the largest; " +
	"CPU is the server process's. (!) the generator was busier than the server, so the rate is its."

// writeTable prints the run for a terminal.
func (r *report) writeTable(out io.Writer) error {
	for _, line := range r.conditions() {
		fmt.Fprintln(out, line)
	}
	fmt.Fprintln(out, r.verdict())
	fmt.Fprintln(out, explanation)
	for _, w := range r.workloads() {
		fmt.Fprintf(out, "\n%s  %s\n", w.ID, w.Title)
		tw := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintf(tw, "\t%s\t\n", strings.Join(head(w), "\t"))
		for _, row := range r.rows(w) {
			fmt.Fprintf(tw, "%s\t%s\t\n", row.name, strings.Join(row.cells, "\t"))
		}
		if err := tw.Flush(); err != nil {
			return err
		}
		titles, parts := r.compositions(w)
		for i, title := range titles {
			fmt.Fprintf(out, "\n%s\n", title)
			for _, p := range parts[i] {
				fmt.Fprintf(out, "%8s  %s\n", byteCount(p.Bytes), p.What)
			}
		}
		if line := r.rivalry(w); line != "" {
			fmt.Fprintln(out, line)
		}
	}
	if err := r.writeTargets(out); err != nil {
		return err
	}
	if failures := r.failures(); len(failures) > 0 {
		fmt.Fprintf(out, "\nWithout figures:\n  %s\n", strings.Join(failures, "\n  "))
	}
	return nil
}

// ratio is "0.80 (0.78..0.84)".
func ratio(s spread) string {
	if math.IsNaN(s.Median) {
		return "-"
	}
	if s.N == 1 {
		return short(s.Median)
	}
	return fmt.Sprintf("%s (%s..%s)", short(s.Median), short(s.Min), short(s.Max))
}

func short(x float64) string {
	if x >= 10 {
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// number is a count of messages with three digits.
func number(x float64) string {
	switch {
	case x >= 1e6:
		return fmt.Sprintf("%.3g M", x/1e6)
	case x >= 1e3:
		return fmt.Sprintf("%.3g k", x/1e3)
	}
	return fmt.Sprintf("%.3g", x)
}

func duration(seconds float64) string {
	switch {
	case seconds >= 1e-3:
		return fmt.Sprintf("%.3g ms", seconds*1e3)
	case seconds >= 1e-6:
		return fmt.Sprintf("%.3g us", seconds*1e6)
	}
	return fmt.Sprintf("%.3g ns", seconds*1e9)
}

func byteCount(x float64) string { return fmt.Sprintf("%.0f B", x) }

func percent(x float64) string { return fmt.Sprintf("%.0f%%", 100*x) }

func allocs(x float64) string {
	if x < 0.005 {
		return "0"
	}
	return fmt.Sprintf("%.2f", x)
}
