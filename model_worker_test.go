package netstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// What the goroutines of a program do, call by call.

// worker is one goroutine of a program.
type worker struct {
	r     *run
	open  []*message // begun without a callback, not ended yet
	mine  []*message // all that it has begun
	posts []*message
	reads []*reading // begun without a callback, not ended yet
}

func (r *run) work(steps []step) {
	w := &worker{r: r}
	for _, st := range steps {
		w.do(st)
	}
	for _, m := range w.open {
		r.finish(m, r.s.EndWrite(m.result))
	}
	for _, o := range w.reads {
		n, err := r.s.EndRead(o.result)
		r.finishRead(o, n, err)
	}
}

func (w *worker) do(st step) {
	r, s := w.r, w.r.s
	switch st.do {
	case "write", "write-bare", "writev", "zero":
		w.begin(st)
	case "post":
		w.post(st)
	case "wait-room":
		w.waitRoom(st)
	case "blocking", "context":
		r.writeBlocking(st)
	case "read", "read-callback", "read-zero":
		w.beginRead(st)
	case "read-blocking":
		r.readBlocking(st)
	case "end", "end-twice", "wait-end":
		w.end(st)
	case "end-read":
		if len(w.reads) > 0 && w.reads[0].result.IsCompleted() { // one that waits for data could wait for the end
			o := w.reads[0]
			w.reads = w.reads[1:]
			n, err := s.EndRead(o.result)
			r.finishRead(o, n, err)
		}
	case "cancel":
		if len(w.mine) > 0 {
			r.cancel(w.mine[st.arg%len(w.mine)])
		}
	case "cancel-read":
		if len(w.reads) > 0 {
			r.cancelRead(w.reads[st.arg%len(w.reads)])
		}
	case "drain":
		w.drain(st)
	default:
		r.control(st)
	}
}

// begin makes one of the asynchronous writes. Those with a callback are ended there.
func (w *worker) begin(st step) {
	r, size := w.r, st.arg*w.r.p.scale
	if st.do == "zero" {
		size = 0
	}
	m := r.newMessage(size)
	m.wantCallback = st.do != "write-bare"
	callback := func(ar AsyncResult) {
		if r.inside[engine.Write].Add(1) != 1 {
			r.faultf("message %d: two callbacks of the writing direction at once", m.id)
		}
		r.mu.Lock()
		m.callbacks++
		m.sync = ar.CompletedSynchronously()
		r.order = append(r.order, m)
		r.mu.Unlock()
		if !ar.IsCompleted() {
			r.faultf("message %d: its callback runs before it has completed", m.id)
		}
		r.finish(m, r.s.EndWrite(ar))
		r.inside[engine.Write].Add(-1)
	}
	var err error
	alone := r.blocking.Load() == 0
	calls := r.blockingCalls.Load()
	switch st.do {
	case "write", "zero":
		m.result, err = r.s.BeginWrite(m.buffer, 0, size, callback, nil)
	case "writev":
		half := size / 2
		m.result, err = r.s.BeginWritev([][]byte{m.buffer[:half], {}, m.buffer[half:]}, callback, nil)
	default:
		m.result, err = r.s.BeginWrite(m.buffer, 0, size, nil, nil)
	}
	r.mu.Lock()
	m.begun, m.returned = err == nil, r.clock.Add(1)
	r.mu.Unlock()
	if err != nil {
		r.refused("BeginWrite", err)
		if err == ErrQueueFull && r.p.takesAll() && alone && calls == r.blockingCalls.Load() {
			r.faultf("message %d of %d bytes was refused, although there was something to drop", m.id, size)
		}
		return
	}
	w.mine = append(w.mine, m)
	if !m.wantCallback {
		w.open = append(w.open, m)
	}
}

// takesAll reports whether OverflowDropOldest has to take whatever is begun while no blocking write is under way: the
// limits are those of two messages at least, and no other stream shares them.
func (p program) takesAll() bool {
	c, largest := p.config, int64(largestStep*p.scale)
	return c.Overflow == OverflowDropOldest && p.streams == 1 && c.MaxPendingWrites != 1 && p.writes != 1 &&
		(c.MaxPendingBytes < 0 || c.MaxPendingBytes >= 2*largest) && (p.bytes == 0 || p.bytes*int64(p.scale) >= 2*largest)
}

// refused checks that an error of Begin is one of those that are documented.
func (r *run) refused(what string, err error) {
	var invalid *InvalidOperationError
	var failure *IOError
	switch {
	case errors.As(err, &invalid): // closed, closing, or not this direction
	case err == ErrQueueFull && what == "BeginWrite" && (r.p.config.MaxPendingBytes >= 0 || r.p.config.MaxPendingWrites >= 0 || r.group != nil):
	case errors.As(err, &failure) && (failure.Torn || r.s.Stats().LostPosts > 0) && what == "BeginWrite":
	default:
		r.faultf("%s: %v", what, err)
	}
}

func (w *worker) end(st step) {
	if len(w.open) == 0 {
		return
	}
	r, m := w.r, w.open[0]
	w.open = w.open[1:]
	if st.do == "wait-end" {
		m.result.AsyncWaitHandle().WaitOne()
		if !m.result.IsCompleted() {
			r.faultf("message %d: its wait handle is set and it has not completed", m.id)
		}
	}
	r.finish(m, r.s.EndWrite(m.result))
	if st.do == "end-twice" {
		if err := r.s.EndWrite(m.result); !errors.Is(err, errEndedTwice) {
			r.faultf("message %d: its second End says %v", m.id, err)
		}
	}
}

