package netstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// check holds the outcome of a run, after everything is over, to the promises.
func (r *run) check() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if writes, size := r.s.Pending(); writes != 0 || size != 0 {
		r.fault("Pending is %d writes, %d bytes when all is over", writes, size)
	}
	st := r.s.Stats()
	if r.whole && st.BytesWritten != uint64(len(r.wire)) {
		r.fault("Stats says %d bytes written, the wire has %d", st.BytesWritten, len(r.wire))
	}
	r.settlePosts()
	r.checkPosts(st)
	r.checkRooms()
	if st.OldestPending != 0 {
		r.fault("OldestPending is %v when all is over", st.OldestPending)
	}
	r.checkMessages(st)
	r.checkUnsent()
	torn := r.checkWire()
	r.checkReads(st)
	r.checkEnd(torn)
}

func (r *run) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// checkMessages looks at each write by itself.
func (r *run) checkMessages(st Stats) {
	dropped := uint64(0)
	for _, m := range r.messages {
		var failure *IOError
		if m.posted {
			continue // see checkPosts
		}
		switch {
		case m.begun && !m.ended:
			r.fault("message %d never ended", m.id)
		case !m.begun && (m.ended || m.callbacks > 0):
			r.fault("message %d was refused and ended all the same", m.id)
		case m.begun && m.wantCallback && m.callbacks != 1:
			r.fault("message %d had %d callbacks", m.id, m.callbacks)
		case m.begun && m.wantCallback && m.sync != m.result.CompletedSynchronously():
			r.fault("message %d: CompletedSynchronously is %t in the callback and %t in the caller", m.id, m.sync, !m.sync)
		case m.cancelled && !errors.Is(m.err, context.Canceled):
			r.fault("message %d was cancelled and ended with %v", m.id, m.err)
		case m.cancelled && m.n != 0:
			r.fault("message %d was cancelled and %d bytes of it are out", m.id, m.n)
		case !m.blocking && !m.cancelled && errors.Is(m.err, context.Canceled) && !errors.As(m.err, &failure):
			r.fault("message %d ended as cancelled, which it was not: %v", m.id, m.err)
		case m.begun && !poisoned(m.buffer):
			r.fault("message %d: its memory was written to", m.id)
		case m.err != nil && !documented(m.err):
			r.fault("message %d ended with %v", m.id, m.err)
		}
		if m.n > 0 && m.n < int64(len(m.want)) && !(errors.As(m.err, &failure) && failure.Torn) {
			r.fault("message %d: %d bytes of %d are out and it is not torn: %v", m.id, m.n, len(m.want), m.err)
		}
		if errors.Is(m.err, ErrDropped) {
			dropped++
			if m.n != 0 || m.blocking || r.p.config.Overflow != OverflowDropOldest {
				r.fault("message %d: dropped with %d bytes out, blocking %t, policy %d", m.id, m.n, m.blocking, r.p.config.Overflow)
			}
		}
	}
	if st.Dropped < dropped { // the others are posts
		r.fault("Stats says %d dropped, %d writes say so", st.Dropped, dropped)
	}
}

