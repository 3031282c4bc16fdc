//go:build linux

package main

import (
	"math"
	"slices"
)

// spread is a distribution in short.
type spread struct {
	Median, Min, Max float64
	Q1, Q3           float64
	N                int
}

func spreadOf(values []float64) spread {
	v := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(v) == 0 {
		nan := math.NaN()
		return spread{Median: nan, Min: nan, Max: nan, Q1: nan, Q3: nan}
	}
	slices.Sort(v)
	return spread{Median: quantile(v, 0.5), Min: v[0], Max: v[len(v)-1], Q1: quantile(v, 0.25), Q3: quantile(v, 0.75), N: len(v)}
}

// quantile interpolates between the neighbours; sorted is not empty.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i == len(sorted)-1 {
		return sorted[i]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

// iqr is the interquartile range as a part of the median.
func (s spread) iqr() float64 { return (s.Q3 - s.Q1) / s.Median }

// figure takes one number out of a sample.
type figure func(sample) float64

// figureOf is what a workload's contenders are compared by.
func figureOf(m metric) figure {
	switch m {
	case metricCPU:
		return sample.cpu
	case metricMemory:
		return memory
	}
	return sample.rate
}

// values returns a figure for each round in which it was measured.
func (r *report) values(workload, contender string, f figure) []float64 {
	var out []float64
	for _, s := range r.Samples {
		if s.Workload == workload && s.Contender == contender && s.Error == "" {
			out = append(out, f(s))
		}
	}
	return out
}

// ratios returns, for each round in which both were measured, the figure of one cell over that of the other: what
// the machine was busy with in that round was about the same for both.
func (r *report) ratios(f figure, workload, contender, overWorkload, overContender string) []float64 {
	base := make(map[int]float64)
	for _, s := range r.Samples {
		if s.Workload == overWorkload && s.Contender == overContender && s.Error == "" {
			base[s.Round] = f(s)
		}
	}
	var out []float64
	for _, s := range r.Samples {
		if b, ok := base[s.Round]; ok && s.Workload == workload && s.Contender == contender && s.Error == "" {
			out = append(out, f(s)/b)
		}
	}
	return out
}

// toReference is the distribution of a contender's ratio to the workload's reference.
func (r *report) toReference(f figure, w workload, contender string) spread {
	return spreadOf(r.ratios(f, w.ID, contender, w.ID, w.reference()))
}

// Limits beyond which a run is called noisy.
const (
	noisySpread = 0.15 // interquartile range of the reference's own samples over their median
	noisyOthers = 0.10 // cores used by other processes
	noisySteal  = 0.02 // cores withheld by the hypervisor
)

// noise says in words what disturbed the run; nothing if it was quiet.
func (r *report) noise(ws []workload) []string {
	var out []string
	var others, steal []float64
	for _, s := range r.Samples {
		if s.Error == "" && s.Elapsed > 0 {
			others, steal = append(others, s.Others), append(steal, s.Steal)
		}
	}
	if o := mean(others); o > noisyOthers {
		out = append(out, "other processes used "+percent(o)+" of a core")
	}
	if s := mean(steal); s > noisySteal {
		out = append(out, "the hypervisor withheld "+percent(s)+" of a core")
	}
	for _, w := range ws {
		if s := spreadOf(r.values(w.ID, w.reference(), figureOf(w.Main))); s.N > 1 && s.iqr() > noisySpread {
			out = append(out, w.ID+": the "+w.reference()+"'s own samples vary by "+percent(s.iqr())+" (interquartile range)")
		}
	}
	return out
}

func mean(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	sum := 0.0
	for _, x := range v {
		sum += x
	}
	return sum / float64(len(v))
}
