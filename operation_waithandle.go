package netstream

import (
	"reflect"
	"sync"
	"time"
)

// Infinite, as a timeout, means no limit. It mirrors .NET's Timeout.Infinite.
const Infinite time.Duration = -1

// WaitTimeout is what [WaitAny] returns when no handle was set in time. .NET
// says 258, which would be a valid index here.
const WaitTimeout = -1

// WaitHandle is something to wait for. It mirrors .NET's WaitHandle: once set, it
// stays set (manual reset), any number of goroutines may wait, and waiting takes
// nothing away. Waiting never reports how an operation ended; End does.
//
// All methods may be called from any goroutine.
type WaitHandle interface {
	// WaitOne waits until the handle is set and returns true.
	WaitOne() bool
	// WaitOneTimeout waits at most d and reports whether the handle was set. 0
	// only looks; Infinite, and any other negative d, waits without limit.
	WaitOneTimeout(d time.Duration) bool
	// Done returns a channel that is closed when the handle is set, for use in
	// select. It is never nil.
	Done() <-chan struct{}
}

// ManualResetEvent is a [WaitHandle] that is set and reset by hand. It mirrors
// .NET's ManualResetEvent. The zero value is an event that is not set. Do not
// copy it after first use. Its channel is made when somebody first asks, so an
// event that nobody waits for costs no channel.
type ManualResetEvent struct {
	mu  sync.Mutex
	set bool          // guarded by mu
	ch  chan struct{} // guarded by mu; nil until asked for; closed if and only if set
}

var _ WaitHandle = (*ManualResetEvent)(nil)

// NewManualResetEvent returns an event that is set or not.
func NewManualResetEvent(set bool) *ManualResetEvent {
	return &ManualResetEvent{set: set}
}

// newCompletedEvent returns the handle of an operation that is already over.
func newCompletedEvent() *ManualResetEvent { return NewManualResetEvent(true) }

// Set sets the event and wakes everyone who waits. Setting it again does
// nothing.
func (e *ManualResetEvent) Set() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.set && e.ch != nil {
		close(e.ch)
	}
	e.set = true
}

// Reset makes later waits wait for the next Set. Channels that Done returned
// while the event was set stay closed, and whoever a Set has woken stays awake,
// even if Reset follows at once (in .NET such a waiter can miss the pulse).
// Resetting an event that is not set does nothing.
func (e *ManualResetEvent) Reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.set {
		e.set, e.ch = false, nil
	}
}

// Done returns a channel that is closed by the next Set, or closed already
// when the event is set. It belongs to the state at the time of the call: after a
// Reset, ask again.
func (e *ManualResetEvent) Done() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ch == nil {
		// Always a fresh one, even when set: a shared closed channel made outside
		// a testing/synctest bubble would not belong to the bubble that waits.
		e.ch = make(chan struct{})
		if e.set {
			close(e.ch)
		}
	}
	return e.ch
}

// WaitOne waits until the event is set and returns true (.NET WaitOne()).
func (e *ManualResetEvent) WaitOne() bool { return e.WaitOneTimeout(Infinite) }

// WaitOneTimeout waits at most d and reports whether the event was set (.NET
// WaitOne(TimeSpan)). 0 only looks. Infinite and any other negative d wait without
// limit: .NET throws for the others, but a bool can report no bad argument, and
// false would be a wrong answer.
func (e *ManualResetEvent) WaitOneTimeout(d time.Duration) bool {
	e.mu.Lock()
	set := e.set
	e.mu.Unlock()
	if set || d == 0 {
		return set
	}
	return waitOne(d, e.Done())
}

// WaitAny waits until one of the handles is set and returns its index, the
// lowest when there are several. After timeout it returns WaitTimeout; 0 only
// looks, and a negative timeout (Infinite) waits without limit. It mirrors .NET's
// WaitHandle.WaitAny, without its limit of 64 handles.
//
// A nil handle is never set. Where there is none to wait for, WaitAny returns
// WaitTimeout at once, whatever the timeout. (.NET throws in both cases.)
func WaitAny(timeout time.Duration, handles ...WaitHandle) int {
	chans, nils := doneChannels(handles)
	if nils == len(handles) {
		return WaitTimeout
	}
	return waitAny(timeout, chans)
}

