package netstream

// finPhase is the life of the FIN behind the last write.
//
//	none    -> asked      CloseWrite or Shutdown: no more writes
//	asked   -> sending    nothing is ahead of it; a Drain waits for that
//	asked   -> canceled   the stream was closed first
//	sending -> failed     the engine could not send it: endings.finErr says why
//	sending -> asked      the engine was interrupted
//	sending -> sent       the engine has come back
type finPhase uint8

const (
	finNone finPhase = iota
	finAsked
	finSending
	finSent
	finFailed
	finCanceled
)

func (f *finPhase) ask() {
	if *f == finNone {
		*f = finAsked
	}
}

func (f *finPhase) send() { *f = finSending }

func (f *finPhase) fail() {
	if *f == finSending {
		*f = finFailed
	}
}

func (f *finPhase) interrupted() {
	if *f == finSending {
		*f = finAsked
	}
}

func (f *finPhase) returned() {
	if *f == finSending {
		*f = finSent
	}
}

// cancel is for a stream that is closed: it ends otherwise.
func (f *finPhase) cancel() {
	if *f == finAsked {
		*f = finCanceled
	}
}

// finAhead reports whether the FIN is still to be sent.
func (w *writeQueue) finAhead() bool { return w.fin == finAsked && !w.halfOut() }

// failsUnsent returns what a write begun now fails with, if that is known before it is sent.
func (w *writeQueue) failsUnsent() error {
	switch {
	case w.fin != finNone:
		return shutdownError()
	case w.expired():
		return deadlineError()
	}
	return nil
}
