package foreign_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// halves is a rude connection with a CloseWrite.
type halves struct {
	rude
	closeWrite func() error
}

func (c *halves) CloseWrite() error { return c.closeWrite() }

// CloseWrite is foreign code as well: it does not hold the stream's CloseWrite up, Drain tells how it ended, and Close
// comes back.
func TestForeignCloseWrite(t *testing.T) {
	release := make(chan struct{})
	for _, c := range []struct {
		name       string
		closeWrite func() error
		want       error // of Drain
	}{
		{"succeeds", func() error { return nil }, nil},
		{"fails", func() error { return syscall.EIO }, syscall.EIO},
		{"ends its goroutine", func() error { runtime.Goexit(); return nil }, netstream.CodeConnectionAborted},
		{"blocks", func() error { <-release; return nil }, context.DeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			defer theirs.Close()
			s := kit.MustNew(t, &halves{rude{Conn: ours}, c.closeWrite}, nil)
			_, wrote := kit.Begin(t, s, []byte("hello"))
			if err := kit.Within(t, "CloseWrite", kit.Async(s.CloseWrite)); err != nil {
				t.Fatal(err)
			}
			kit.ReadExactly(t, theirs, []byte("hello"))
			if err := kit.Within(t, "the write", wrote); err != nil {
				t.Error(err)
			}
			limit := kit.Patience
			if c.want == context.DeadlineExceeded {
				limit = 50 * time.Millisecond
			}
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if err := s.Drain(ctx); !errors.Is(err, c.want) {
				t.Errorf("Drain: %v, want %v", err, c.want)
			}
			_, err := s.Write([]byte("late"))
			kit.WantFailure(t, "a later Write", err, 0, false, netstream.CodeShutdown)
			kit.Within(t, "Close", kit.Async(s.Close))
			if c.want == context.DeadlineExceeded {
				close(release)
			}
			kit.Within(t, "Done", s.Done())
		})
	}
}

// A CloseWrite that fails is no failed write, and Shutdown tells the first of two failures in one line.
func TestForeignCloseWriteThatFailsIsNoWrite(t *testing.T) {
	ours, theirs := net.Pipe()
	defer theirs.Close()
	s := kit.MustNew(t, &halves{rude{Conn: ours}, func() error { return syscall.EIO }}, nil)
	defer s.Close()
	kit.Must(t, s.CloseWrite())
	if err := s.Drain(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Errorf("Drain: %v", err)
	}
	if st := s.Stats(); st.WriteOps != 0 || st.FailedWrites != 0 || st.WriteErr != nil {
		t.Errorf("%d writes, %d failed: %v", st.WriteOps, st.FailedWrites, st.WriteErr)
	}
	if err := s.Socket().Shutdown(netstream.ShutdownBoth); !errors.Is(err, syscall.EIO) || strings.Contains(err.Error(), "\n") {
		t.Errorf("Shutdown: %q", err)
	}
}
