package netstream

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// lifeRig drives the life of a stream as a value, with what the calls of a stream would do.
type lifeRig struct {
	life
	released, finished int // how often the caller was told to
	aborted            []error
}

var lifeEvents = []struct {
	name string
	do   func(*lifeRig)
}{
	{"enter", func(r *lifeRig) {
		if r.disposed() == nil {
			r.users++
		}
	}},
	{"leave", func(r *lifeRig) { r.users = max(r.users-1, 0) }},
	{"drain", func(r *lifeRig) { r.drain() }},
	{"Close", func(r *lifeRig) { r.abort(r.close(errClosing, true)) }},
	{"Socket.Close", func(r *lifeRig) { r.abort(r.closeSocket(nil)) }},
	{"unlock", func(r *lifeRig) {
		if r.release(true) {
			r.released++
		}
	}},
	{"the engine has closed", func(r *lifeRig) {
		if r.conn == connReleasing {
			r.life.released()
		}
	}},
	{"no callback is left", func(r *lifeRig) {
		if r.finish(true) {
			r.finished++
			r.tell()
		}
	}},
}

func (r *lifeRig) abort(e error) {
	if e != nil {
		r.aborted = append(r.aborted, e)
	}
}

// check returns what is wrong after a step that has led from before to here.
func (r *lifeRig) check(before life) error {
	switch {
	case r.stream < before.stream || r.conn < before.conn:
		return fmt.Errorf("it went back from %d, %d to %d, %d", before.stream, before.conn, r.stream, r.conn)
	case r.released > 1 || r.finished > 1 || len(r.aborted) > 1:
		return fmt.Errorf("released %d, finished %d, aborted %d times", r.released, r.finished, len(r.aborted))
	case r.released > 0 && r.users > 0:
		return errors.New("the connection was released under a user")
	case r.down() != (r.disposed() != nil) || r.down() != (len(r.aborted) > 0):
		return fmt.Errorf("down %t, disposed %t, aborted %d times", r.down(), r.disposed() != nil, len(r.aborted))
	case (r.stream >= streamOver) != (r.finished > 0) || r.finished > 0 && (!r.closed() || r.conn != connReleased):
		return fmt.Errorf("finished %d times at %d, %d", r.finished, r.stream, r.conn)
	}
	select {
	case <-r.done():
		if r.stream != streamDone {
			return errors.New("Done is closed too early")
		}
	default:
		if r.stream == streamDone {
			return errors.New("Done is not closed")
		}
	}
	return nil
}

func TestLifeInEveryOrderOfEvents(t *testing.T) {
	const depth = 6
	reached := make(map[[2]uint8]bool)
	var walk func(path []int)
	walk = func(path []int) {
		r := new(lifeRig)
		for i, event := range path {
			before := r.life
			lifeEvents[event].do(r)
			if err := r.check(before); err != nil {
				names := make([]string, 0, i+1)
				for _, e := range path[:i+1] {
					names = append(names, lifeEvents[e].name)
				}
				t.Fatalf("%s: %v", strings.Join(names, ", "), err)
			}
			reached[[2]uint8{uint8(r.stream), uint8(r.conn)}] = true
		}
		if len(path) < depth {
			for event := range lifeEvents {
				walk(append(path[:len(path):len(path)], event))
			}
		}
	}
	walk(nil)
	if !reached[[2]uint8{uint8(streamDone), uint8(connReleased)}] || !reached[[2]uint8{uint8(streamOpen), uint8(connReleased)}] {
		t.Errorf("only %v were reached", reached)
	}
}

func TestResidenceMovesOnce(t *testing.T) {
	for r := noLoop; r <= movedToLoop; r++ {
		for _, onLoop := range []bool{false, true} {
			now := r
			left := now.leave()
			if left != (r == mayMove) || left != (now == moving && r != moving) {
				t.Errorf("%d: it left: %t, and is %d", r, left, now)
			}
			if !left {
				continue
			}
			now.arrive(onLoop)
			if onLoop != (now == movedToLoop) || onLoop == (now == stays) || now.leave() || now.portableYet() {
				t.Errorf("%d: on the loop %t, it arrived at %d", r, onLoop, now)
			}
		}
	}
}

func TestFINGoesOneWay(t *testing.T) {
	steps := []struct {
		do   func(*finPhase)
		from finPhase // the only phase that it leads on from
		to   finPhase
	}{
		{(*finPhase).ask, finNone, finAsked},
		{(*finPhase).fail, finSending, finFailed},
		{(*finPhase).returned, finSending, finSent},
		{(*finPhase).cancel, finAsked, finCanceled},
	}
	for _, step := range steps {
		for f := finNone; f <= finCanceled; f++ {
			want := f
			if f == step.from {
				want = step.to
			}
			now := f
			if step.do(&now); now != want {
				t.Errorf("from %d to %d, want %d", f, now, want)
			}
		}
	}
}

