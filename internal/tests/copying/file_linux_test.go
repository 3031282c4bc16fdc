package copying_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What is a file and is not to be sent as one: sendfile would wait for it, or knows nothing of its size.
func TestCopyFile_SpecialFilesAreRead(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, name := range []string{"/proc/self/status", "/proc/self/maps", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled", "/dev/null"} {
			f, err := os.Open(name)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			s, peer := c.Pair(t, nil, nil)
			received := kit.GoRead(peer)
			n, err := io.Copy(s, f)
			s.Close()
			f.Close()
			got := kit.Within(t, "the peer", received)
			if err != nil || n != int64(len(got.Data)) || n == 0 && name != "/dev/null" {
				t.Errorf("%s: %d, %v; the peer has got %d bytes", name, n, err, len(got.Data))
			}
		}
	})
}

// A FIFO and a terminal are *os.File too. They keep nobody waiting, and what they said arrives.
func TestCopyFile_FIFOsAndTerminals(t *testing.T) {
	sources := map[string]func(t *testing.T) (source, other *os.File){
		"fifo": func(t *testing.T) (source, other *os.File) {
			name := filepath.Join(t.TempDir(), "fifo")
			if err := syscall.Mkfifo(name, 0o600); err != nil {
				t.Fatal(err)
			}
			other, err := os.OpenFile(name, os.O_RDWR, 0) // opening one end alone would wait for the other
			if err != nil {
				t.Fatal(err)
			}
			if source, err = os.Open(name); err != nil {
				t.Fatal(err)
			}
			return source, other
		},
		"terminal": func(t *testing.T) (source, other *os.File) {
			other, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
			if err != nil {
				t.Skip("no terminals here: ", err)
			}
			if err := unix.IoctlSetPointerInt(int(other.Fd()), unix.TIOCSPTLCK, 0); err != nil {
				t.Fatal(err)
			}
			number, err := unix.IoctlGetInt(int(other.Fd()), unix.TIOCGPTN)
			if err != nil {
				t.Fatal(err)
			}
			source, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|syscall.O_NOCTTY, 0)
			if err != nil {
				t.Skip("no terminals here: ", err)
			}
			return source, other
		},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for name, open := range sources {
			t.Run(name, func(t *testing.T) {
				source, other := open(t)
				defer source.Close()
				defer other.Close()
				s, peer := c.Pair(t, nil, nil)
				done := goCopy(s, source)
				if _, err := other.Write([]byte("a line\n")); err != nil {
					t.Fatal(err)
				}
				kit.ReadExactly(t, peer, []byte("a line\n"))
				_, outcome := kit.Begin(t, s, []byte("begun"))
				kit.ReadExactly(t, peer, []byte("begun"))
				if err := kit.Within(t, "EndWrite", outcome); err != nil {
					t.Error(err)
				}
				kit.Within(t, "Close", kit.Async(s.Close))
				if _, err := other.Write([]byte("another\n")); err != nil {
					t.Fatal(err)
				}
				if got := kit.Within(t, "ReadFrom", done); got.n != 7 || got.err == nil {
					t.Errorf("ReadFrom: %d, %v", got.n, got.err)
				}
			})
		}
	})
}

// Somebody else who has the socket, a child for instance, may make it blocking; sendfile obeys that flag only.
func TestCopyFile_IntoASocketThatWasMadeBlocking(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" || c.TLS() {
			t.Skip("there is no descriptor")
		}
		s, peer := c.WithPeer(t, nil)
		content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
		f := writeFile(t, content)
		raw, err := s.Socket().SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		if err := raw.Control(func(fd uintptr) {
			if err := syscall.SetNonblock(int(fd), false); err != nil {
				t.Error(err)
			}
		}); err != nil {
			t.Fatal(err)
		}
		done := goCopy(s, f)
		kit.ReadExactly(t, peer, content[:1<<20])
		kit.Settled(t, s)
		kit.Within(t, "Close", kit.Async(s.Close))
		kit.Within(t, "ReadFrom", done)
	})
}
