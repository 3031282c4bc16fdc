package netstream

// AsyncCallback is called once for each operation that was begun with it, on another goroutine than the one
// that called Begin, after the operation has completed. It mirrors System.AsyncCallback.
//
// Callbacks of one direction of a stream run one at a time, in completion order. A callback may call
// anything, blocking calls and Close of its own stream included; while it blocks, only later callbacks of
// its own direction wait. A panic in it is the program's panic. runtime.Goexit ends it like a return.
type AsyncCallback func(AsyncResult)

// AsyncResult stands for one operation that was begun; it mirrors System.IAsyncResult. It is a small value
// to be passed around and copied freely. Do not compare results with ==: the state may not be comparable.
//
// A result stays valid for ever. Once its operation was ended, it says that it is completed and its wait
// handle is set; ending it again is an error, however much later.
type AsyncResult struct {
	op    *operation
	tag   uint64
	state any
}

// AsyncState returns the state that was given to Begin.
func (ar AsyncResult) AsyncState() any { return ar.state }

// IsZero reports whether ar is the zero AsyncResult, which stands for .NET's null.
func (ar AsyncResult) IsZero() bool { return ar.op == nil }

// IsCompleted reports whether the operation has completed: succeeded, failed or been aborted. Once true it
// stays true, and the buffer is the caller's again.
func (ar AsyncResult) IsCompleted() bool {
	if ar.op == nil {
		return false
	}
	w := ar.op.word.Load()
	return !sameLife(w, ar.tag) || w&opCompleted != 0
}

// CompletedSynchronously reports whether Begin's own attempt, on the caller's goroutine, finished the
// operation. It is fixed when Begin returns, before the callback can see it, and the same in every copy.
// The callback runs in either case, on another goroutine.
func (ar AsyncResult) CompletedSynchronously() bool { return ar.tag&tagSync != 0 }

// AsyncWaitHandle returns a handle that is set when the operation completes, the same one at every call until
// the operation has been ended; after that, a handle that is already set. Asking for it costs an allocation
// and keeps the operation out of the pool; End and callbacks need no handle.
func (ar AsyncResult) AsyncWaitHandle() WaitHandle {
	if ar.op == nil || !ar.op.pin(ar.tag) {
		return newCompletedEvent()
	}
	h := ar.op.event()
	if !ar.op.completed() {
		ar.op.owner.Load().help(ar.kind()) // whoever asks is about to wait
	}
	return h
}

var (
	errForeignResult = &ArgumentError{ParamName: "asyncResult", Message: "the result comes from another call than the corresponding Begin of this object"}
	errEndedTwice    = &InvalidOperationError{Message: "End was already called for this result"}
)

func (ar AsyncResult) kind() kind { return kind(ar.tag & (tagSync - 1)) }

// claim makes the caller the one End of ar, or says why it cannot be.
func (ar AsyncResult) claim(o *owner, k kind) error {
	op := ar.op
	if op == nil {
		return &ArgumentNullError{ParamName: "asyncResult"}
	}
	if ar.kind() != k || op.owner.Load() != o {
		if sameLife(op.word.Load(), ar.tag) { // else it was ended long ago, whoever it belonged to
			return &IOError{Err: errForeignResult}
		}
	}
	if !op.claimEnd(ar.tag) {
		return &IOError{Err: errEndedTwice}
	}
	return nil
}

// end makes the caller the one End of ar and waits for the operation. The caller reads the outcome and then calls
// leave with lastWord.
func (ar AsyncResult) end(o *owner, k kind) (op *operation, lastWord uint64, err error) {
	op = ar.op
	if op != nil && ar.kind() == k && op.owner.Load() == o {
		if lastWord := op.endAlone(ar.tag); lastWord != 0 {
			return op, lastWord, nil
		}
	}
	if err := ar.claim(o, k); err != nil {
		return nil, 0, err
	}
	if !op.completed() {
		o.help(k)
		op.wait()
	}
	return op, 0, nil
}

// endStream is the End of an operation that makes a stream.
func (ar AsyncResult) endStream(o *owner, k kind) (*NetworkStream, error) {
	op, lastWord, err := ar.end(o, k)
	if err != nil {
		return nil, err
	}
	s, err := op.uncommon.Load().accepted, op.failure()
	op.leave(lastWord)
	return s, err
}

// finished returns ar marked as completed synchronously, if it was.
func (ar AsyncResult) finished(synchronously bool) AsyncResult {
	if synchronously {
		ar.tag |= tagSync
	}
	return ar
}
