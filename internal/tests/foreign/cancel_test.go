package foreign_test

import (
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What becomes of a read that cannot be interrupted, or not in time.

// inRude runs f in a bubble, with a rude stream that has a read in the connection.
func inRude(t *testing.T, change func(c *rude), f func(t *testing.T, s *netstream.NetworkStream, c *rude, read netstream.AsyncResult, outcome <-chan kit.ReadOutcome)) {
	synctest.Test(t, func(t *testing.T) {
		var conn *rude
		s, _ := newRude(t, nil, func(c *rude) { conn = c; change(c) })
		ar, outcome := kit.BeginRead(t, s, 10)
		synctest.Wait()
		f(t, s, conn, ar, outcome)
		wantOver(t, s)
		time.Sleep(time.Minute) // what was late is over
	})
}

// arrives is what a read wants that brings data after all.
func arrives(t *testing.T, what string, outcome <-chan kit.ReadOutcome) {
	t.Helper()
	if o := kit.Within(t, what, outcome); o.Err != nil || string(o.Data) != "hello" {
		t.Errorf("%s: %q, %v", what, o.Data, o.Err)
	}
}

// An interrupted read may bring data first: then it was not cancelled.
func TestForeignCancelThatLosesToData(t *testing.T) {
	inRude(t, func(c *rude) {
		data := make(chan string, 1)
		c.read = func(p []byte) (int, error) { return copy(p, <-data), nil }
		c.setDeadline = func(_ string, at time.Time) error {
			if !at.IsZero() {
				data <- "hello"
			}
			return nil
		}
	}, func(t *testing.T, s *netstream.NetworkStream, _ *rude, read netstream.AsyncResult, outcome <-chan kit.ReadOutcome) {
		if s.Cancel(read) {
			t.Error("Cancel of a read with data says true")
		}
		arrives(t, "the read", outcome)
	})
}

// A Cancel that has said false has changed nothing, although its deadline comes in the end.
func TestForeignCancelThatGaveUp(t *testing.T) {
	const late = 10 * time.Second
	inRude(t, func(c *rude) {
		c.setDeadline = func(_ string, at time.Time) error {
			if !at.IsZero() {
				time.Sleep(late)
			}
			return c.Conn.SetReadDeadline(at)
		}
	}, func(t *testing.T, s *netstream.NetworkStream, c *rude, read netstream.AsyncResult, outcome <-chan kit.ReadOutcome) {
		began := time.Now()
		if s.Cancel(read) {
			t.Error("Cancel says true")
		}
		kit.Took(t, "Cancel", began, time.Second)
		time.Sleep(late)
		select {
		case o := <-outcome:
			t.Fatalf("the read: %v", o.Err)
		default:
		}
		go c.peer.Write([]byte("hello"))
		arrives(t, "the read", outcome)
	})
}

// A read that is begun behind one which a deadline could not end is not served after it.
func TestForeignReadBehindOneThatADeadlineDoesNotEnd(t *testing.T) {
	inRude(t, func(c *rude) {
		c.setDeadline = func(string, time.Time) error { return nil }
	}, func(t *testing.T, s *netstream.NetworkStream, c *rude, _ netstream.AsyncResult, outcome <-chan kit.ReadOutcome) {
		kit.Must(t, s.SetReadDeadline(time.Unix(1, 0)))
		_, second := kit.BeginRead(t, s, 10)
		go c.peer.Write([]byte("hello"))
		arrives(t, "the first read", outcome)
		kit.WantFailure(t, "the second read", kit.Within(t, "the second read", second).Err, 0, false, os.ErrDeadlineExceeded)
	})
}
