//go:build linux

package main

import (
	"cmp"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// part is a share of what an idle connection costs: what one line of code allocated and what is still in use, in bytes
// per connection.
type part struct {
	What  string
	Bytes float64
}

// since is what has come into use since before.
func since(before, after map[string]int64) map[string]int64 {
	for what, bytes := range before {
		after[what] -= bytes
	}
	return after
}

// smallestPart is what a part has to be to have a line of its own, of the whole.
const smallestPart = 0.01

// heapProfile returns the bytes in use by the place that allocated them. It is exact if MemProfileRate has been 1.
func heapProfile() map[string]int64 {
	runtime.GC()
	runtime.GC() // a profile is of the collection before the last one
	records := make([]runtime.MemProfileRecord, 1<<14)
	n, ok := runtime.MemProfile(records, false)
	if !ok {
		return nil
	}
	places := make(map[string]int64)
	for i := range records[:n] {
		places[place(records[i].Stack())] += records[i].InUseBytes()
	}
	return places
}

// place names the line that allocated: the innermost one that is not the runtime's. The runtime's own are goroutines.
func place(stack []uintptr) string {
	frames := runtime.CallersFrames(stack)
	for {
		f, more := frames.Next()
		if f.Function == "runtime.malg" {
			return "a goroutine, without its stack"
		}
		if !strings.HasPrefix(f.Function, "runtime.") || !more {
			name := f.Function[strings.LastIndexByte(f.Function, '/')+1:]
			return fmt.Sprintf("%s (%s:%d)", name, filepath.Base(f.File), f.Line)
		}
	}
}

// partsOf is what was allocated and is in use, for each of n connections, the largest first.
func partsOf(places map[string]int64, n int) []part {
	var out []part
	whole := 0.0
	for _, bytes := range places {
		whole += float64(bytes) / float64(n)
	}
	rest := 0.0
	for what, bytes := range places {
		each := float64(bytes) / float64(n)
		if each < smallestPart*whole {
			rest += each
			continue
		}
		out = append(out, part{what, each})
	}
	slices.SortFunc(out, func(a, b part) int { return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), strings.Compare(a.What, b.What)) })
	return append(out, part{"smaller parts", rest})
}

// composition returns of what an idle connection's heap was made in the first round that knows.
func (r *report) composition(workload, contender string) []part {
	for _, s := range r.Samples {
		if s.Workload == workload && s.Contender == contender && len(s.Parts) > 0 {
			return s.Parts
		}
	}
	return nil
}

// compositions lists, for each contender that was looked into, the parts of its connection.
func (r *report) compositions(w workload) (titles []string, parts [][]part) {
	for _, c := range registry {
		p := r.composition(w.ID, c.name)
		if len(p) == 0 {
			continue
		}
		heap := 0.0
		for _, one := range p {
			heap += one.Bytes
		}
		titles = append(titles, fmt.Sprintf("%s: of what the %s on the heap are made", c.name, byteCount(heap)))
		parts = append(parts, p)
	}
	return titles, parts
}
