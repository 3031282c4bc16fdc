package netstream

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// callbacksRig drives the callbacks of one direction as a value, with the goroutine that runs them.
type callbacksRig struct {
	testing.TB
	c       callbackQueue
	chain   opList
	running bool
	posted  int     // tasks that wait to run
	made    int64   // operations that have completed, numbered by their size
	called  []int64 // in this order
	events  []string
}

func (q *callbacksRig) want(ok bool, what string) {
	if !ok {
		q.Fatalf("%s, after %s", what, strings.Join(q.events, ", "))
	}
}

// post takes what unlock has to do.
func (q *callbacksRig) post(work todo) {
	q.want(work == 0 || work == todoReadCallbacks, "another task is posted")
	if work != 0 {
		q.posted++
	}
	q.want(q.posted <= 1 && !(q.running && q.posted > 0), "two goroutines are to run the callbacks")
	q.want(q.c.idle() == (q.posted == 0 && !q.running), "idle with work to do, or busy without")
}

func (q *callbacksRig) complete(n int) {
	var ops opList
	for range n {
		q.made++
		ops.pushBack(&operation{size: q.made})
	}
	q.post(q.c.add(&ops))
}

func (q *callbacksRig) run() bool {
	if q.posted == 0 {
		return false
	}
	q.posted, q.running = 0, true
	q.chain = q.c.start()
	return true
}

func (q *callbacksRig) call() bool {
	if !q.running || q.chain.empty() {
		return false
	}
	q.called = append(q.called, q.chain.popFront().size)
	q.want(q.called[len(q.called)-1] == int64(len(q.called)), "a callback is called out of its order, or again")
	return true
}

// stop ends a run: at its end, or by runtime.Goexit in a callback.
func (q *callbacksRig) stop() bool {
	if !q.running {
		return false
	}
	q.running = false
	q.post(q.c.stop(&q.chain))
	return true
}

func TestCallbacks_EverySequence(t *testing.T) {
	const depth = 7
	events := []struct {
		name string
		do   func(*callbacksRig) bool
	}{
		{"one completes", func(q *callbacksRig) bool { q.complete(1); return true }},
		{"two complete", func(q *callbacksRig) bool { q.complete(2); return true }},
		{"none completes", func(q *callbacksRig) bool { q.complete(0); return true }},
		{"run", (*callbacksRig).run},
		{"call", (*callbacksRig).call},
		{"stop", (*callbacksRig).stop},
	}
	var walk func(path []int)
	walk = func(path []int) {
		q := &callbacksRig{TB: t, c: callbackQueue{bit: todoReadCallbacks}}
		for _, event := range path {
			q.events = append(q.events, events[event].name)
			if !events[event].do(q) {
				return
			}
		}
		if len(path) < depth {
			for event := range events {
				walk(append(path[:len(path):len(path)], event))
			}
			return
		}
		for q.call() || q.stop() || q.run() {
			continue
		}
		q.want(int64(len(q.called)) == q.made, "callbacks are left")
	}
	walk(nil)
}

// A deadline expires when its time has come and not before, however it was moved, and whatever timer fires late.
func TestDeadline_EverySequence(t *testing.T) {
	type rig struct {
		s       *NetworkStream
		at      time.Time // zero: none ahead
		expired bool
		pending *operation
	}
	set := func(in time.Duration) func(*rig) {
		return func(r *rig) {
			r.at, r.expired = time.Now().Add(in), in <= 0
			if in <= 0 {
				r.at = time.Time{}
			}
			if err := r.s.SetReadDeadline(time.Now().Add(in)); err != nil {
				t.Error(err)
			}
		}
	}
	events := []func(*rig){
		set(time.Second), set(3 * time.Second), set(0), set(-time.Second),
		func(r *rig) {
			r.at, r.expired = time.Time{}, false
			r.s.SetReadDeadline(time.Time{})
		},
		func(r *rig) { // a timer fires that could not be stopped any more
			r.s.mu.Lock()
			set := r.s.read.uncommon != nil && r.s.read.uncommon.deadline.timer != nil
			r.s.mu.Unlock()
			if set {
				r.s.deadlineFired(&r.s.read.side)
			}
		},
		func(r *rig) {
			time.Sleep(2 * time.Second)
			synctest.Wait()
			if !r.at.IsZero() && !r.at.After(time.Now()) {
				r.at, r.expired = time.Time{}, true
			}
		},
		func(r *rig) { // a read waits
			if r.pending == nil && !r.expired { // else its Begin would see that
				r.pending = newOperation(&r.s.owner, kindRead, nil, nil)
				r.s.mu.Lock()
				r.s.read.push(r.pending)
				r.s.mu.Unlock()
			}
		},
	}
	const depth = 4
	var walk func(path []int)
	walk = func(path []int) {
		r := &rig{s: bareStream(&Config{}, nil, nil)}
		for _, event := range path {
			events[event](r)
			r.s.mu.Lock()
			expired, other := r.s.read.expired(), r.s.write.expired()
			r.s.mu.Unlock()
			if expired != r.expired || other {
				t.Fatalf("%v: expired: %t, want %t", path, expired, r.expired)
			}
			if op := r.pending; op != nil && r.expired && event != len(events)-1 {
				if !op.completed() || !errors.Is(op.failure(), os.ErrDeadlineExceeded) {
					t.Fatalf("%v: the read that waited was not cut", path)
				}
				op.release(1)
				r.pending = nil
			}
			if op := r.pending; op != nil && op.completed() {
				t.Fatalf("%v: a read was cut before its time", path)
			}
		}
		if len(path) < depth {
			for event := range events {
				walk(append(path[:len(path):len(path)], event))
			}
		}
	}
	synctest.Test(t, func(*testing.T) { walk(nil) })
}