// WaitAll waits until each of the handles has been set and reports whether that
// was so within timeout; 0 only looks, and a negative timeout (Infinite) waits
// without limit. It mirrors .NET's WaitHandle.WaitAll, without its limit of 64
// handles. A handle counts once it has been seen set, even if it is reset while
// WaitAll waits for another.
//
// A nil handle is never set, so WaitAll with one returns false at once. With no
// handles at all it returns true. (.NET throws in both cases.)
func WaitAll(timeout time.Duration, handles ...WaitHandle) bool {
	chans, nils := doneChannels(handles)
	if nils > 0 {
		return false
	}
	expired, stop := startTimer(timeout)
	defer stop()
	for _, ch := range chans {
		if isClosed(ch) {
			continue
		}
		if timeout == 0 {
			return false
		}
		select {
		case <-ch:
		case <-expired:
			timeout, expired = 0, nil // from here on, only look
			if !isClosed(ch) {
				return false
			}
		}
	}
	return true
}

// doneChannels asks each handle for its channel once, so that one call judges
// one state of each, whatever is reset meanwhile. nils counts the nil handles;
// their channels are nil.
func doneChannels(handles []WaitHandle) (chans []<-chan struct{}, nils int) {
	chans = make([]<-chan struct{}, len(handles))
	for i, h := range handles {
		if h == nil {
			nils++
			continue
		}
		chans[i] = h.Done()
	}
	return chans, nils
}

// waitOne is the wait for one channel, which needs no reflection and, without
// a timer, no memory. timeout is not 0.
func waitOne(timeout time.Duration, ch <-chan struct{}) bool {
	expired, stop := startTimer(timeout)
	defer stop()
	select {
	case <-ch:
		return true
	case <-expired:
		return isClosed(ch) // one that is set at the last moment counts
	}
}

// waitAny is WaitAny on channels, at least one of them not nil.
func waitAny(timeout time.Duration, chans []<-chan struct{}) int {
	if i := firstClosed(chans); i != WaitTimeout || timeout == 0 {
		return i
	}
	expired, stop := startTimer(timeout)
	defer stop()
	selectAny(chans, expired)
	// Look again even after the timeout: several may be set by now, and one that
	// was set at the last moment counts.
	return firstClosed(chans)
}

// maxSelect is how many channels one reflect.Select is given. Its own limit is
// 65,536 cases, one of which is needed for the stop channel.
const maxSelect = 1 << 15

// selectAny returns when a channel is closed or stop delivers. When there are
// more channels than one select takes, each further part is watched by a
// goroutine, and all of them are gone when selectAny returns.
func selectAny[T any](chans []<-chan struct{}, stop <-chan T) {
	if len(chans) <= maxSelect {
		selectPart(chans, stop)
		return
	}
	var watchers sync.WaitGroup
	var once sync.Once
	over := make(chan struct{})
	for rest := chans; len(rest) > 0; rest = rest[min(maxSelect, len(rest)):] {
		part := rest[:min(maxSelect, len(rest))]
		watchers.Go(func() {
			selectPart(part, over)
			once.Do(func() { close(over) })
		})
	}
	select {
	case <-over:
	case <-stop:
		once.Do(func() { close(over) })
	}
	watchers.Wait()
}

// selectPart is selectAny for what fits into one select.
func selectPart[T any](chans []<-chan struct{}, stop <-chan T) {
	cases := make([]reflect.SelectCase, 0, len(chans)+1)
	cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(stop)})
	for _, ch := range chans {
		cases = append(cases, reflect.SelectCase{Dir: reflect.SelectRecv, Chan: reflect.ValueOf(ch)})
	}
	reflect.Select(cases)
}

// firstClosed returns the lowest index of a closed channel, or WaitTimeout.
func firstClosed(chans []<-chan struct{}) int {
	for i, ch := range chans {
		if !isClosed(ch) {
			continue
		}
		if lower := firstClosed(chans[:i]); lower != WaitTimeout { // it was set after it was looked at, before this one
			return lower
		}
		return i
	}
	return WaitTimeout
}

// isClosed reports whether ch is closed, without waiting; a nil channel is not.
func isClosed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// startTimer returns a channel that delivers after d, or a nil one when d is
// no limit or not worth a timer, and what releases it.
func startTimer(d time.Duration) (expired <-chan time.Time, stop func()) {
	if d <= 0 {
		return nil, func() {}
	}
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}
