package netstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// programOf makes a program of bytes: the first ten choose the stream and its transport, and each pair that follows is
// a step of one of up to four goroutines.
func programOf(data []byte) program {
	at := func(i int) int {
		if i < len(data) {
			return int(data[i])
		}
		return 0
	}
	p := program{
		seed: uint64(at(0)), kind: faultyKind(at(1) % 3), streams: 1 + at(2)%2,
		config: Config{
			Overflow:         Overflow(at(3) % 3),
			Send:             SendMode(at(3) / 3 % 2),
			LeaveOpen:        at(3)/6%4 == 3,
			MaxPendingBytes:  [...]int64{-1, 200, 2000}[at(4)%3],
			MaxPendingWrites: [...]int{-1, 1, 5}[at(4)/3%3],
			Access:           [...]Access{0, 0, 0, 0, 0, 0, AccessRead, AccessWrite}[at(4)/9%8],
		},
		bytes:  [...]int64{0, 300}[at(5)%2],
		writes: [...]int{0, 3}[at(5)/2%2],
		chance: chances{
			block: min(at(6)*4, stalled), short: at(7) * 3, reset: at(8) % 16 * 2, nobufs: at(8) / 16 * 2,
			refuse: at(9) % 16 * 16, late: at(9) / 16 * 50,
		},
		unit: time.Millisecond, scale: 1,
	}
	p.workers = make([][]step, 4)
	for i := 10; i+1 < len(data) && i < 200; i += 2 { // at most 95 steps: the first byte of a message is its number
		w := at(i) >> 6
		p.workers[w] = append(p.workers[w], step{stepNames[at(i)&63%len(stepNames)], at(i+1)%120 + 1})
	}
	return p
}

// FuzzOperations runs any bytes as a program of TestModel and holds the outcome to the same model.
func FuzzOperations(f *testing.F) {
	f.Add([]byte("0123456789abcdefghijklmnopqrstuvwxyz"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var faults []string
		synctest.Test(t, func(*testing.T) { faults = programOf(data).execute() })
		if len(faults) > 0 {
			t.Errorf("%d faults, the first ones: %q", len(faults), faults[:min(len(faults), 5)])
		}
	})
}

// misused is one operation that was begun, and how often it was ended.
type misused struct {
	ar    AsyncResult
	owner int
	read  bool
	ended bool
}

// FuzzAsyncResultMisuse ends, cancels, asks and copies results in any order, on the right stream and on the wrong one,
// in the right kind of End and in the wrong one, long after they were ended and their memory lives another life. Each
// End but the right first one is an error, at once; no question panics; and the rightful owner can always end.
func FuzzAsyncResultMisuse(f *testing.F) {
	f.Add([]byte("\x00\x10\x21\x32\x43\x54\x65\x76\x87"))
	f.Fuzz(func(t *testing.T, data []byte) {
		synctest.Test(t, func(t *testing.T) { misuse(t, data[:min(len(data), 300)]) })
	})
}

func misuse(t *testing.T, data []byte) {
	a, b := Pipe(nil)
	streams := [2]*NetworkStream{a, b}
	defer b.Close()
	defer a.Close()
	closing := time.AfterFunc(time.Second, func() { // an End of a read that gets nothing waits for this
		a.Close()
		b.Close()
	})
	defer closing.Stop()
	var all []*misused
	for i := 0; i+1 < len(data); i += 2 {
		do, which := data[i]%10, int(data[i+1])
		owner := which & 1
		if do < 3 || len(all) == 0 {
			all = append(all, beginMisused(streams[owner], owner, do == 2))
			continue
		}
		m := all[which/2%len(all)]
		switch do {
		case 3, 4:
			endRightly(t, streams[m.owner], m)
		case 5: // the wrong kind
			if err := endAs(streams[m.owner], m.ar, !m.read); err == nil {
				t.Error("a result was ended as the other kind")
			}
		case 6: // the wrong stream
			if err := endAs(streams[1-m.owner], m.ar, m.read); err == nil {
				t.Error("a result was ended by another stream")
			}
		case 7: // a copy that pretends to be of another life
			stale := m.ar
			stale.tag -= 1 << 16 * uint64(1+which%3)
			if err := endAs(streams[m.owner], stale, m.read); err == nil {
				t.Error("a result of another life was ended")
			}
			if !stale.IsZero() && !stale.IsCompleted() || streams[m.owner].Cancel(stale) || !stale.AsyncWaitHandle().WaitOneTimeout(0) {
				t.Error("a stale result does not say that it is over")
			}
		case 8:
			if streams[1-m.owner].Cancel(m.ar) {
				t.Error("a result was cancelled by another stream")
			}
			if taken := streams[m.owner].Cancel(m.ar); taken && (m.ended || !m.ar.IsCompleted()) {
				t.Error("cancelled, and it was ended, or has not completed")
			}
		case 9:
			look(t, m)
		}
	}
	for _, m := range all {
		endRightly(t, streams[m.owner], m)
		endRightly(t, streams[m.owner], m)
		look(t, m)
	}
}

