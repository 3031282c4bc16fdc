package netstream

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// queueEvent is one thing that can happen to a queue. It returns false when it cannot happen now.
type queueEvent struct {
	name string
	do   func(*queueRig) bool
}

// firstPending and lastPending are messages of a rig: the first and the last one that are not over.
func firstPending(r *queueRig) *rigMessage {
	r.findPending()
	for _, m := range r.messages {
		if m.pending && m.op != nil {
			return m
		}
	}
	return nil
}

func firstInRoom(r *queueRig) *rigMessage {
	for _, m := range r.messages {
		if m.op != nil && m.op.stage == awaitsRoom {
			return m
		}
	}
	return nil
}

func lastPending(r *queueRig) *rigMessage {
	r.findPending()
	for i := len(r.messages) - 1; i >= 0; i-- {
		if m := r.messages[i]; m.pending && m.op != nil {
			return m
		}
	}
	return nil
}

const everything = 1 << 20

var queueEvents = []queueEvent{
	{"begin", func(r *queueRig) bool { return r.begin(false, 3) }},
	{"begin with callback", func(r *queueRig) bool { return r.begin(true, 2) }},
	{"begin of pieces", func(r *queueRig) bool { return r.begin(false, 2, 1) }},
	{"begin of nothing", func(r *queueRig) bool { return r.begin(true, 0) }},
	{"post", func(r *queueRig) bool { return r.post(3) }},
	{"Write", func(r *queueRig) bool { return r.write(true, 3) }},
	{"WriteContext", func(r *queueRig) bool { return r.write(false, 2) }},
	{"take", (*queueRig).take},
	{"all is sent", func(r *queueRig) bool { return r.attempt(everything, true, nil) }},
	{"a byte is sent", func(r *queueRig) bool { return r.attempt(1, true, nil) }},
	{"4 bytes are sent", func(r *queueRig) bool { return r.attempt(4, true, nil) }},
	{"a failure", func(r *queueRig) bool { return r.attempt(0, true, errConnection) }},
	{"a byte and a failure", func(r *queueRig) bool { return r.attempt(1, true, errConnection) }},
	{"would block", (*queueRig).wait},
	{"ready", func(r *queueRig) bool { return r.comeBack(0, engine.ErrInterrupted) }},
	{"a byte is back", func(r *queueRig) bool { return r.comeBack(1, nil) }},
	{"a call fails", func(r *queueRig) bool { return r.comeBack(1, errConnection) }},
	{"turn is over", (*queueRig).yield},
	{"Cancel of the first", func(r *queueRig) bool { return r.cancel(firstPending(r)) }},
	{"Cancel of the last", func(r *queueRig) bool { return r.cancel(lastPending(r)) }},
	{"the first is cut", func(r *queueRig) bool { return r.cut(firstPending(r)) }},
	{"the last is cut", func(r *queueRig) bool { return r.cut(lastPending(r)) }},
	{"the first that waits for room is cut", func(r *queueRig) bool { return r.cut(firstInRoom(r)) }},
	{"all are cut", func(r *queueRig) bool { return !r.closed && r.cutAll(errRig) }},
	{"Close", (*queueRig).close},
	{"WaitRoom", func(r *queueRig) bool { return r.waitRoom(4) }},
	{"WaitRoom of more", func(r *queueRig) bool { return r.waitRoom(5) }},
	{"WaitRoom is taken back", (*queueRig).cutRoom},
	{"Drain", (*queueRig).drain},
	{"a Drain gives up", (*queueRig).cutDrain},
	{"CloseWrite", (*queueRig).closeWrite},
	{"move", (*queueRig).move},
	{"moved", (*queueRig).moved},
	{"a callback starts", (*queueRig).start},
}

// sealingEvents are those of an engine that holds bytes of its own.
var sealingEvents = []queueEvent{
	{"all is taken", func(r *queueRig) bool { return r.attempt(everything, false, nil) }},
	{"a byte is taken", func(r *queueRig) bool { return r.attempt(1, false, nil) }},
	{"4 bytes are taken", func(r *queueRig) bool { return r.attempt(4, false, engine.ErrWouldBlock) }},
	{"the engine has something of its own to send", func(r *queueRig) bool { r.own = true; return true }},
	{"what is held goes out", func(r *queueRig) bool { return (r.undone > 0 || r.own) && r.attempt(0, true, nil) }},
}

