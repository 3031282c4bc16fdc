package netstream

import "testing"

// The end is asked for once, and each of its phases is left in the way that finPhase has it only.
func TestFin_Phases(t *testing.T) {
	all := []finPhase{finNone, finAsked, finSending, finSent, finFailed, finCanceled}
	for name, event := range map[string]struct {
		do      func(*finPhase)
		changes map[finPhase]finPhase
	}{
		"ask":      {(*finPhase).ask, map[finPhase]finPhase{finNone: finAsked}},
		"fail":     {(*finPhase).fail, map[finPhase]finPhase{finSending: finFailed}},
		"returned": {(*finPhase).returned, map[finPhase]finPhase{finSending: finSent}},
		"cancel":   {(*finPhase).cancel, map[finPhase]finPhase{finAsked: finCanceled}},
	} {
		for _, from := range all {
			want, changes := event.changes[from]
			if !changes {
				want = from
			}
			got := from
			if event.do(&got); got != want {
				t.Errorf("%s: from phase %d to %d, want %d", name, from, got, want)
			}
		}
	}
}