func beginMisused(s *NetworkStream, owner int, read bool) *misused {
	m := &misused{owner: owner, read: read}
	p := make([]byte, 3)
	if read {
		m.ar, _ = s.BeginRead(p, 0, len(p), nil, m)
	} else {
		m.ar, _ = s.BeginWrite(p, 0, len(p), nil, m)
	}
	return m
}

func endAs(s *NetworkStream, ar AsyncResult, read bool) error {
	if read {
		_, err := s.EndRead(ar)
		return err
	}
	return s.EndWrite(ar)
}

// endRightly ends m where it belongs; the first time it tells the outcome, afterwards that it was ended.
func endRightly(t *testing.T, s *NetworkStream, m *misused) {
	err := endAs(s, m.ar, m.read)
	var null *ArgumentNullError
	var disposed *ObjectDisposedError
	switch {
	case m.ar.IsZero(): // Begin was refused
		if !errors.As(err, &null) && !errors.As(err, &disposed) {
			t.Errorf("End of no result: %v", err)
		}
	case m.ended != errors.Is(err, errEndedTwice):
		t.Errorf("ended before: %t, and End says %v", m.ended, err)
	case errors.Is(err, errForeignResult):
		t.Errorf("the rightful End is told %v", err)
	}
	m.ended = true
}

func look(t *testing.T, m *misused) {
	c := m.ar // a copy is as good
	done := c.IsCompleted()
	if m.ended && !c.IsZero() && !done || done && !m.ar.IsCompleted() {
		t.Error("a result that was ended, or had completed, says that it has not completed")
	}
	if c.CompletedSynchronously() != m.ar.CompletedSynchronously() {
		t.Error("CompletedSynchronously differs in a copy")
	}
	if !c.IsZero() && c.AsyncState() != m {
		t.Error("the state is another one")
	}
	if handle := c.AsyncWaitHandle(); done && !handle.WaitOneTimeout(0) {
		t.Error("the wait handle of what has completed is not set")
	}
}

// FuzzSocketErrorMapping gives any errno, wrapped in any way, to the mapping of errors: there is always a SocketError in
// the chain, the errno is kept, the way back agrees, and nothing panics.
func FuzzSocketErrorMapping(f *testing.F) {
	for _, errno := range []syscall.Errno{0, syscall.ECONNRESET, syscall.EPIPE, syscall.EINTR, syscall.EAGAIN, 9999} {
		f.Add(uint32(errno), uint8(0), "text")
	}
	f.Fuzz(func(t *testing.T, number uint32, wrap uint8, text string) {
		errno := syscall.Errno(number)
		err := wrapped(errno, wrap, text)
		got := classify(callRead, err)
		var e *SocketError
		if !errors.As(got, &e) {
			t.Fatalf("no SocketError in %v", got)
		}
		if e.Errno != errno || e.Code != errnoToCode(errno) || errno != 0 && !errors.Is(got, errno) || !errors.Is(got, e.Code) {
			t.Errorf("errno %d became %d, %v", errno, e.Errno, e.Code)
		}
		if again := classify(callRead, got); again != got {
			t.Errorf("%v was classified twice", got)
		}
		if back := codeToErrno(e.Code); back != 0 && errnoToCode(back) != e.Code && e.Code != CodeIOPending && e.Code != CodeTryAgain {
			t.Errorf("%v goes back to errno %d, which is %v", e.Code.String(), back, errnoToCode(back))
		}
		out := opError("write", endA, endB, &IOError{Err: got})
		if netErr, ok := out.(net.Error); !ok || netErr.Timeout() != e.Timeout() {
			t.Errorf("%v is no net.Error, or disagrees about the timeout", out)
		}
		if out.Error() == "" || e.ErrorCode() != int(e.Code) || e.Code.String() == "" {
			t.Errorf("an error without a text: %#v", e)
		}
		checkBack(t, SocketErrorCode(int32(number)))
	})
}

// wrapped puts errno into what other packages put it into.
func wrapped(errno syscall.Errno, wrap uint8, text string) error {
	var err error = errno
	for ; wrap > 0; wrap /= 5 {
		switch wrap % 5 {
		case 1:
			err = os.NewSyscallError(text, err)
		case 2:
			err = &net.OpError{Op: text, Net: "tcp", Err: err}
		case 3:
			err = fmt.Errorf("%s: %w", text, err)
		case 4:
			err = errors.Join(errors.New(text), err)
		}
		if err == nil { // NewSyscallError of no error
			err = errno
		}
	}
	return err
}

// checkBack asks any number that a program may call a code.
func checkBack(t *testing.T, code SocketErrorCode) {
	if code.String() == "" || code.Error() == "" {
		t.Errorf("code %d has no text", int(code))
	}
	e := codeError(code, nil)
	if !errors.Is(e, code) || e.ErrorCode() != int(code) {
		t.Errorf("code %d is not itself", int(code))
	}
	for _, cause := range []error{context.Canceled, io.ErrClosedPipe, os.ErrDeadlineExceeded} {
		if c := codeError(code, cause); !errors.Is(c, cause) || !errors.Is(c, code) {
			t.Errorf("code %d loses its cause", int(code))
		}
	}
}