// documented reports whether an operation that was begun may end with err over a connection that does what the faulty
// transport does.
func documented(err error) bool {
	var failure *IOError
	var invalid *InvalidOperationError // of blocking calls, which are refused with it
	if err == io.EOF || errors.As(err, &invalid) {
		return true
	}
	if _, ok := err.(*net.OpError); !ok || !errors.As(err, &failure) {
		return false
	}
	for _, target := range []error{
		net.ErrClosed, context.Canceled, context.DeadlineExceeded, os.ErrDeadlineExceeded, ErrDropped,
		CodeConnectionReset, CodeShutdown, CodeNoBufferSpaceAvailable, CodeInterrupted,
	} {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// checkUnsent holds what CloseTimeout has said to what became of the writes. Those that ended because the stream was
// closed are among the lost ones; a write that failed may be, depending on when; one that was cancelled never is.
func (r *run) checkUnsent() {
	least, most := int64(0), r.mayBeHeld()
	for _, m := range r.messages {
		left := int64(len(m.want)) - m.n
		switch {
		case m.posted && m.begun:
			most += left
			continue
		case !m.ended || m.err == nil || m.cancelled:
			continue
		case errors.Is(m.err, net.ErrClosed) && (!m.blocking || m.n > 0): // a blocking one may have been refused
			least += left
		}
		most += left
	}
	for _, err := range r.unsent {
		var failure *IOError
		if _, outer := err.(*net.OpError); !outer || !errors.As(err, &failure) {
			r.fault("CloseTimeout: %v", err)
			continue
		}
		if failure.Unsent > most || r.closers == 1 && failure.Unsent < least {
			r.fault("CloseTimeout says %d bytes were not sent, the writes say %d to %d: %v", failure.Unsent, least, most, err)
		}
	}
}

// checkWire takes the wire to pieces. It returns the message that is cut at its very end, if there is one.
func (r *run) checkWire() (torn *message) {
	var sent []*message
	left := make(map[*message]int64)
	for _, m := range r.messages {
		left[m] = m.n
	}
	for wire := r.wire; len(wire) > 0; {
		m := r.at(wire, left)
		if m == nil {
			r.fault("the wire goes on with %x, which no message begins with", wire[:min(len(wire), 8)])
			return nil
		}
		if torn != nil && !(torn.resumable && m.resumable) {
			r.fault("message %d follows message %d, which is torn", m.id, torn.id)
		}
		for _, before := range sent {
			if m.returned < before.called {
				r.fault("message %d was begun before message %d was, and is behind it", m.id, before.id)
			}
		}
		torn = nil
		if m.n < int64(len(m.want)) {
			torn = m
		}
		sent = append(sent, m)
		wire = wire[min(m.n, int64(len(wire))):]
		left[m] = 0 // on the wire once
	}
	for _, m := range r.messages {
		if r.whole && left[m] != 0 {
			r.fault("message %d: %d bytes are missing on the wire", m.id, left[m])
		}
	}
	r.checkOrder(sent)
	return torn
}

// at returns the message whose bytes the wire goes on with. The last one may be cut where the wire was.
func (r *run) at(wire []byte, left map[*message]int64) *message {
	for _, m := range r.messages {
		n := min(left[m], int64(len(wire)))
		if (m.ended || m.posted) && n > 0 && (n == m.n || !r.whole) && bytes.Equal(wire[:n], m.want[:n]) {
			return m
		}
	}
	return nil
}

// checkOrder compares the order of the callbacks of what has succeeded with that on the wire.
func (r *run) checkOrder(sent []*message) {
	unusual := func(m *message) bool { return m.err != nil || !m.wantCallback || len(m.want) == 0 }
	sent = slices.DeleteFunc(slices.Clone(sent), unusual)
	called := slices.DeleteFunc(slices.Clone(r.order), unusual)
	for i, m := range sent {
		if i < len(called) && called[i] != m {
			r.fault("the callback of message %d comes where that of message %d is next", called[i].id, m.id)
			return
		}
	}
}

// checkReads holds the reads to: every byte once, in order, whole, and each read in its turn.
func (r *run) checkReads(st Stats) {
	var by [inboundSize]*reading
	total := 0
	for _, o := range r.readings {
		switch {
		case !o.ended:
			r.fault("a read never ended")
			continue
		case o.wantCallback && o.callbacks != 1:
			r.fault("a read had %d callbacks", o.callbacks)
		case o.cancelled && (o.n != 0 || !errors.Is(o.err, context.Canceled)):
			r.fault("a read was cancelled and ended with %d, %v", o.n, o.err)
		case o.err == nil && o.n == 0 && len(o.buffer) > 0 && o.endedAt != 0:
			r.fault("a read of %d bytes ended with nothing and no error", len(o.buffer))
		case o.err != nil && !documented(o.err) && !(r.tls && errors.Is(o.err, io.ErrUnexpectedEOF)): // a peer that closes while it writes sends no close_notify
			r.fault("a read ended with %v", o.err)
		case o.endedAt != 0 && !poisoned(o.buffer):
			r.fault("a read's memory was written to after it had ended")
		}
		for i, b := range o.got {
			if b != o.got[0]+byte(i) {
				r.fault("a read got %x, which the peer has not sent like this", o.got)
				break
			}
			if by[b] != nil {
				r.fault("byte %d was read twice", b)
			}
			by[b] = o
		}
		total += o.n
	}
	for i := range total {
		if by[i] == nil {
			r.fault("byte %d of %d was never read", i, total)
			break
		}
		if i > 0 && by[i] != by[i-1] && by[i].returned < by[i-1].called {
			r.fault("the read of byte %d was begun before that of byte %d", i, i-1)
		}
	}
	if st.BytesRead != uint64(total) || r.readAll && r.taken != total {
		r.fault("%d bytes were read, Stats says %d, the connection gave %d", total, st.BytesRead, r.taken)
	}
	r.checkReset()
}

// checkReset looks for a clean end after a reset was told.
func (r *run) checkReset() {
	told := int64(0)
	note := func(err error, at int64) {
		if errors.Is(err, CodeConnectionReset) && at > 0 && (told == 0 || at < told) {
			told = at
		}
	}
	for _, m := range r.messages {
		note(m.err, m.endedAt)
	}
	for _, o := range r.readings {
		note(o.err, o.endedAt)
	}
	for _, o := range r.readings {
		if told > 0 && o.called > told && o.err == io.EOF {
			r.fault("a read begun after a reset was told ends with EOF")
		}
	}
}

// checkEnd looks at how the connection was given up. torn is what is cut at the end of the wire.
func (r *run) checkEnd(torn *message) {
	cutOnce, resumed := false, false
	for _, m := range r.messages {
		cutOnce = cutOnce || m.n > 0 && m.n < int64(len(m.want))
		resumed = resumed || torn != nil && m.resumable && m != torn && m.ended && m.endedAt > torn.called
	}
	resumed = resumed && torn.resumable // a blocking Write that got nowhere ends the state all the same
	if r.ending != nil {
		r.seen = io.EOF
		if *r.ending == engine.Reset {
			r.seen = CodeConnectionReset
		}
		if keep := *r.ending == engine.Keep; keep && !r.p.config.LeaveOpen {
			r.fault("the connection was given back")
		}
	}
	lost := len(r.unsent) > 0 || r.group != nil && r.closers > 0
	switch {
	case r.seen == nil:
		r.fault("the connection was never given up")
	case r.seen == io.EOF && torn != nil && r.resets && !resumed:
		r.fault("the connection ends orderly behind half of message %d", torn.id)
	case r.seen != io.EOF && !cutOnce && !lost && r.whole:
		r.fault("the connection ends with %v although nothing was cut", r.seen)
	}
}

// checkGroup holds the group of the runs to the sums.
func checkGroup(runs []*run) (faults []string) {
	g := runs[0].group
	if g == nil {
		return nil
	}
	if b, w := g.limits.bytes.Load(), g.limits.writes.Load(); b != 0 || w != 0 {
		faults = append(faults, fmt.Sprintf("the group has %d bytes of %d writes pending when all is over", b, w))
	}
	var sum Stats
	for _, r := range runs {
		st := r.s.Stats()
		st.Streams = 0
		sum.add(st)
	}
	st := g.Stats()
	if (st.WriteErr == nil) == (sum.WriteErr == nil) {
		st.WriteErr = sum.WriteErr // that of any stream will do
	}
	if st != sum {
		faults = append(faults, fmt.Sprintf("the group's sums are %+v, its streams' %+v", st, sum))
	}
	return faults
}
