//go:build linux

package main

import (
	"slices"
	"testing"
)

// A target without a contender or a workload that it could have a figure from is a target that nobody sees.
func TestTargetsCanBeMeasured(t *testing.T) {
	takesPart := func(id, name string) bool {
		c, err := contenderNamed(name)
		i := slices.IndexFunc(workloads(), func(w workload) bool { return w.ID == id })
		return err == nil && i >= 0 && c.serves(workloads()[i])
	}
	for _, target := range targets() {
		if !takesPart(target.workload, target.contender) {
			t.Errorf("%s: %s takes no part in it", target.workload, target.contender)
		}
		if versus := target.versus; target.over != "" {
			if versus == "" {
				versus = target.workload
			}
			if !takesPart(versus, target.over) {
				t.Errorf("%s: %s takes no part in it", versus, target.over)
			}
		}
	}
}

// The last message of millions counts.
func TestTargetOfDelivery(t *testing.T) {
	for part, met := range map[float64]string{1: "yes", 0.9999999: "no"} {
		s := second(0, "W11-100x10", ownAuto, 100, 1)
		s.Delivered = part
		rows := (&report{Samples: []sample{s}}).targetRows()
		if len(rows) != 1 || rows[0][2] != "at least 100%" || rows[0][3] != "100.00%" || rows[0][4] != met {
			t.Errorf("%v: %q", part, rows)
		}
	}
}