func TestEndingOfTheConnection(t *testing.T) {
	for _, c := range []struct {
		leaveOpen, socketClosed, lingerZero, lossResets bool

		lost int64
		torn bool
		want engine.Ending
	}{
		{want: engine.Orderly},
		{leaveOpen: true, want: engine.Keep},
		{leaveOpen: true, lingerZero: true, want: engine.Keep},
		{leaveOpen: true, socketClosed: true, want: engine.Orderly},
		{lingerZero: true, want: engine.Reset},
		{lost: 1, want: engine.Orderly},
		{lost: 1, lossResets: true, leaveOpen: true, want: engine.Reset},
		{lossResets: true, want: engine.Orderly},
		{torn: true, leaveOpen: true, want: engine.Reset},
	} {
		s := bareStream(&Config{LeaveOpen: c.leaveOpen}, nil, nil)
		s.lingerZero = c.lingerZero
		if c.socketClosed {
			s.life.closeSocket(nil)
		}
		s.life.close(nil, c.lossResets)
		s.life.end.lost = c.lost
		if c.torn {
			s.write.torn(&IOError{Torn: true}, false)
		}
		if got := s.endingLocked(); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}

// What Close and CloseTimeout report as lost: before the end nothing, while it drains what failed, after it also what was taken
// back or has never got room.
func TestLife_CountsWhatIsLost(t *testing.T) {
	for state, want := range map[streamState]int64{streamOpen: 0, streamDraining: 2 * 1, streamClosed: 2 * (1 + 10 + 100)} {
		l := life{stream: state, end: new(endings)}
		for range 2 {
			l.countLost(&writeEffects{lost: 1, canceled: 10, shutOut: 100})
		}
		if l.end.lost != want {
			t.Errorf("in state %d: %d, want %d", state, l.end.lost, want)
		}
	}
}

// A stream is over when the callbacks of both directions have returned.
func TestLife_BothDirectionsHaveToBeIdle(t *testing.T) {
	var chain opList
	for _, first := range []bool{false, true} {
		s := bareStream(&Config{}, nil, nil)
		done := s.Done()
		callbacks := []*callbackQueue{&s.read.callbacks, &s.write.callbacks}
		if first {
			callbacks[0], callbacks[1] = callbacks[1], callbacks[0]
		}
		for _, c := range callbacks {
			c.start()
		}
		s.life.close(nil, false)
		s.life.conn = connReleasing
		s.life.released()
		for i, c := range callbacks {
			s.ranCallbacks(c, &chain)
			if over := isClosed(done); over != (i == 1) {
				t.Errorf("%d of 2 directions are idle, Done: %t", i+1, over)
			}
		}
	}
}

// Who has been told that a stream is done no longer finds it in its group.
func TestLife_TheGroupIsLeftFirst(t *testing.T) {
	g := new(Group)
	s := bareStream(&Config{Group: g}, nil, nil)
	if err := g.reserve(); err != nil {
		t.Fatal(err)
	}
	if err := g.join(s); err != nil {
		t.Fatal(err)
	}
	s.life.close(nil, false)
	done := s.Done()
	g.mu.Lock() // nobody leaves it now
	told := make(chan struct{})
	go func() { s.tellDone(); close(told) }()
	for range 1000 {
		if isClosed(done) {
			t.Fatal("Done is closed, and the stream is still in its group")
		}
		runtime.Gosched()
	}
	g.mu.Unlock()
	<-told
	if len(g.snapshot()) > 0 || !isClosed(done) {
		t.Error("it has not left, or is not done")
	}
}

// A stream that is over is not done before Done is closed: until then AfterDone waits for it.
func TestAfterDone_OfAStreamThatIsOver(t *testing.T) {
	s := bareStream(&Config{}, nil, nil)
	s.life.close(nil, false)
	s.life.conn = connReleased
	if !s.life.finish(true) {
		t.Fatal("not over")
	}
	stop := s.AfterDone(func(error) { t.Error("called, although it was taken back") })
	if !stop() || stop() {
		t.Error("it could not be taken back, or twice")
	}
	called := make(chan error, 1)
	s.AfterDone(func(cause error) { called <- cause })
	s.tellDone()
	if cause := <-called; cause == nil || cause != s.Err() {
		t.Errorf("the cause is %v", cause)
	}
}

// What is torn can be neither ended nor drained without a word.
func TestCloseWrite_OfATornStream(t *testing.T) {
	a, b := Pipe(nil)
	defer b.Close()
	failure := &IOError{Torn: true, Err: errAborted}
	a.mu.Lock()
	a.write.torn(failure, false)
	a.mu.Unlock()
	if err := a.CloseWrite(); !errors.Is(err, errAborted) {
		t.Errorf("CloseWrite: %v", err)
	}
	if err := a.CloseTimeout(0); err == nil {
		t.Error("CloseTimeout says that nothing was lost")
	}
	if _, err := b.Read(make([]byte, 1)); err == nil || err.Error() == "EOF" {
		t.Error("half a message looks whole:", err)
	}
}
