package engine

import (
	"errors"
	"math"
	"net"
	"os"
	"testing"
	"time"
)

// stubborn is a direct connection whose deadlines are noted, and fail if they are to.
type stubborn struct {
	net.Conn
	direct

	deadlines []time.Time
	failure   error
}

func (c *stubborn) SetReadDeadline(at time.Time) error {
	c.deadlines = append(c.deadlines, at)
	return c.failure
}

func (c *stubborn) wantDeadlines(t *testing.T, want ...time.Time) {
	t.Helper()
	if len(c.deadlines) != len(want) {
		t.Fatalf("%v, want %v", c.deadlines, want)
	}
	for i, at := range c.deadlines {
		if !at.Equal(want[i]) {
			t.Fatalf("%v, want %v", c.deadlines, want)
		}
	}
}

func newStubborn() (*portable, *stubborn) {
	c := new(stubborn)
	return &portable{conn: c, direct: c}, c
}

// A cancel that comes before its call has that one not begin, once; it leaves all other calls alone. Ids wrap around.
func TestPortable_ACancelBeforeItsCall(t *testing.T) {
	const last = math.MaxUint32
	for i, c := range []struct {
		cancels []uint32
		call    uint32
		want    bool
	}{
		{nil, 1, true},
		{[]uint32{1}, 1, false},
		{[]uint32{1}, 2, true},
		{[]uint32{2, 1}, 2, false}, // the second one is late
		{[]uint32{1, 2}, 2, false},
		{[]uint32{last, 0}, 0, false},
		{[]uint32{0, last}, 0, false},
	} {
		p, conn := newStubborn()
		for _, id := range c.cancels {
			p.Cancel(Read, id, false)
		}
		if got := p.begin(Read, c.call, 0); got != c.want {
			t.Errorf("%d: it began: %t", i, got)
		}
		if !c.want && !p.begin(Read, c.call, 0) {
			t.Errorf("%d: it does not begin the next time", i)
		}
		conn.wantDeadlines(t)
	}
}

// A cancel interrupts its own call and no other, and what it has set is taken back when the call is over.
func TestPortable_ACancelInItsCall(t *testing.T) {
	p, c := newStubborn()
	p.begin(Read, 5, 0)
	p.Cancel(Read, 4, false)
	p.Cancel(Read, 6, false)
	c.wantDeadlines(t)
	if err := p.end(Read, os.ErrDeadlineExceeded); err != os.ErrDeadlineExceeded {
		t.Errorf("a deadline that nobody here has set is %v", err)
	}
	p.begin(Read, 7, 0)
	p.Cancel(Read, 7, false)
	p.Cancel(Read, 7, false)
	c.wantDeadlines(t, longAgo)
	if err := p.end(Read, os.ErrDeadlineExceeded); err != ErrInterrupted {
		t.Errorf("an interrupted call ends with %v", err)
	}
	c.wantDeadlines(t, longAgo, time.Time{})
	other := errors.New("other")
	p.begin(Read, 8, 0)
	p.Cancel(Read, 8, false)
	if err := p.end(Read, other); err != other {
		t.Errorf("another error of an interrupted call is %v", err)
	}
}

// A deadline that could not be set has interrupted nothing: the next cancel tries again.
func TestPortable_ADeadlineThatCannotBeSet(t *testing.T) {
	p, c := newStubborn()
	c.failure = errors.New("no deadlines")
	p.begin(Read, 1, 0)
	p.Cancel(Read, 1, false)
	c.failure = nil
	p.Cancel(Read, 1, false)
	c.wantDeadlines(t, longAgo, longAgo)
}

// A deadline that somebody has left on a connection would cut at random.
func TestPortable_NoDeadlineIsLeftOver(t *testing.T) {
	a, b := Pipe()
	defer b.Close()
	a.SetDeadline(longAgo)
	NewPortable(nil, a, Options{})
	b.Write([]byte{1})
	if n, err := a.Read(make([]byte, 1)); n != 1 || err != nil {
		t.Error(n, err)
	}
	if n, err := a.Write([]byte{1}); n != 1 || err != nil {
		t.Error(n, err)
	}
	a.Close()
}
