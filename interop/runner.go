package interop

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// Times that hold for every scenario.
const (
	stepLimit = 90 * time.Second       // no step takes longer; what does is reported as "timed out"
	patience  = 60 * time.Second       // how long a step waits for what should come
	settle    = 50 * time.Millisecond  // until the peer's doing has arrived
	asleep    = 200 * time.Millisecond // until a step that has been started waits
	look      = 250 * time.Millisecond // how long a step that should not finish is watched
)

// Runner drives a NetworkStream through scenarios; dotnet/Runner.cs is its twin for .NET's.
type Runner struct {
	engine netstream.Engine

	mu      sync.Mutex // guards what follows: a step may still run when the next one starts
	links   map[string]*link
	ops     map[string]*operation
	order   []string // operations whose callbacks have started
	tokens  map[string]token
	started map[string]chan string
	last    error // what the last failing step failed with
	lastOp  string
	blocker chan struct{} // callbacks that block wait for it
	cleanup []func()
}

// link is a stream under test and the other end of its connection.
type link struct {
	stream *netstream.NetworkStream
	raw    net.Conn // what the stream was made of
	peer   net.Conn
	asked  int64 // bytes that the peer should get in the end
	got    int64 // bytes that it has got
}

type token struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// Run runs one scenario on an engine and returns what each step printed.
func Run(sc *Scenario, engine netstream.Engine) []string {
	r := &Runner{
		engine: engine, links: map[string]*link{}, ops: map[string]*operation{}, tokens: map[string]token{},
		started: map[string]chan string{}, blocker: make(chan struct{}),
	}
	defer r.close()
	var out []string
	for i := range sc.Steps {
		out = append(out, r.limited(patient(&sc.Steps[i], Netstream)))
	}
	return out
}

func (r *Runner) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.blocker:
	default:
		close(r.blocker)
	}
	for _, t := range r.tokens {
		t.cancel()
	}
	for _, l := range r.links {
		l.peer.Close() // before the stream, which would otherwise linger for it
		if l.stream != nil {
			l.stream.Close()
		}
		l.raw.Close()
	}
	for _, f := range r.cleanup {
		f()
	}
}

// patient returns the words of a step. One that looks for a moment whether something does not happen waits for it
// where it should happen: on a busy machine that may take longer than the moment.
func patient(s *Step, runtime string) []string {
	words := slices.Clone(s.Words)
	switch {
	case words[0] == "blocked" && !s.Accepts(runtime, "blocked"):
		words[0] = "await"
	case words[0] == "callback-none" && !s.Accepts(runtime, "0"):
		words[0] = "callback-count"
	}
	return words
}

// limited runs one step and gives it up after a while.
func (r *Runner) limited(words []string) string {
	ch := make(chan string, 1)
	go func() { ch <- r.step(words) }()
	select {
	case text := <-ch:
		return text
	case <-time.After(stepLimit):
		return "timed out"
	}
}

func (r *Runner) step(words []string) string {
	switch words[0] {
	case "async": // async NAME STEP...: starts the step and goes on
		ch := make(chan string, 1)
		r.mu.Lock()
		r.started[words[1]] = ch
		r.mu.Unlock()
		running := make(chan struct{})
		go func() { close(running); ch <- r.step(words[2:]) }()
		<-running
		time.Sleep(asleep)
		return "started"
	case "await": // await NAME: what the started step prints
		ch := r.startedStep(words[1])
		text := <-ch
		ch <- text
		return text
	case "blocked": // blocked NAME: is the started step still at it?
		ch := r.startedStep(words[1])
		select {
		case text := <-ch:
			ch <- text
			return text
		case <-time.After(look):
			return "blocked"
		}
	}
	f, ok := steps[words[0]]
	if !ok {
		return "unknown step " + words[0]
	}
	return f(r, parseArgs(words[1:]))
}

func (r *Runner) startedStep(name string) chan string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.started[name]
}

// args are the words behind a command: some by position, some as key=value.
type args struct {
	list []string
	keys map[string]string
}

func parseArgs(words []string) args {
	a := args{keys: map[string]string{}}
	for _, w := range words {
		if key, value, ok := strings.Cut(w, "="); ok {
			a.keys[key] = value
		} else {
			a.list = append(a.list, w)
		}
	}
	return a
}

func (a args) word(i int) string {
	if i < len(a.list) {
		return a.list[i]
	}
	return ""
}

func (a args) has(flag string) bool {
	for _, w := range a.list {
		if w == flag {
			return true
		}
	}
	return false
}

func (a args) number(i int) int { return number(a.word(i), 0) }

func (a args) key(name string, otherwise int) int { return number(a.keys[name], otherwise) }

func (a args) named(name, otherwise string) string {
	if v := a.keys[name]; v != "" {
		return v
	}
	return otherwise
}

func number(text string, otherwise int) int {
	switch text {
	case "":
		return otherwise
	case "max":
		return int(^uint(0) >> 1)
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		panic(fmt.Sprintf("scenario: %q is no number", text))
	}
	return n
}

// link returns the connection that a step is about: on=NAME, or the one called s.
func (r *Runner) link(a args) *link {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.links[a.named("on", "s")]
	if l == nil {
		panic("scenario: no connection " + a.named("on", "s"))
	}
	return l
}

// op returns the operation that a step names, or the one begun last.
func (r *Runner) op(a args) *operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	name := r.lastOp
	if len(a.list) > 0 {
		name = a.list[0]
	}
	o := r.ops[name]
	if o == nil {
		panic("scenario: no operation " + name)
	}
	return o
}

// fail remembers an error for the steps that look closer, and names it.
func (r *Runner) fail(err error) string {
	if err != nil {
		r.mu.Lock()
		r.last = err
		r.mu.Unlock()
	}
	return errorText(err)
}

func (r *Runner) lastError() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// token returns the context of token=NAME; "cancelled" is one that is over.
func (r *Runner) token(a args) context.Context {
	name := a.keys["token"]
	if name == "" {
		return context.Background()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	t, ok := r.tokens[name]
	if !ok {
		t.ctx, t.cancel = context.WithCancel(context.Background())
		r.tokens[name] = t
		if name == "cancelled" {
			t.cancel()
		}
	}
	return t.ctx
}

// until waits until f holds, and reports whether it does.
func until(limit time.Duration, f func() bool) bool {
	for end := time.Now().Add(limit); !f(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
