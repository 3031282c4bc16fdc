package interop

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// steps are the commands of a scenario. testdata/README.md lists them; dotnet/Runner.cs has the same ones.
var steps map[string]func(*Runner, args) string

func init() { // not a composite literal: some of them lead back to it
	steps = map[string]func(*Runner, args) string{
		"connect": (*Runner).connect,
		"new":     (*Runner).construct,

		"begin-write": func(r *Runner, a args) string { return r.begin(a, false) },
		"begin-read":  func(r *Runner, a args) string { return r.begin(a, true) },
		"end-write":   (*Runner).endWriteStep,
		"end-read":    (*Runner).endReadStep,
		"write":       (*Runner).write,
		"read":        (*Runner).readStep,
		"from-async":  (*Runner).fromAsync,
		"chain":       (*Runner).chain,
		"sync-loop":   (*Runner).syncLoop,
		"cancel":      (*Runner).cancelToken,
		"cancel-op":   (*Runner).cancelOp,
		"refill":      (*Runner).refill,

		"close":        (*Runner).closeStep,
		"socket-close": func(r *Runner, a args) string { return r.fail(r.link(a).stream.Socket().Close()) },
		"shutdown":     (*Runner).shutdown,
		"raw-send":     (*Runner).rawSend,
		"linger":       func(r *Runner, a args) string { return r.fail(r.link(a).stream.Socket().SetLinger(a.number(0))) },

		"peer-send":      (*Runner).peerSend,
		"peer-read":      (*Runner).peerRead,
		"peer-end":       (*Runner).peerEnd,
		"peer-available": (*Runner).peerAvailable,
		"peer-close":     (*Runner).peerClose,
		"peer-reset":     (*Runner).peerReset,
		"peer-shutdown":  (*Runner).peerShutdown,
		"until-stuck":    (*Runner).untilStuck,

		"sleep":  func(_ *Runner, a args) string { time.Sleep(time.Duration(a.number(0)) * time.Millisecond); return "ok" },
		"unlock": func(r *Runner, _ args) string { close(r.blocker); return "ok" },
	}
	addLooks(steps)
}

func (r *Runner) endWriteStep(a args) string {
	if a.has("null") {
		return r.fail(r.link(a).stream.EndWrite(netstream.AsyncResult{}))
	}
	if a.has("fake") {
		return r.fail(r.link(a).stream.EndWrite(r.foreign()))
	}
	o := r.op(a)
	return r.fail(r.streamFor(a, o).EndWrite(r.result(o)))
}

func (r *Runner) endReadStep(a args) string {
	if a.has("null") {
		_, err := r.link(a).stream.EndRead(netstream.AsyncResult{})
		return r.fail(err)
	}
	if a.has("fake") {
		_, err := r.link(a).stream.EndRead(r.foreign())
		return r.fail(err)
	}
	o := r.op(a)
	l := o.on
	if a.keys["on"] != "" {
		l = r.link(a)
	}
	return r.endRead(l, o.size, r.result(o))
}

// streamFor returns the stream to end an operation on: its own, unless the step names another.
func (r *Runner) streamFor(a args, o *operation) *netstream.NetworkStream {
	if a.keys["on"] != "" {
		return r.link(a).stream
	}
	return o.on.stream
}

// foreign returns a result that no stream has made.
func (r *Runner) foreign() netstream.AsyncResult {
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		panic(err)
	}
	r.atEnd(func() { ln.Close() })
	ar, err := ln.BeginAccept(nil, nil)
	if err != nil {
		panic(err)
	}
	return ar
}

func (r *Runner) atEnd(f func()) {
	r.mu.Lock()
	r.cleanup = append(r.cleanup, f)
	r.mu.Unlock()
}

// write is the blocking Write, or WriteContext with token=NAME.
func (r *Runner) write(a args) string {
	l := r.link(a)
	data := fill(a.number(0), a.key("fill", 0xEE))
	var err error
	if a.keys["token"] == "" {
		_, err = l.stream.Write(data)
	} else {
		_, err = l.stream.WriteContext(r.token(a), data)
	}
	if err == nil {
		r.mu.Lock()
		l.asked += int64(len(data))
		r.mu.Unlock()
	}
	return r.fail(err)
}