// beginnings are what the sequences start from.
type beginning struct {
	name   string
	config Config
	keeps  bool
	events []string
}

var (
	roomy     = Config{MaxPendingWrites: 100, MaxPendingBytes: 1 << 20}
	narrow    = Config{MaxPendingWrites: 2, MaxPendingBytes: 6}
	dropping  = Config{MaxPendingWrites: 4, MaxPendingBytes: 13, Overflow: OverflowDropOldest}
	queueways = []beginning{
		{"nothing", roomy, false, nil},
		{"half a write is out", roomy, false, []string{"begin", "post", "take", "a byte is sent", "would block"}},
		{"half a post is out", roomy, true, []string{"post", "begin", "take", "a byte is sent", "would block"}},
		{"half a Write is out", roomy, true, []string{"Write", "a byte is back", "post"}},
		{"half a Write is out, and another one waits for room", narrow, true, []string{"Write", "begin", "Write", "a byte is back"}},
		{"a Write was cut", roomy, true, []string{"Write", "a byte is back", "would block", "the first is cut", "ready"}},
		{"the next Write has sent nothing", roomy, true, []string{"Write", "a byte is back", "would block", "the first is cut", "ready",
			"Write", "ready", "would block", "the first is cut", "ready"}},
		{"room, but not for the first", Config{MaxPendingWrites: 10, MaxPendingBytes: 6}, false,
			[]string{"begin with callback", "begin with callback", "Write", "WriteContext"}},
		{"no room", narrow, true, []string{"begin with callback", "begin", "Write", "WriteContext", "take"}},
		{"no room during a move", Config{MaxPendingWrites: 10, MaxPendingBytes: 6}, false,
			[]string{"begin with callback", "begin with callback", "take", "all is sent", "move", "Write"}},
		{"no room, turn over", narrow, false, []string{"begin", "begin with callback", "take", "a byte is sent", "Write", "turn is over"}},
		{"drops", dropping, false, []string{"post", "begin with callback", "begin", "take", "a byte is sent", "would block"}},
		{"drops by bytes", Config{MaxPendingWrites: 100, MaxPendingBytes: 13, Overflow: OverflowDropOldest}, false,
			[]string{"post", "begin with callback", "begin", "post", "take"}},
		{"drops, and half is less than a write", Config{MaxPendingWrites: 4, MaxPendingBytes: 5, Overflow: OverflowDropOldest}, false,
			[]string{"begin", "begin with callback"}},
		{"drops by bytes, and somebody waits for room", Config{MaxPendingWrites: 100, MaxPendingBytes: 13, Overflow: OverflowDropOldest}, false,
			[]string{"post", "begin with callback", "begin", "post", "Write", "WriteContext", "take"}},
		{"drops by writes, and somebody waits for room", Config{MaxPendingWrites: 4, MaxPendingBytes: 1000, Overflow: OverflowDropOldest}, false,
			[]string{"post", "begin with callback", "begin of nothing", "begin", "WriteContext", "Write", "take"}},
		{"WaitRooms are ahead", Config{MaxPendingWrites: 100, MaxPendingBytes: 13, Overflow: OverflowDropOldest}, false,
			[]string{"post", "begin with callback", "begin", "post", "Write", "WriteContext", "WaitRoom of more", "WaitRoom", "Write", "take"}},
		{"drops by writes of a group", Config{MaxPendingWrites: 100, MaxPendingBytes: 1000, Overflow: OverflowDropOldest,
			Group: &Group{MaxPendingWrites: 4}}, false, []string{"post", "begin with callback", "begin of nothing", "begin", "take"}},
		{"dropping is not enough in a group", Config{MaxPendingWrites: 100, MaxPendingBytes: 1000, Overflow: OverflowDropOldest,
			Group: &Group{MaxPendingWrites: 4}}, false, []string{"Write", "begin", "WriteContext", "Write", "WriteContext"}},
		{"drops by bytes of a group", Config{MaxPendingWrites: 100, MaxPendingBytes: 1000, Overflow: OverflowDropOldest,
			Group: &Group{MaxPendingBytes: 13}}, false, []string{"post", "begin with callback", "begin", "post", "take"}},
		{"a chunk and more", roomy, false, []string{"begin", "post", "post", "begin", "begin", "begin with callback", "begin", "post"}},
		{"a limit passed during a move", roomy, false, []string{"move", "all are cut", "moved"}},
		{"the end is asked for", roomy, false, []string{"begin", "begin of pieces", "CloseWrite", "Drain", "take", "a byte is sent"}},
		{"writes behind the end", roomy, false, []string{"begin", "CloseWrite", "begin of nothing", "begin", "take"}},
	}
)

