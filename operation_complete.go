package netstream

// complete makes the outcome visible and wakes whoever waits. The caller is a holder and has written done and fate.
func (op *operation) complete() {
	w := op.word.Add(opCompleted) // the bit is known to be clear; Or would be a loop
	if w&opNoticed != opCompleted {
		op.notice(w)
	}
}

// completeAndLeave is complete and release(1) in one step. The caller is not the last holder: the End that is still to come,
// or the blocking call, is one until the operation has completed. So notice may still use the operation: whoever waits, or
// has a handle, keeps it until it is told.
func (op *operation) completeAndLeave() {
	w := op.word.Add(1<<64 - opHolder + opCompleted) // minus one holder, plus the bit
	if w&opNoticed != opCompleted {
		op.notice(w)
	}
}

// opNoticed are the bits that a completion looks at. When only its own is set, there is nobody to be told.
const opNoticed = opCompleted | opPinned | opWaiting

// notice wakes whoever waits for the completion, with which the word has become w. It is a function of its own so that the
// stack of a callback stays small, see runCallbacks.
func (op *operation) notice(w uint64) {
	if w&opCompleted == 0 {
		panic("netstream: operation completed twice")
	}
	if w&opWaiting != 0 {
		op.uncommon.Load().wake.signal()
	}
	if w&opPinned != 0 {
		if u := op.uncommon.Load(); u != nil {
			if h := u.handle.Load(); h != nil {
				h.Set()
			}
		}
	}
}

func (op *operation) completed() bool { return op.word.Load()&opCompleted != 0 }

// wait returns when the operation has completed. Only one goroutine may wait: the End that claimed the
// operation or the blocking call that owns it.
func (op *operation) wait() {
	if op.completed() {
		return
	}
	wake := takeWakeup()
	op.rarely().wake = wake
	if op.word.Or(opWaiting)&opCompleted == 0 {
		wake.await()
	}
	wake.giveBack()
}
