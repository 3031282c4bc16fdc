package netstream

import (
	"errors"
	"testing"
)

// The end is asked for once, and each of its phases is left in the way that finPhase has it only.
func TestFin_Phases(t *testing.T) {
	all := []finPhase{finNone, finAsked, finSending, finSent, finFailed, finCanceled}
	for name, event := range map[string]struct {
		do      func(*finPhase)
		changes map[finPhase]finPhase
	}{
		"ask":         {(*finPhase).ask, map[finPhase]finPhase{finNone: finAsked}},
		"fail":        {(*finPhase).fail, map[finPhase]finPhase{finSending: finFailed}},
		"interrupted": {(*finPhase).interrupted, map[finPhase]finPhase{finSending: finAsked}},
		"returned":    {(*finPhase).returned, map[finPhase]finPhase{finSending: finSent}},
		"cancel":      {(*finPhase).cancel, map[finPhase]finPhase{finAsked: finCanceled}},
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

// A raw call that waits for the direction gets it when a write that was alone has gone out, and ends when everything is cut.
func TestWriteQueue_ARawCallGetsTheDirection(t *testing.T) {
	r := newQueueRig(t, &vectors{run: -1}, roomy, nil)
	raw := func() *operation {
		op := newOperation(&r.owner, kindRead, nil, nil)
		r.w.rarely().raws.pushBack(op)
		return op
	}
	r.begin(false, 3)
	r.take()
	first, second := raw(), raw()
	r.attempt(everything, true, nil)
	if !first.completed() || first.failure() != nil || r.w.phase != waiting {
		t.Errorf("completed=%t with %v, and the direction is in phase %d", first.completed(), first.failure(), r.w.phase)
	}
	if second.completed() {
		t.Error("two raw calls have the direction")
	}
	r.cutAll(errRig)
	if !errors.Is(second.failure(), errRig) {
		t.Errorf("cut, a raw call that waits says %v", second.failure())
	}
}