// readStep is the blocking Read, or ReadContext with token=NAME.
func (r *Runner) readStep(a args) string {
	l := r.link(a)
	buffer := make([]byte, a.number(0))
	var n int
	var err error
	if a.keys["token"] == "" {
		n, err = l.stream.Read(buffer)
	} else {
		n, err = l.stream.ReadContext(r.token(a), buffer)
	}
	text := readText(len(buffer), n, err)
	if err != nil {
		r.fail(err)
	}
	return text
}

func (r *Runner) fromAsync(a args) string {
	return r.fail(<-WriteTask(r.link(a).stream, fill(a.number(0), 0xEE)))
}

// chain lets each callback begin the next write, and tells whether one ever ran inside the Begin of another.
func (r *Runner) chain(a args) string {
	c := chain{stream: r.link(a).stream, message: [1]byte{1}, left: a.number(0), done: make(chan error, 1)}
	if _, err := c.stream.BeginWrite(c.message[:], 0, 1, c.next, nil); err != nil {
		return r.fail(err)
	}
	if err := <-c.done; err != nil {
		return r.fail(err)
	}
	return fmt.Sprintf("%d callbacks, nested %t", c.calls, c.nested)
}

type chain struct {
	stream  *netstream.NetworkStream
	message [1]byte
	done    chan error

	mu     sync.Mutex // guards what follows
	left   int
	calls  int
	inside string // the goroutine in a Begin made by a callback
	nested bool
}

func (c *chain) next(ar netstream.AsyncResult) {
	here := goroutine()
	c.mu.Lock()
	c.nested = c.nested || c.inside == here
	c.calls++
	c.left--
	last := c.left == 0
	c.inside = here
	c.mu.Unlock()
	err := c.stream.EndWrite(ar)
	if err == nil && !last {
		_, err = c.stream.BeginWrite(c.message[:], 0, 1, c.next, nil)
	}
	c.mu.Lock()
	if c.inside == here {
		c.inside = ""
	}
	c.mu.Unlock()
	if err != nil || last {
		c.done <- err
	}
}

func (r *Runner) syncLoop(a args) string {
	l := r.link(a)
	messages := make([][]byte, a.number(0))
	for i := range messages {
		messages[i] = []byte{1}
	}
	handled, err := SendAll(l.stream, messages)
	if err != nil {
		return r.fail(err)
	}
	return fmt.Sprintf("%d handled", handled)
}

func (r *Runner) cancelToken(a args) string {
	r.token(args{keys: map[string]string{"token": a.word(0)}})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tokens[a.word(0)].cancel()
	return "ok"
}

func (r *Runner) cancelOp(a args) string {
	o := r.op(a)
	return strconv.FormatBool(o.on.stream.Cancel(r.result(o)))
}

// refill changes a lent buffer, which nobody should do.
func (r *Runner) refill(a args) string {
	o := r.op(a)
	for i := range o.buffer {
		o.buffer[i] = byte(a.key("fill", 9))
	}
	return "ok"
}

func (r *Runner) closeStep(a args) string {
	l := r.link(a)
	if a.word(0) == "" {
		return r.fail(l.stream.Close())
	}
	return r.fail(l.stream.CloseTimeout(time.Duration(a.number(0)) * time.Millisecond))
}

func (r *Runner) shutdown(a args) string {
	how := map[string]netstream.ShutdownHow{
		"send": netstream.ShutdownSend, "receive": netstream.ShutdownReceive, "both": netstream.ShutdownBoth,
	}[a.word(0)]
	return r.fail(r.link(a).stream.Socket().Shutdown(how))
}

// rawSend writes on what the stream was made of.
func (r *Runner) rawSend(a args) string {
	_, err := r.link(a).raw.Write(fill(a.number(0), 0xEE))
	if err != nil {
		return "closed"
	}
	return "ok"
}

func fill(n, value int) []byte {
	return []byte(strings.Repeat(string([]byte{byte(value)}), n))
}

// construct calls New in ways that should fail.
func (r *Runner) construct(a args) string {
	conn, cfg := r.odd(a)
	s, err := netstream.New(conn, cfg)
	if err != nil {
		return r.fail(err)
	}
	r.atEnd(func() { s.Close() })
	return fmt.Sprintf("can read %t, can write %t", s.CanRead(), s.CanWrite())
}

var errNoCause = errors.New("no error yet")
