package netstream

import (
	"errors"
	"io"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// failure is the error of a transport's answer in the contract's terms. Foreign errors have been asked already what they
// are: that is their code, which must not run under a stream's mu.
type failure struct {
	err    error        // what the operation fails with
	socket *SocketError // the first one in its chain; nil: there is none
	cut    bool         // the peer's bytes end where they should not: over TLS, without close_notify
	fatal  bool         // TLS has ended both directions with it
}

func (f *failure) Error() string { return f.err.Error() }

// outcome returns the error of a transport's answer as a *failure, and what is no failure as it is. call is its system
// call's name. It is called without a lock.
func outcome(call string, err error) error {
	if err == nil || err == engine.ErrInterrupted || err == engine.ErrWouldBlock {
		return err
	}
	_, fatal := err.(*engine.TLSError)
	f := &failure{err: classify(call, err), cut: err == io.ErrUnexpectedEOF, fatal: fatal}
	errors.As(f.err, &f.socket)
	return f
}

// readOutcome is outcome for a read, which io.EOF ends without a failure.
func readOutcome(err error) error {
	if err == io.EOF {
		return err
	}
	return outcome(callRead, err)
}
