package netstream

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"
	"weak"
)

// lifeOfOp drives the word of an operation through one life, as Begin, the queue, methods and the End do, beside a model of it.
type lifeOfOp struct {
	op  *operation
	tag uint64

	queue, end                       bool // the holders that it was born with
	methods                          int  // the other ones
	completed, ended, pinned, isOver bool
}

func (l *lifeOfOp) holders() int {
	n := l.methods
	for _, holds := range []bool{l.queue, l.end} {
		if holds {
			n++
		}
	}
	return n
}

// left notes that a holder has gone.
func (l *lifeOfOp) left() { l.isOver = l.holders() == 0 && !l.pinned }

// lifeOfOpEvents return false when the event cannot come, and what is wrong.
var lifeOfOpEvents = []struct {
	name string
	do   func(*lifeOfOp) (came bool, wrong string)
}{
	{"complete", func(l *lifeOfOp) (bool, string) {
		if l.completed || !l.queue {
			return false, ""
		}
		l.completed = true
		l.op.complete()
		return true, ""
	}},
	{"complete and leave", func(l *lifeOfOp) (bool, string) {
		if l.completed || !l.queue || !l.end {
			return false, ""
		}
		l.completed, l.queue = true, false
		l.op.completeAndLeave()
		return true, ""
	}},
	{"the callback starts", func(l *lifeOfOp) (bool, string) {
		if !l.completed || !l.queue {
			return false, ""
		}
		l.queue = false
		l.left()
		l.op.release(1)
		return true, ""
	}},
	{"Begin is refused", func(l *lifeOfOp) (bool, string) {
		if l.completed || l.ended || !l.queue || l.methods > 0 {
			return false, ""
		}
		l.queue, l.end = false, false
		l.left()
		l.op.release(2)
		return true, ""
	}},
	{"a method enters", func(l *lifeOfOp) (bool, string) {
		want := l.holders() > 0
		if want {
			l.methods++
		}
		return true, differs("hold", l.op.hold(l.tag), want)
	}},
	{"a method leaves", func(l *lifeOfOp) (bool, string) {
		if l.methods == 0 {
			return false, ""
		}
		l.methods--
		l.left()
		l.op.release(1)
		return true, ""
	}},
	{"the handle is asked for", func(l *lifeOfOp) (bool, string) {
		want := !l.isOver
		l.pinned = l.pinned || want
		return true, differs("pin", l.op.pin(l.tag), want)
	}},
	{"an End in one step", func(l *lifeOfOp) (bool, string) {
		want := l.completed && l.end && !l.ended && !l.pinned && l.holders() == 1
		if want {
			l.end, l.isOver = false, true
		}
		last := l.op.endAlone(l.tag)
		if last != 0 {
			l.op.leave(last)
		}
		return true, differs("endAlone", last != 0, want)
	}},
	{"an End claims", func(l *lifeOfOp) (bool, string) {
		want := l.holders() > 0 && !l.ended
		l.ended = l.ended || want
		return true, differs("claimEnd", l.op.claimEnd(l.tag), want)
	}},
	{"the End leaves", func(l *lifeOfOp) (bool, string) {
		if !l.ended || !l.end || !l.completed {
			return false, ""
		}
		l.end = false
		l.left()
		l.op.leave(0)
		return true, ""
	}},
}

func differs(what string, got, want bool) string {
	if got == want {
		return ""
	}
	return fmt.Sprintf("%s: %t, want %t", what, got, want)
}

// check returns what is wrong with what a result says of the life.
func (l *lifeOfOp) check() string {
	ar := AsyncResult{op: l.op, tag: l.tag}
	if over := l.op.word.Load()>>16 != l.tag>>16; over != l.isOver {
		return differs("over", over, l.isOver)
	}
	if wrong := differs("IsCompleted", ar.IsCompleted(), l.completed || l.holders() == 0); wrong != "" {
		return wrong
	}
	// The End of another stream: whose result it is matters only as long as it has not been ended.
	var foreign *ArgumentError
	if err := ar.claim(new(owner), kindRead); l.holders() > 0 {
		return differs("another stream's result", errors.As(err, &foreign), true)
	} else {
		return differs("ended already", errors.As(err, new(*InvalidOperationError)), true)
	}
}

// Whatever is done to an operation, in whatever order, it lives as long as somebody holds it or has asked for its handle, and
// has one End; a result of an earlier life reaches none.
func TestOperation_EverySequenceOfALife(t *testing.T) {
	const depth = 6
	lives := 0
	var walk func(path []int)
	walk = func(path []int) {
		op := newOperation(nil, kindRead, nil, nil)
		l := &lifeOfOp{op: op, tag: op.tag(), queue: true, end: true}
		for i, event := range path {
			came, wrong := lifeOfOpEvents[event].do(l)
			if wrong == "" {
				wrong = l.check()
			}
			if wrong != "" {
				names := make([]string, 0, i+1)
				for _, e := range path[:i+1] {
					names = append(names, lifeOfOpEvents[e].name)
				}
				t.Fatalf("%s: %s", strings.Join(names, ", "), wrong)
			}
			if !came {
				return
			}
		}
		if l.isOver {
			lives++
			return // what comes later is the pool's: only the check above looks
		}
		if len(path) < depth {
			for event := range lifeOfOpEvents {
				walk(append(path[:len(path):len(path)], event))
			}
		}
	}
	walk(nil)
	if lives == 0 {
		t.Error("no life has ended")
	}
}

