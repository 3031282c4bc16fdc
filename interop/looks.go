package interop

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// addLooks adds the steps that only look: at results, callbacks, the stream's state, the last error.
func addLooks(steps map[string]func(*Runner, args) string) {
	for name, look := range resultLooks {
		steps[name] = func(r *Runner, a args) string { o := r.op(a); return look(o, r.result(o), a) }
	}
	for name, look := range streamLooks {
		steps[name] = func(r *Runner, a args) string { return look(r, r.link(a).stream, a) }
	}
	for name, look := range errorLooks {
		steps[name] = func(r *Runner, a args) string {
			err := r.lastError()
			if err == nil {
				err = errNoCause
			}
			return look(err, a)
		}
	}
	steps["wait-any"] = (*Runner).waitAny
	steps["callback-order"] = func(r *Runner, _ args) string {
		time.Sleep(settle)
		r.mu.Lock()
		defer r.mu.Unlock()
		return strings.Join(r.order, " ")
	}
}

var resultLooks = map[string]func(o *operation, ar netstream.AsyncResult, a args) string{
	"is-completed":            func(_ *operation, ar netstream.AsyncResult, _ args) string { return yes(ar.IsCompleted()) },
	"completed-synchronously": func(_ *operation, ar netstream.AsyncResult, _ args) string { return yes(ar.CompletedSynchronously()) },
	"state":                   func(o *operation, ar netstream.AsyncResult, _ args) string { return stateText(o, ar) },
	"until-completed": func(_ *operation, ar netstream.AsyncResult, _ args) string {
		return yes(until(patience, ar.IsCompleted))
	},
	"wait": func(_ *operation, ar netstream.AsyncResult, a args) string { // wait NAME MILLISECONDS
		h := ar.AsyncWaitHandle()
		ms := a.number(1)
		if ms == -1 {
			return yes(h.WaitOne())
		}
		return yes(h.WaitOneTimeout(time.Duration(ms) * time.Millisecond))
	},
	"same-handle": func(_ *operation, ar netstream.AsyncResult, _ args) string {
		return yes(ar.AsyncWaitHandle() == ar.AsyncWaitHandle())
	},
	"callback-count": func(o *operation, _ netstream.AsyncResult, _ args) string { return strconv.Itoa(o.waitCallback()) },
	"callback-none": func(o *operation, _ netstream.AsyncResult, _ args) string {
		time.Sleep(2 * settle)
		return strconv.Itoa(o.count())
	},
	"callback-saw": func(o *operation, _ netstream.AsyncResult, _ args) string {
		o.waitCallback()
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.saw
	},
	"callback-where": func(o *operation, _ netstream.AsyncResult, _ args) string {
		o.waitCallback()
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.inside {
			return "inside Begin"
		}
		return "another thread"
	},
	"callback-end": func(o *operation, _ netstream.AsyncResult, _ args) string {
		select {
		case <-o.released:
		case <-time.After(patience):
			return "callback has not returned"
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		return o.endText
	},
	"data": func(o *operation, _ netstream.AsyncResult, _ args) string { return fmt.Sprintf("% x", o.buffer) },
}

func stateText(o *operation, ar netstream.AsyncResult) string {
	switch {
	case ar.AsyncState() == nil:
		return "null"
	case ar.AsyncState() == o.state:
		return "same"
	}
	return "another"
}

func (r *Runner) waitAny(a args) string {
	var handles []netstream.WaitHandle
	for _, name := range a.list[1:] {
		handles = append(handles, r.result(r.op(args{list: []string{name}})).AsyncWaitHandle())
	}
	i := netstream.WaitAny(time.Duration(a.number(0))*time.Millisecond, handles...)
	if i == netstream.WaitTimeout {
		return "timeout"
	}
	return strconv.Itoa(i)
}

var streamLooks = map[string]func(r *Runner, s *netstream.NetworkStream, a args) string{
	"can-read":    func(_ *Runner, s *netstream.NetworkStream, _ args) string { return yes(s.CanRead()) },
	"can-write":   func(_ *Runner, s *netstream.NetworkStream, _ args) string { return yes(s.CanWrite()) },
	"can-seek":    func(_ *Runner, s *netstream.NetworkStream, _ args) string { return yes(s.CanSeek()) },
	"can-timeout": func(_ *Runner, s *netstream.NetworkStream, _ args) string { return yes(s.CanTimeout()) },
	"connected":   func(_ *Runner, s *netstream.NetworkStream, _ args) string { return yes(s.Socket().Connected()) },
	"same-socket": func(_ *Runner, s *netstream.NetworkStream, _ args) string {
		first := s.Socket()
		return yes(first != nil && s.Socket() == first)
	},
	"flush": func(r *Runner, s *netstream.NetworkStream, _ args) string { return r.fail(s.Flush()) },
	"data-available": func(r *Runner, s *netstream.NetworkStream, _ args) string {
		there, err := s.DataAvailable()
		if err != nil {
			return r.fail(err)
		}
		return yes(there)
	},
	"read-timeout":  func(_ *Runner, s *netstream.NetworkStream, _ args) string { return milliseconds(s.ReadTimeout()) },
	"write-timeout": func(_ *Runner, s *netstream.NetworkStream, _ args) string { return milliseconds(s.WriteTimeout()) },
	"set-read-timeout": func(r *Runner, s *netstream.NetworkStream, a args) string {
		return r.fail(s.SetReadTimeout(duration(a.number(0))))
	},
	"set-write-timeout": func(r *Runner, s *netstream.NetworkStream, a args) string {
		return r.fail(s.SetWriteTimeout(duration(a.number(0))))
	},
}

func duration(ms int) time.Duration {
	if ms == -1 {
		return netstream.Infinite
	}
	return time.Duration(ms) * time.Millisecond
}

func milliseconds(d time.Duration) string {
	if d == netstream.Infinite {
		return "-1"
	}
	return strconv.FormatInt(d.Milliseconds(), 10)
}

// The last error, looked at closely.
var errorLooks = map[string]func(err error, a args) string{
	"error-is": func(err error, a args) string { return yes(isA(err, a.word(0))) },
	"socket-error": func(err error, _ args) string {
		var e *netstream.SocketError
		if !errors.As(err, &e) {
			return "none"
		}
		return fmt.Sprintf("%s %d", e.Code.String(), int(e.Code))
	},
	"error-code": func(err error, _ args) string {
		var e *netstream.SocketError
		if !errors.As(err, &e) {
			return "none"
		}
		return strconv.Itoa(e.ErrorCode())
	},
	"message": func(err error, _ args) string {
		var e *netstream.IOError
		return yes(errors.As(err, &e) && strings.Contains(err.Error(), e.Err.Error()))
	},
	"error-bytes": func(err error, _ args) string { // how much of the failed write went out
		var e *netstream.IOError
		switch {
		case !errors.As(err, &e):
			return "none"
		case e.N > 0:
			return "some"
		}
		return "0"
	},
	"torn": func(err error, _ args) string {
		var e *netstream.IOError
		return yes(errors.As(err, &e) && e.Torn)
	},
}

func yes(b bool) string { return strconv.FormatBool(b) }
