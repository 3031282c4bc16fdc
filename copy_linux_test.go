package netstream_test

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
)

// What is a file and is not to be sent as one: sendfile would wait for it, or knows nothing of its size.
func TestCopyFile_SpecialFilesAreRead(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		for _, name := range []string{"/proc/self/status", "/proc/self/maps", "/proc/version", "/sys/kernel/mm/transparent_hugepage/enabled", "/dev/null"} {
			f, err := os.Open(name)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				t.Fatal(err)
			}
			s, peer := c.pair(t, nil, nil)
			received := goRead(peer)
			n, err := io.Copy(s, f)
			s.Close()
			f.Close()
			got := within(t, "the peer", received)
			if err != nil || n != int64(len(got.data)) || n == 0 && name != "/dev/null" {
				t.Errorf("%s: %d, %v; the peer has got %d bytes", name, n, err, len(got.data))
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
	eachConn(t, func(t *testing.T, c connCase) {
		for name, open := range sources {
			t.Run(name, func(t *testing.T) {
				source, other := open(t)
				defer source.Close()
				defer other.Close()
				s, peer := c.pair(t, nil, nil)
				done := goCopy(s, source)
				if _, err := other.Write([]byte("a line\n")); err != nil {
					t.Fatal(err)
				}
				readExactly(t, peer, []byte("a line\n"))
				_, outcome := begin(t, s, []byte("begun"))
				readExactly(t, peer, []byte("begun"))
				if err := within(t, "EndWrite", outcome); err != nil {
					t.Error(err)
				}
				within(t, "Close", async(s.Close))
				if _, err := other.Write([]byte("another\n")); err != nil {
					t.Fatal(err)
				}
				if got := within(t, "ReadFrom", done); got.n != 7 || got.err == nil {
					t.Errorf("ReadFrom: %d, %v", got.n, got.err)
				}
			})
		}
	})
}

// Somebody else who has the socket, a child for instance, may make it blocking; sendfile obeys that flag only.
func TestCopyFile_IntoASocketThatWasMadeBlocking(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		if c.network == "pipe" {
			t.Skip("there is no descriptor")
		}
		s, peer := c.withPeer(t, nil)
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
		readExactly(t, peer, content[:1<<20])
		settled(t, s)
		within(t, "Close", async(s.Close))
		within(t, "ReadFrom", done)
	})
}