func eventNamed(name string) queueEvent {
	for _, e := range append(queueEvents, sealingEvents...) {
		if e.name == name {
			return e
		}
	}
	panic("no event " + name)
}

func (r *queueRig) happens(e queueEvent) bool {
	r.events = append(r.events, e.name)
	r.before()
	if !e.do(r) {
		r.events = r.events[:len(r.events)-1]
		return false
	}
	r.check()
	return true
}

func (b *beginning) start(t testing.TB, v *vectors, quiet bool, old *queueRig) *queueRig {
	r := newQueueRig(t, v, b.config, old)
	r.canKeep, r.quiet = b.keeps, quiet
	for _, name := range b.events {
		if !r.happens(eventNamed(name)) {
			r.failf("%s cannot happen", name)
		}
	}
	return r
}

// queueDepth is how many events the sequences have. One more takes some twenty times as long.
var queueDepth = flag.Int("queuedepth", 3, "how many events each sequence of TestWriteQueue and TestReadQueue has")

// Whatever happens, in whatever order, the promises hold: every sequence of so many events is tried.
func TestWriteQueue_EverySequence(t *testing.T) {
	for _, b := range queueways {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			n := everySequence(t, &b, queueEvents, *queueDepth)
			t.Logf("%d sequences", n)
		})
	}
}

// The same over an engine that takes bytes before they are in the kernel.
func TestWriteQueue_EverySequenceOfAnEngineThatHoldsBytes(t *testing.T) {
	chunk := beginning{"a chunk is taken", roomy, false, []string{"begin", "post", "post", "begin", "begin", "begin with callback",
		"begin", "post", "take", "all is taken", "post", "begin", "begin"}}
	cut := beginning{"of a Write that was cut some is held, and others go on", roomy, false, []string{"post", "Write", "take", "4 bytes are taken",
		"would block", "the last is cut", "ready", "Write", "Write", "would block", "ready"}}
	ways := slices.Clone(queueways[:6])
	for i := range ways {
		ways[i].keeps = false
		ways[i].events = append(ways[i].events[:len(ways[i].events):len(ways[i].events)], "begin")
	}
	for _, b := range append(ways, chunk, cut) {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			n := everySequence(t, &b, append(queueEvents, sealingEvents...), 3)
			t.Logf("%d sequences", n)
		})
	}
}

// everySequence tries each sequence of depth events that can happen from the beginning on.
func everySequence(t *testing.T, b *beginning, events []queueEvent, depth int) (tried int) {
	v := &vectors{run: -1}
	path := make([]int, 0, depth)
	var old *queueRig
	var try func()
	try = func() {
		r := b.start(t, v, len(path) > 0, old)
		old = r
		for i, e := range path {
			r.quiet = i != len(path)-1 // the others were checked when the sequence was shorter
			if !r.happens(events[e]) {
				if i != len(path)-1 {
					r.failf("%s could happen before", events[e].name)
				}
				r.windUp()
				return
			}
		}
		if len(path) == depth {
			tried++
			r.windUp()
			return
		}
		r.windUp()
		for e := range events {
			path = append(path, e)
			try()
			path = path[:len(path)-1]
		}
	}
	try()
	return tried
}

// Long sequences reach what short ones do not.
func TestWriteQueue_LongSequences(t *testing.T) {
	rounds := 5000
	if testing.Short() {
		rounds = 500
	}
	v := &vectors{run: -1}
	all := append(append([]queueEvent(nil), queueEvents...), sealingEvents...)
	for seed := range rounds {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		b := queueways[rng.IntN(len(queueways))]
		events := queueEvents
		if !b.keeps && rng.IntN(3) == 0 {
			events = all
		}
		if rng.IntN(4) == 0 {
			g := &Group{MaxPendingWrites: 2 + rng.IntN(4), MaxPendingBytes: 10}
			b.config.Group = g
			b.events = nil
		}
		r := b.start(t, v, false, nil)
		r.events = append(r.events, fmt.Sprintf("(seed %d)", seed))
		for range 10 + rng.IntN(60) {
			r.happens(events[rng.IntN(len(events))])
		}
		r.windUp()
	}
}