// The count of holders has an end, at which one more waits until another has left.
func TestOperation_TheMostHolders(t *testing.T) {
	op := newOperation(nil, kindRead, nil, nil)
	tag := op.tag()
	for op.word.Load()&opHolderMask != opHolderMask {
		if !op.hold(tag) {
			t.Fatal("not to be had")
		}
	}
	full := op.word.Load()
	held := make(chan bool)
	go func() { held <- op.hold(tag) }()
	for range 1000 {
		if op.word.Load() != full {
			t.Fatal("the count ran over")
		}
		runtime.Gosched()
	}
	op.release(1)
	if !<-held || op.word.Load() != full {
		t.Error("the one that waited has not got its place")
	}
}

// again returns take's value when that is x again, which the pool has been given back. One processor, and no collection,
// mean that nobody else can have got it; the race detector has pools forget.
func again[T comparable](t *testing.T, x T, giveBack func(T), take func() T) T {
	t.Helper()
	for range 1000 {
		giveBack(x)
		got := take()
		if got == x {
			return x
		}
		x = got
	}
	t.Fatal("the pool never gives back what it got")
	panic("unreachable")
}

func alone() (restore func()) {
	procs, percent := runtime.GOMAXPROCS(1), debug.SetGCPercent(-1)
	return func() {
		runtime.GOMAXPROCS(procs)
		debug.SetGCPercent(percent)
	}
}

// An operation, and what few of them need, begins each life with nothing of the one before.
func TestOperation_NothingIsLeftOfALife(t *testing.T) {
	defer alone()()
	op := again(t, new(operation), func(op *operation) {
		op.word.Store(firstHolders)
		op.size, op.begun, op.done = 1, 1, 1
		op.chunk, op.buffer[0] = new(chunk), []byte{1}
		op.callback, op.state = func(AsyncResult) {}, "state"
		op.marks = marks{kindWrite, byBlocking, true, stopping, 1, roomHeld, fateFailed, true}
		op.rarely().err = errors.New("failed")
		op.release(2)
	}, func() *operation { return operations.Get().(*operation) })
	if op.uncommon.Load() != nil {
		t.Error("what few operations need is still there")
	}
	wantZero(t, op, "word", "owner")

	vectors := [][]byte{{1}, {2}}
	u := again(t, new(uncommon), func(u *uncommon) {
		u.err, u.cut, u.accepted, u.seq, u.wake = errors.New("failed"), &SocketError{}, new(NetworkStream), 1, new(wakeup)
		vectors[0], vectors[1] = []byte{1}, []byte{2}
		u.vectors = vectors
		u.giveBack()
	}, func() *uncommon { return uncommons.Get().(*uncommon) })
	if len(u.vectors) > 0 || vectors[0] != nil || vectors[1] != nil {
		t.Error("vectors are left", len(u.vectors), vectors)
	}
	wantZero(t, u, "vectors")
	u.vectors = make([][]byte, maxVectors+1)
	if u.clearVectors(); u.vectors != nil {
		t.Error("a large vector is kept for the next operation")
	}

	k := again(t, takeWakeup(), func(k *wakeup) { k.signal(); k.giveBack() }, takeWakeup)
	if k.signaled {
		t.Error("a wakeup was signalled before its life")
	}
}

// wantZero checks that every field is zero, except those.
func wantZero(t *testing.T, at any, except ...string) {
	t.Helper()
	v := reflect.ValueOf(at).Elem()
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; !v.Field(i).IsZero() && !strings.Contains(strings.Join(except, " "), name) {
			t.Errorf("%s is left of an earlier life", name)
		}
	}
}

// Whoever comes first makes what few operations need, and the handle; the others get the same.
func TestOperation_MadeOnce(t *testing.T) {
	for range 2000 {
		op := new(operation)
		var start, all sync.WaitGroup
		start.Add(1)
		var handles [4]*ManualResetEvent
		for i := range handles {
			all.Go(func() { start.Wait(); handles[i] = op.event() })
		}
		start.Done()
		all.Wait()
		for _, h := range handles {
			if h != handles[0] || h != op.uncommon.Load().handle.Load() {
				t.Fatal("two handles of one operation")
			}
		}
	}
}

// A watch that fires late leaves the later life of its operation alone.
func TestWatch_LateHitsNobody(t *testing.T) {
	s := bareStream(&Config{}, nil, nil)
	op := newOperation(&s.owner, kindRead, nil, nil)
	tag := op.word.Load()
	op.word.Store(nextLife(tag))
	s.read.push(op)
	s.cut(op, tag, canceledError(context.Canceled))
	if op.completed() || s.read.empty() {
		t.Fatal("cut by the watch of an earlier life")
	}
	s.cut(op, op.word.Load(), canceledError(context.Canceled))
	if !op.completed() || !s.read.empty() {
		t.Error("not cut by its own")
	}
}

// A watch that was ended holds nothing: not for as long as the context or the timeout still lasts.
func TestWatch_EndedHoldsNothing(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, watched := range map[string]struct {
		ctx     context.Context
		timeout time.Duration
	}{"context": {ctx: ctx}, "timeout": {context.Background(), time.Hour}} {
		held := func() weak.Pointer[NetworkStream] {
			s := bareStream(&Config{}, nil, nil)
			op := newOperation(&s.owner, kindRead, nil, nil)
			op.complete()
			if _, err := op.waited(s.watch(watched.ctx, op, watched.timeout)); err != nil {
				t.Error(name, err)
			}
			return weak.Make(s)
		}()
		for i := 0; held.Value() != nil; i++ {
			if i == 100 {
				t.Fatalf("%s: the stream is still held", name)
			}
			runtime.GC()
		}
	}
}