// After Close a timer that fires late changes nothing.
func TestDeadline_LateAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bareStream(&Config{}, nil, nil)
		s.SetReadDeadline(time.Now().Add(time.Second))
		time.Sleep(time.Hour) // it has expired, and a later one is set
		s.SetReadDeadline(time.Now().Add(time.Second))
		s.mu.Lock()
		s.read.uncommon.deadline.timer.Stop()
		s.life.close(nil, false)
		s.life.conn = connReleased
		s.mu.Unlock()
		time.Sleep(time.Hour)
		s.deadlineFired(&s.read.side)
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.read.expired() || s.read.cutting() {
			t.Error("it expired after the end")
		}
	})
}

// What is ended with effects is released once mu has been given up, each one alone.
func TestEffects_ReleaseEachOne(t *testing.T) {
	var fx writeEffects
	var ops []*operation
	for range 3 {
		op := newOperation(nil, kindRead, nil, nil)
		op.hold(op.tag())
		ops = append(ops, op)
		fx.complete(op)
	}
	fx.release()
	fx.release() // has nothing to do any more
	for i, op := range ops {
		if n := op.word.Load() & opHolderMask / opHolder; n != 2 || !op.completed() || op.next != nil || op.prev != nil {
			t.Errorf("%d: %d holders are left, want 2", i, n)
		}
	}
}

// A turn is posted once, however much is wanted, and again when it has run.
func TestTurn_PostedOnce(t *testing.T) {
	s := bareStream(&Config{}, nil, nil)
	s.wantServeLocked()
	s.wantFlushLocked()
	if s.todo != todoTurn || s.next != turnServe|turnFlush {
		t.Errorf("%+v, to do: %b", s.next, s.todo)
	}
	s.todo = 0
	s.wantServeLocked()
	s.wantFlushLocked()
	if s.todo != 0 {
		t.Error("posted twice")
	}
	s.next = 0
	s.read.phase, s.write.phase = owned, waiting
	s.wantServeLocked()
	s.wantFlushLocked()
	if s.todo != 0 || s.next != 0 {
		t.Error("a turn for directions that have their owners")
	}
}

// A cancel that comes late in a wait finds another id.
func TestSide_EachWaitHasItsID(t *testing.T) {
	var q readQueue
	before := q.id
	q.own(newOperation(nil, kindRead, nil, nil), waiting)
	q.returned()
	if q.id == before || q.phase != owned {
		t.Errorf("id %d after %d, phase %d", q.id, before, q.phase)
	}
	var fx effects
	q.cut(q.current, canceledError(context.Canceled), &fx)
	if !q.cutting() || fx.interrupt {
		t.Error("an owner at work is told by what it sees, and nothing interrupts it")
	}
	q.stopped()
	if q.cutting() {
		t.Error("the cut is left for the next one")
	}
}

// A read that is begun after its deadline says in its callback what Begin has said: that it was completed at once.
func TestDeadline_AReadThatFailsAtOnceSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(nil)
		defer b.Close()
		defer a.Close()
		a.SetReadDeadline(time.Now().Add(-time.Second))
		told := make(chan AsyncResult, 1)
		ar, err := a.BeginRead(make([]byte, 1), 0, 1, func(ar AsyncResult) { told <- ar }, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ar := <-told; !ar.CompletedSynchronously() {
			t.Error("the callback's result was not completed synchronously")
		}
		if _, err := a.EndRead(ar); !ar.CompletedSynchronously() || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(ar.CompletedSynchronously(), err)
		}
	})
}

// awaiting is an engine that can only be waited on.
type awaiting struct {
	engine.Connection
	waits int
}

func (e *awaiting) Traits() *engine.Traits        { return &engine.Traits{OnlyWaits: [2]bool{true, true}} }
func (e *awaiting) StartRead(uint32, []byte) bool { e.waits++; return true }

// A read does not begin to wait when something has happened since its attempt: a cut would come too late, and a move would
// wait for data.
func TestAwaitData_LooksAgain(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(*NetworkStream)
		from  caller
		waits bool
	}{
		"nothing":            {func(*NetworkStream) {}, byBegin, true},
		"a move":             {func(s *NetworkStream) { s.residence = moving }, byBegin, false},
		"a cut":              {func(s *NetworkStream) { s.read.cuts = cutSome }, byBegin, false},
		"a cut of all":       {func(s *NetworkStream) { s.read.stopAll(errAborted) }, byBegin, false},
		"it has to move now": {func(s *NetworkStream) { s.residence = mayMove }, byBegin, false},
		"it may stay":        {func(s *NetworkStream) { s.residence = mayMove }, byBlocking, true},
	} {
		s, e := bareStream(&Config{}, nil, nil), new(awaiting)
		op := newOperation(&s.owner, kindRead, nil, nil)
		op.caller = c.from
		s.read.own(op, owned)
		c.spoil(s)
		if waits := s.awaitData(e, op); waits != c.waits || (e.waits == 1) != c.waits || (s.read.phase == waiting) != c.waits {
			t.Errorf("%s: it waits: %t, phase %d", name, waits, s.read.phase)
		}
	}
}

// After a move the last call that is on the old connection closes it, once.
func TestMove_TheLastUserClosesTheOldConnection(t *testing.T) {
	old, peer := engine.Pipe()
	defer peer.Close()
	s := bareStream(&Config{}, nil, nil)
	s.moved, s.life.users = &moveResult{retired: old}, 2
	open := func() bool {
		_, err := old.Write([]byte{1})
		return err == nil
	}
	s.leave()
	if !open() {
		t.Error("closed under a user")
	}
	s.leave()
	if open() || s.moved != nil {
		t.Error("nobody has closed it, or somebody will again")
	}
}
