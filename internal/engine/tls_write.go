package engine

// TryWrite implements Transport. What is held goes first; then up to burstRecords records are sealed and sent at once. When
// the connection turns out to be broken before one byte of these is out, they were not taken.
func (t *TLS) TryWrite(vectors [][]byte) (taken, done int, err error) {
	err = t.push()
	if err == nil && len(vectors) > 0 {
		before := t.sent
		taken, err = t.seal(vectors)
		if e := t.sendSealed(taken); err == nil {
			err = e
		}
		if t.writeErr != nil && t.sent == before {
			taken = 0
		}
	}
	done, t.done = t.done, 0
	return taken, done, err
}

// sendSealed sends what was sealed of taken bytes. Without any, it has the transport below send nothing, which fails on
// a broken connection.
func (t *TLS) sendSealed(taken int) error {
	if taken == 0 && !t.lower.Traits().TriesWrite {
		return nil
	}
	if taken == 0 {
		_, _, err := t.lower.TryWrite(t.one[:])
		return err
	}
	err := t.push()
	if err == nil {
		t.burst = min(2*t.burst, burstRecords)
		return nil
	}
	t.burst = 1
	t.mu.Lock()
	if t.out != nil {
		t.out = t.out.shrunk()
	}
	t.mu.Unlock()
	return err
}

// seal makes records of the vectors, as many as one send takes.
func (t *TLS) seal(vectors [][]byte) (taken int, err error) {
	g := gather{vectors: vectors}
	defer g.giveBack()
	for range t.burst {
		p := g.next(t.recordLimit())
		if p == nil {
			break
		}
		n, err := t.sealRecord(p)
		taken += n
		if err != nil {
			return taken, err
		}
	}
	return taken, nil
}

// smallRecords is how many bytes crypto/tls sends in records that grow slowly, before it makes full ones.
const smallRecords = 128 << 10

// recordLimit is how much data conn.Write may get at once. When it makes several records of that, countData has to tell how
// much data is in each. Where it cannot, as long as crypto/tls makes small records, conn.Write gets no more than fits in one:
// the smallest holds 1,024 bytes.
func (t *TLS) recordLimit() int {
	if t.steady || t.small >= smallRecords {
		return recordBytes
	}
	return 1024
}

// sealRecord seals p, usually in one record.
func (t *TLS) sealRecord(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.fatal != nil {
		return 0, t.fatal
	}
	first := 0
	if t.out != nil {
		first = len(t.out.marks)
	}
	t.sealing = true
	n, err := t.conn.Write(p)
	t.sealing = false
	t.small += n
	if err != nil {
		t.fatal = &TLSError{Err: plainTLSError(err)}
		return n, t.fatal
	}
	t.countData(t.out.marks[first:], n)
	return n, nil
}

// countData notes for each record how many of the n bytes of data it holds. keep has set data to the record's own length. With
// a steady cipher suite each record is longer than its data by the same number of bytes. Otherwise only the sum is known, and
// all of the data counts with the last record.
func (t *TLS) countData(records []mark, n int) {
	sealed := 0
	for _, r := range records {
		sealed += r.data
	}
	added := (sealed - n) / max(len(records), 1) // to the data of each record
	for i := range records {
		r := &records[i]
		switch {
		case i == len(records)-1:
			r.data = n
		case t.steady:
			r.data -= added
		default:
			r.data = 0
		}
		n -= r.data
	}
}

// push sends what is held, until nothing is left, or the connection takes no more. Data that is in the kernel then is
// added to done.
func (t *TLS) push() error {
	switch {
	case t.writeErr == nil:
	case t.told:
		return t.brokenError()
	default: // a wait has brought it
		t.told = true
		return t.writeErr
	}
	for {
		p := t.heldBytes()
		if p == nil {
			return nil
		}
		t.one[0] = p
		n, _, err := t.lower.TryWrite(t.one[:])
		t.one[0] = nil
		t.account(n)
		if err != nil {
			t.told = err != ErrWouldBlock
			return t.writeFailed(err)
		}
	}
}

// brokenError is why nothing can be sent any more. Nothing is, but the connection may give another reason by now: behind a
// reset, a broken pipe.
func (t *TLS) brokenError() error {
	if t.lower.Traits().TriesWrite {
		t.one[0] = nil
		if _, _, err := t.lower.TryWrite(t.one[:]); err != nil && err != ErrWouldBlock {
			return err
		}
	}
	return t.writeErr
}

// heldBytes returns what is held, nil if nothing is.
func (t *TLS) heldBytes() []byte {
	if !t.held.Load() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.out == nil {
		return nil
	}
	return t.out.bytes[t.out.sent:]
}

// account notes that n more bytes that were held are in the kernel.
func (t *TLS) account(n int) {
	if n == 0 {
		return
	}
	t.sent += uint64(n)
	t.mu.Lock()
	t.done += t.out.account(n)
	resume := t.out.rest() == 0 && t.emptiedLocked()
	t.mu.Unlock()
	if resume {
		t.lower.Post((*tlsWake)(t))
	}
}

// emptiedLocked notes that nothing is held any more, and reports whether a read has waited for that.
func (t *TLS) emptiedLocked() (resume bool) {
	t.out.giveBack()
	t.out, t.control = nil, 0
	t.held.Store(false)
	resume, t.throttled = t.throttled, false
	return resume
}

// writeFailed notes how a send ended that did not take everything. Whatever is held then is lost.
func (t *TLS) writeFailed(err error) error {
	if err == ErrWouldBlock {
		return err
	}
	t.writeErr = err
	t.mu.Lock()
	t.mute = true
	resume := t.out != nil && t.emptiedLocked()
	t.mu.Unlock()
	if resume {
		t.lower.Post((*tlsWake)(t))
	}
	return err
}

// StartWrite implements Transport: it waits until what is held has gone on, or for room if nothing is. The vectors are not
// needed for that, and never seen below.
func (t *TLS) StartWrite(id uint32, _ [][]byte) bool {
	t.ids[Write] = id
	return t.startHeld(id)
}

func (t *TLS) startHeld(id uint32) bool {
	t.one[0] = t.heldBytes()
	return t.lower.StartWrite(id, t.one[:])
}

// WriteThrough has nothing to offer: a record that was cut would need two counts.
func (t *TLS) WriteThrough(uint32, [][]byte) (int, error) { return 0, ErrInterrupted }

// WriteReturned implements Owner: the wait below is over, and the owner tries again.
func (o *tlsOwner) WriteReturned(n int, err error) {
	t := (*TLS)(o)
	if h := t.shaking.Load(); h != nil {
		h.writeReturned(n, err)
		return
	}
	t.noteWritten(n, err)
	if !t.goOnEnding(err) {
		done := t.done
		t.done = 0
		t.owner.WriteReturned(done, ErrInterrupted)
	}
}

// noteWritten takes what a wait below has sent.
func (t *TLS) noteWritten(n int, err error) {
	t.one[0] = nil
	t.account(n)
	if err != nil && err != ErrInterrupted {
		_ = t.writeFailed(err)
	}
}
