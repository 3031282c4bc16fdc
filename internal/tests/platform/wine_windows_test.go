package platform_test

import (
	"errors"
	"flag"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Showing that Wine loses sends leaves one behind, and may crash it.
var lose = flag.Bool("lose-a-send", false, "show that Wine loses cancelled sends")

func wineOnly(t *testing.T) {
	t.Helper()
	if !kit.Wine() {
		t.Skip("this is Windows")
	}
}

func pair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	client, server := kit.ConnCase{Network: "tcp"}.NetPair(t)
	t.Cleanup(func() { client.Close(); server.Close() })
	return client.(*net.TCPConn), server.(*net.TCPConn)
}

func TestWine_HasNoUnixSockets(t *testing.T) {
	wineOnly(t)
	if ln, err := net.Listen("unix", filepath.Join(kit.TempDir(t), "s")); err == nil {
		ln.Close()
		t.Error("it has")
	}
}

func TestWine_CannotOpenUDPSockets(t *testing.T) {
	wineOnly(t)
	if c, err := net.ListenPacket("udp", "127.0.0.1:0"); err == nil {
		c.Close()
		t.Error("it can")
	}
}

func TestWine_CannotRemoveADirectoryAsGoDoes(t *testing.T) {
	wineOnly(t)
	dir := kit.TempDir(t)
	kit.Must(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	if os.RemoveAll(dir) == nil {
		t.Error("it can")
	}
}

// resetEarly returns a connection that the peer resets while nobody reads, after an end or without one. That the reset has
// arrived shows in a write.
func resetEarly(t *testing.T, end bool) *net.TCPConn {
	t.Helper()
	a, b := pair(t)
	if end {
		b.CloseWrite()
	}
	b.SetLinger(0)
	b.Close()
	kit.Eventually(t, "a write fails", func() bool { _, err := a.Write([]byte("x")); return err != nil })
	return a
}

func TestWine_TakesAResetForAnEndAndAnEndForAReset(t *testing.T) {
	wineOnly(t)
	for _, end := range []bool{false, true} {
		if _, err := resetEarly(t, end).Read(make([]byte, 1)); err != io.EOF {
			t.Errorf("a reset, after an end %t: %v", end, err)
		}
	}
}

func TestWine_SaysNothingWhenADeadConnectionIsShutDown(t *testing.T) {
	wineOnly(t)
	if err := resetEarly(t, false).CloseWrite(); err != nil {
		t.Error(err)
	}
}

func TestWine_LosesASendThatIsCancelled(t *testing.T) {
	wineOnly(t)
	if !*lose {
		t.Skip("needs -lose-a-send")
	}
	for round := range 20_000 {
		a, b := pair(t)
		a.SetWriteBuffer(4 << 10)
		b.SetReadBuffer(4 << 10)
		written := kit.Async(func() error { _, err := a.Write(make([]byte, 8<<20)); return err })
		time.Sleep(time.Duration(round%4) * time.Millisecond / 2)
		if round%2 == 0 {
			b.Read(make([]byte, 100))
		}
		a.SetWriteDeadline(time.Unix(1, 0))
		select {
		case err := <-written:
			if err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatal(err)
			}
		case <-time.After(5 * time.Second):
			t.Logf("the write of round %d does not return", round)
			return
		}
		a.Close()
		b.Close()
	}
	t.Error("it has lost none")
}
