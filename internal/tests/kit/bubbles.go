package kit

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// Took fails the test unless since was want ago.
func Took(t *testing.T, what string, since time.Time, want time.Duration) {
	t.Helper()
	if got := time.Since(since); got != want {
		t.Errorf("%s took %v, want %v", what, got, want)
	}
}

// InBubble runs f in a bubble with both ends of a pipe.
func InBubble(t *testing.T, cfg *netstream.Config, f func(t *testing.T, a, b *netstream.NetworkStream)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		a, b := netstream.Pipe(cfg)
		defer b.Close()
		defer a.Close()
		f(t, a, b)
	})
}

// FillPipe fills a's outgoing buffer, so that the next write waits.
func FillPipe(t *testing.T, a *netstream.NetworkStream) {
	t.Helper()
	if err := a.Socket().SetWriteBuffer(1 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Write(make([]byte, 1<<10)); err != nil {
		t.Fatal(err)
	}
}