func (r *run) writeBlocking(st step) {
	r.blockingCalls.Add(1)
	r.blocking.Add(1)
	defer r.blocking.Add(-1)
	m := r.newMessage(st.arg * r.p.scale)
	m.begun, m.blocking, m.resumable = true, true, st.do == "blocking"
	var err error
	var n int
	if m.resumable {
		n, err = r.s.Write(m.buffer)
	} else {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(st.arg%5)*r.p.unit)
		n, err = r.s.WriteContext(ctx, m.buffer)
		cancel()
	}
	r.finish(m, err)
	r.mu.Lock()
	m.returned = m.endedAt
	r.mu.Unlock()
	if int64(n) != m.n {
		r.faultf("message %d: Write returned %d, its error says %d (%v)", m.id, n, m.n, err)
	}
}

func (r *run) newReading(size int) *reading {
	o := &reading{buffer: make([]byte, size)}
	r.mu.Lock()
	r.readings = append(r.readings, o)
	r.mu.Unlock()
	o.called = r.clock.Add(1)
	return o
}

func (w *worker) beginRead(st step) {
	r, size := w.r, st.arg%20+1
	if st.do == "read-zero" {
		size = 0
	}
	o := r.newReading(size)
	var callback AsyncCallback
	if st.do == "read-callback" {
		o.wantCallback = true
		callback = func(ar AsyncResult) {
			if r.inside[engine.Read].Add(1) != 1 {
				r.faultf("two callbacks of the reading direction at once")
			}
			r.mu.Lock()
			o.callbacks++
			r.mu.Unlock()
			n, err := r.s.EndRead(ar)
			r.finishRead(o, n, err)
			r.inside[engine.Read].Add(-1)
		}
	}
	var err error
	o.result, err = r.s.BeginRead(o.buffer, 0, size, callback, nil)
	o.returned = r.clock.Add(1)
	if err != nil {
		r.refused("BeginRead", err)
		r.mu.Lock()
		o.wantCallback, o.ended = false, true
		r.mu.Unlock()
		return
	}
	if callback == nil {
		w.reads = append(w.reads, o)
	}
}

func (r *run) readBlocking(st step) {
	o := r.newReading(st.arg%20 + 1)
	ctx, cancel := context.WithTimeout(context.Background(), 2*r.p.unit)
	defer cancel()
	n, err := r.s.ReadContext(ctx, o.buffer)
	r.finishRead(o, n, err)
	o.returned = o.endedAt
}

func (r *run) cancel(m *message) {
	before := m.result.IsCompleted()
	if !r.s.Cancel(m.result) {
		return
	}
	if before {
		r.faultf("message %d was cancelled after it had completed", m.id)
	}
	if !m.result.IsCompleted() {
		r.faultf("message %d was cancelled and has not completed", m.id)
	}
	r.mu.Lock()
	m.cancelled = true
	r.mu.Unlock()
}

func (r *run) cancelRead(o *reading) {
	if r.s.Cancel(o.result) {
		if !o.result.IsCompleted() {
			r.faultf("a read was cancelled and has not completed")
		}
		o.cancelled = true
	}
}

// drain checks that Drain has waited: what was begun before has completed, and nil means that all of it has succeeded.
func (w *worker) drain(st step) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(st.arg)*w.r.p.unit)
	defer cancel()
	err := w.r.s.Drain(ctx)
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		w.drained()
	}
	for _, m := range w.mine {
		if !m.result.IsCompleted() {
			w.r.faultf("message %d has not completed after Drain (%v)", m.id, err)
		}
	}
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	for _, m := range w.mine {
		if err == nil && m.ended && m.err != nil && m.endedAt != 0 {
			w.r.faults = append(w.r.faults, fmt.Sprintf("Drain is content, message %d ended with %v", m.id, m.err))
		}
	}
}

// control makes the calls that act on the whole stream, and on its group.
func (r *run) control(st step) {
	s := r.s
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(st.arg)*r.p.unit)
	defer cancel()
	switch st.do {
	case "deadline-past":
		s.SetDeadline(time.Unix(1, 0))
	case "deadline-soon":
		s.SetDeadline(time.Now().Add(time.Duration(st.arg%7) * r.p.unit))
	case "deadline-none":
		s.SetDeadline(time.Time{})
	case "room":
		s.WaitRoom(ctx, int64(st.arg*r.p.scale))
	case "pause":
		time.Sleep(time.Duration(st.arg%5) * r.p.unit)
	case "close-write":
		if st.arg < 60 {
			s.CloseWrite()
		}
	case "close":
		if st.arg < 10 { // rarely: everything is over then
			r.closer(func() error { return s.CloseWithError(io.ErrNoProgress) })
		}
	case "close-timeout":
		if st.arg < 20 {
			r.closer(func() error { return s.CloseTimeout(time.Duration(st.arg) * r.p.unit) })
		}
	case "socket-close":
		if st.arg < 5 {
			r.closer(func() error { return s.Socket().Close() })
		}
	case "shutdown":
		if st.arg < 5 && r.group != nil {
			r.closer(func() error { r.group.Shutdown(ctx); return nil })
		}
	}
}

func (r *run) closer(f func() error) {
	r.mu.Lock()
	r.closers++
	r.mu.Unlock()
	if err := f(); err != nil {
		r.mu.Lock()
		r.unsent = append(r.unsent, err)
		r.mu.Unlock()
	}
}
