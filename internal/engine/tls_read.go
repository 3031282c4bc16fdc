package engine

import (
	"errors"
	"io"
	"os"
)

// controlBytes is how many bytes of answers may be held before nothing more is read: a peer that asks for KeyUpdates and
// takes no answer would fill the memory.
const controlBytes = 4 << 10

var errToolchain = errors.New("netstream: crypto/tls does not go on reading after a timeout; please report the Go version")

// TryRead implements Transport. What crypto/tls has is asked for before the transport below: a socket is silent while
// decrypted data, or further records, wait here.
func (t *TLS) TryRead(p []byte) (int, error) {
	for {
		n, err := t.decrypt(p)
		switch {
		case err != ErrWouldBlock:
			return n, err
		case t.overControl():
			return 0, ErrWouldBlock
		case !t.dry: // it stopped at answers that have gone out meanwhile, and may have more
			continue
		}
		if err := t.fill(); err != nil {
			return 0, err
		}
	}
}

// decrypt takes what crypto/tls can give without more input.
func (t *TLS) decrypt(p []byte) (int, error) {
	t.mu.Lock()
	if t.control > controlBytes || t.dry && !t.aside {
		t.mu.Unlock()
		return 0, ErrWouldBlock
	}
	held := t.out != nil
	n, err := t.decryptLocked(p)
	want := !held && t.out != nil
	save := len(t.puts) > 0 && !t.putting
	t.putting = t.putting || save
	t.mu.Unlock()
	if want {
		t.owner.WantWrite()
	}
	if save {
		go t.savePuts()
	}
	return n, err
}

func (t *TLS) decryptLocked(p []byte) (n int, err error) {
	if t.aside {
		if len(p) == 0 {
			return 0, nil
		}
		p[0], t.aside = t.first, false
		n, p = 1, p[1:]
	}
	if t.readErr != nil {
		return n, orNil(n > 0, t.readErr)
	}
	if n > 0 && (len(p) == 0 || t.dry) {
		return n, nil
	}
	if len(p) > 0 {
		more, err := t.callRead(p)
		return n + more, orNil(n+more > 0, err)
	}
	var look [1]byte
	n, err = t.callRead(look[:])
	if n == 1 {
		t.first, t.aside = look[0], true
		return 0, nil
	}
	return 0, err
}

func orNil(none bool, err error) error {
	if none {
		return nil
	}
	return err
}

// callRead calls conn.Read and notes how that ended. TLS 1.2 can return data and an error at once: the error comes again.
func (t *TLS) callRead(p []byte) (int, error) {
	n, err := t.conn.Read(p)
	t.got = t.got || n > 0
	switch {
	case err == nil:
		return n, nil
	case err == os.ErrDeadlineExceeded && t.in.empty():
		t.dry = true
		return n, ErrWouldBlock
	case err == os.ErrDeadlineExceeded:
		err = errToolchain
	}
	t.readErr = t.readFailureLocked(err)
	return n, t.readErr
}

// readFailureLocked says what an error of conn.Read means. All but the two ends are an end of the writing too.
func (t *TLS) readFailureLocked(err error) error {
	switch {
	case err == io.EOF: // close_notify
		return err
	case errors.Is(err, errBelow):
		return t.belowError()
	}
	t.fatal = &TLSError{Authentication: t.refusedLocked(err), Err: plainTLSError(err)}
	return t.fatal
}

// fill takes input from below; there is none here. Nil: crypto/tls has something to look at.
func (t *TLS) fill() error {
	if t.below != nil || t.overControl() {
		return ErrWouldBlock
	}
	n, err := t.lower.TryRead(t.in.room(true))
	return t.filled(n, err)
}

// filled notes how a read from below into the room ended.
func (t *TLS) filled(n int, err error) error {
	t.in.filled(n)
	switch {
	case n > 0:
	case err == nil, err == ErrWouldBlock, err == ErrInterrupted:
		return ErrWouldBlock
	default:
		t.below = err
	}
	t.dry = false
	return nil
}

func (t *TLS) overControl() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.control > controlBytes
}

// StartRead implements Transport. It waits for input from below, or until fewer control bytes are held.
func (t *TLS) StartRead(id uint32, _ []byte) bool {
	t.ids[Read] = id
	t.mu.Lock()
	if t.control > controlBytes {
		t.throttled = t.cancelled != 1<<32|uint64(id)
		t.readID = id
		throttled := t.throttled
		t.mu.Unlock()
		return throttled
	}
	t.mu.Unlock()
	return t.dry && t.lower.StartRead(id, t.lend()) // it may have more, as in TryRead
}

// lend returns what a wait below is lent: nothing, where it is enough to wait until there is something to read.
func (t *TLS) lend() []byte {
	if t.lower.Traits().TriesWrite { // such a transport tries to read as well
		return nil
	}
	return t.in.room(t.in.full)
}

// ReadReturned implements Owner: the wait below is over. Whether that is enough for the reader, its next TryRead tells: half
// a record, a session ticket or a KeyUpdate is not.
func (o *tlsOwner) ReadReturned(n int, err error) {
	t := (*TLS)(o)
	if h := t.shaking.Load(); h != nil {
		h.readReturned(n, err)
		return
	}
	t.noteReturned(n, err)
	t.owner.ReadReturned(0, ErrInterrupted)
}

// noteReturned takes what a wait below brought.
func (t *TLS) noteReturned(n int, err error) {
	if n > 0 || err != nil && err != ErrInterrupted {
		_ = t.filled(n, err)
		return
	}
	t.in.giveBack()
}

// ReadThrough implements Transport.
func (t *TLS) ReadThrough(id uint32, p []byte) (int, error) {
	t.ids[Read] = id
	for {
		n, err := t.decrypt(p)
		switch {
		case err != ErrWouldBlock:
			return n, err
		case t.overControl():
			return 0, ErrInterrupted
		case !t.dry: // it may have more, as in TryRead
			continue
		case t.in.full && t.lower.Traits().TriesWrite:
			t.in.full = false
			_ = t.fill()
			continue
		}
		n, err = t.lower.ReadThrough(id, t.in.room(t.in.full))
		_ = t.filled(n, err)
		if err == ErrInterrupted {
			return 0, err
		}
	}
}

// cancelThrottled ends the wait of a read for the writing, and reports whether it was such a wait.
func (t *TLS) cancelThrottled(id uint32) bool {
	t.mu.Lock()
	t.cancelled = 1<<32 | uint64(id)
	was := t.throttled && t.readID == id
	if was {
		t.throttled = false
	}
	t.mu.Unlock()
	if was {
		t.lower.Post((*tlsWake)(t))
	}
	return was
}

// tlsWake is a TLS as the task that ends the wait of a read for the writing.
type tlsWake TLS

// Run implements Task.
func (w *tlsWake) Run() { w.owner.ReadReturned(0, ErrInterrupted) }
