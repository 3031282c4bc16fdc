package netstream

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
)

// Posts in the model: nobody is told what becomes of one, so the wire and the sums have to tell. Each is whole, in order, on the
// wire once, or was dropped, or is among the lost ones; and behind a lost one nothing follows.

// post posts a message, by one of the ways there are.
func (w *worker) post(st step) {
	r, s := w.r, w.r.s
	m := r.newMessage(st.arg * r.p.scale)
	alone := r.blocking.Load() == 0
	calls := r.blockingCalls.Load()
	err := error(nil)
	if st.arg%2 == 0 {
		err = s.Post(m.buffer)
	} else if n := Broadcast(m.buffer, slices.Values([]*NetworkStream{s}), func(_ *NetworkStream, e error) { err = e }); (n == 1) != (err == nil) {
		r.faultf("message %d: Broadcast returns %d, refused says %v", m.id, n, err)
	}
	r.mu.Lock()
	m.posted, m.begun, m.returned = true, err == nil, r.clock.Add(1)
	r.mu.Unlock()
	if err == nil {
		w.posts = append(w.posts, m)
		return
	}
	if err == ErrQueueFull && r.p.takesAll() && alone && calls == r.blockingCalls.Load() {
		r.faultf("message %d of %d bytes was refused, although there was something to drop", m.id, len(m.want))
	}
	var failure *IOError
	if errors.As(err, &failure) && (errors.Is(err, os.ErrDeadlineExceeded) || documented(err)) {
		return // known already; Begin would say ErrQueueFull, or report it at End
	}
	r.refused("BeginWrite", err)
}

// waitRoom begins to wait for room, and maybe takes that back.
func (w *worker) waitRoom(st step) {
	r := w.r
	o := &roomWait{}
	r.mu.Lock()
	r.rooms = append(r.rooms, o)
	r.mu.Unlock()
	ar, err := r.s.BeginWaitRoom(int64(st.arg*r.p.scale), func(ar AsyncResult) {
		err := r.s.EndWaitRoom(ar)
		r.mu.Lock()
		defer r.mu.Unlock()
		o.callbacks++
		o.err = err
	}, nil)
	if err != nil {
		r.refused("BeginWrite", err)
		return
	}
	o.begun = true
	if st.arg%3 == 0 {
		o.cancelled = r.s.Cancel(ar)
	}
}

// roomWait is one BeginWaitRoom and what became of it.
type roomWait struct {
	begun, cancelled bool
	callbacks        int
	err              error
}

// drained notes that a Drain of this worker was content: all that it has posted is on the wire, or was dropped.
func (w *worker) drained() {
	w.r.mu.Lock()
	defer w.r.mu.Unlock()
	for _, m := range w.posts {
		m.drained = true
	}
}

// settlePosts finds out what became of the posts: the wire is taken to pieces from its beginning, as far as it is known.
func (r *run) settlePosts() {
	left := make(map[*message]bool)
	for _, m := range r.messages {
		left[m] = true
	}
	for wire := r.wire; len(wire) > 0; {
		m, n := r.nextOn(wire, left)
		if m == nil {
			return // checkWire says so
		}
		if left[m] = false; m.posted {
			m.n = n
		}
		wire = wire[min(n, int64(len(wire))):]
	}
}

// nextOn returns the message that the wire goes on with, and how much of it.
func (r *run) nextOn(wire []byte, left map[*message]bool) (*message, int64) {
	for _, m := range r.messages {
		n := m.n
		if m.posted {
			n = min(int64(len(m.want)), int64(len(wire)))
		}
		if on := min(n, int64(len(wire))); left[m] && m.begun && on > 0 && bytes.Equal(wire[:on], m.want[:on]) {
			return m, n
		}
	}
	return nil, 0
}

// checkPosts holds the posts to the sums.
func (r *run) checkPosts(st Stats) {
	var posts, sent, dropped uint64
	var size, begun int64
	for _, m := range r.messages {
		switch {
		case !m.posted:
			begun += m.n
			if errors.Is(m.err, ErrDropped) {
				dropped++
			}
			continue
		case !bytes.Equal(m.buffer, m.want):
			r.fault("message %d: its memory was written to", m.id)
		case !m.begun:
			continue
		}
		posts++
		size += int64(len(m.want))
		if m.n == int64(len(m.want)) {
			sent++
		}
	}
	dropped = st.Dropped - dropped // posts only; checkMessages knows that it is not negative
	lost := st.LostPosts
	if st.Posts != posts || r.whole && sent+dropped+lost != posts || sent+dropped+lost > posts {
		r.fault("%d posts, %d on the wire; Stats says %d, of which %d were dropped and %d lost", posts, sent, st.Posts, dropped, lost)
	}
	if dropped > 0 && r.p.config.Overflow != OverflowDropOldest {
		r.fault("%d posts were dropped, policy %d", dropped, r.p.config.Overflow)
	}
	written, least := begun+size-int64(st.LostBytes), begun+size-int64(st.LostBytes)-r.mayBeHeld()
	if n := int64(st.BytesWritten); n > written || dropped == 0 && n < least {
		r.fault("%d bytes written; writes %d, posts %d, of which Stats says that %d are lost", st.BytesWritten, begun, size, st.LostBytes)
	}
	if lost > 0 && st.WriteErr == nil {
		r.fault("%d posts were lost, and WriteErr is nil", lost)
	}
	if r.whole && dropped == 0 {
		r.checkGaps()
	}
}

// checkGaps looks for what follows a post that is lost, and for one that Drain took for sent.
func (r *run) checkGaps() {
	for _, m := range r.messages {
		if !m.posted || !m.begun || m.n == int64(len(m.want)) {
			continue
		}
		if m.drained {
			r.fault("Drain is content, message %d is not on the wire", m.id)
		}
		for _, behind := range r.messages {
			if behind.n > 0 && m.returned < behind.called {
				r.fault("message %d was sent behind message %d, which is lost", behind.id, m.id)
			}
		}
	}
}

// checkRooms looks at each wait for room by itself.
func (r *run) checkRooms() {
	for _, o := range r.rooms {
		switch {
		case o.begun && o.callbacks != 1, !o.begun && o.callbacks != 0:
			r.fault("a wait for room had %d callbacks", o.callbacks)
		case o.cancelled && !errors.Is(o.err, context.Canceled), !o.cancelled && errors.Is(o.err, context.Canceled):
			r.fault("a wait for room ended with %v, cancelled %t", o.err, o.cancelled)
		case o.err != nil && !documented(o.err):
			r.fault("a wait for room ended with %v", o.err)
		}
	}
}
