package interop

import (
	"bytes"
	"runtime"
	"strconv"
	"sync"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// operation is one Begin of a scenario and what its callback saw.
type operation struct {
	name   string
	on     *link
	read   bool
	buffer []byte
	size   int
	state  any
	ar     netstream.AsyncResult // valid once begun
	begun  bool

	mu       sync.Mutex // guards what follows
	calls    int
	beganOn  string // the goroutine inside Begin
	inside   bool   // the callback ran inside Begin
	saw      string
	endText  string
	released chan struct{} // closed when the callback has returned
}

// begin makes a Begin with the arguments of the step: size, buffer=LENGTH or null, offset=, fill=, state=, callback=.
func (r *Runner) begin(a args, read bool) string {
	o := &operation{on: r.link(a), read: read, size: a.number(0), released: make(chan struct{})}
	offset := a.key("offset", 0)
	if a.keys["buffer"] != "null" {
		o.buffer = bytes.Repeat([]byte{byte(a.key("fill", 0xEE))}, a.key("buffer", max(offset, 0)+max(o.size, 0)))
	}
	if a.keys["state"] == "object" {
		o.state = o
	}
	r.mu.Lock()
	o.name = a.named("as", "op"+strconv.Itoa(len(r.ops)))
	r.ops[o.name], r.lastOp = o, o.name
	r.mu.Unlock()

	var callback netstream.AsyncCallback
	if kind := a.keys["callback"]; kind != "" {
		callback = func(ar netstream.AsyncResult) { r.called(o, kind, ar) }
	}
	o.setBegan(goroutine())
	var ar netstream.AsyncResult
	var err error
	if read {
		ar, err = o.on.stream.BeginRead(o.buffer, offset, o.size, callback, o.state)
	} else {
		ar, err = o.on.stream.BeginWrite(o.buffer, offset, o.size, callback, o.state)
	}
	o.setBegan("")
	if err != nil {
		return r.fail(err)
	}
	r.mu.Lock()
	o.ar, o.begun = ar, true
	if !read {
		o.on.asked += int64(o.size)
	}
	r.mu.Unlock()
	return "begun"
}

func (o *operation) setBegan(where string) {
	o.mu.Lock()
	o.beganOn = where
	o.mu.Unlock()
}

// called is the callback: it looks around first, and then does what the step asked for.
func (r *Runner) called(o *operation, kind string, ar netstream.AsyncResult) {
	r.mu.Lock()
	r.order = append(r.order, o.name)
	r.mu.Unlock()
	o.mu.Lock()
	o.calls++
	o.inside = o.beganOn != "" && o.beganOn == goroutine()
	o.saw = "completed " + strconv.FormatBool(ar.IsCompleted()) +
		", handle set " + strconv.FormatBool(ar.AsyncWaitHandle().WaitOneTimeout(0)) +
		", state same " + strconv.FormatBool(ar.AsyncState() == o.state)
	o.mu.Unlock()
	switch kind {
	case "end":
		o.setEnd(r.end(o.on, o, ar))
	case "close":
		o.on.stream.Close()
		o.setEnd(r.end(o.on, o, ar))
	case "block":
		<-r.blocker
	}
	close(o.released)
}

func (o *operation) setEnd(text string) {
	o.mu.Lock()
	o.endText = text
	o.mu.Unlock()
}

// end gives a result to the End that fits the operation, on any stream.
func (r *Runner) end(l *link, o *operation, ar netstream.AsyncResult) string {
	if o.read {
		return r.endRead(l, o.size, ar)
	}
	return r.fail(l.stream.EndWrite(ar))
}

func (r *Runner) endRead(l *link, asked int, ar netstream.AsyncResult) string {
	n, err := l.stream.EndRead(ar)
	text := readText(asked, n, err)
	if err != nil {
		r.fail(err)
	}
	return text
}

// result returns the AsyncResult, also to callers that come before Begin has returned.
func (r *Runner) result(o *operation) netstream.AsyncResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	return o.ar
}

// waitCallback waits until the callback has run once, and a little longer for one too many.
func (o *operation) waitCallback() int {
	until(patience, func() bool { return o.count() > 0 })
	time.Sleep(settle)
	return o.count()
}

func (o *operation) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls
}

// goroutine returns the number of the calling goroutine: only a test may want to know it.
func goroutine() string {
	var trace [64]byte
	fields := bytes.Fields(trace[:runtime.Stack(trace[:], false)])
	if len(fields) < 2 {
		return "?"
	}
	return string(fields[1])
}
