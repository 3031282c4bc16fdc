package copying_test

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// What ReadFrom sends may come from anywhere. These tests are about sources that keep it waiting, fail or change, and
// about what the rest of the stream has of it meanwhile.

// silentSource returns an *os.File from which reading waits, and its other end, which makes it speak or end.
func silentSource(t testing.TB) (source, other *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

// speak makes the source behind w speak: whoever has read it waits for more, or is about to.
func speak(t testing.TB, w *os.File) {
	t.Helper()
	if _, err := w.Write([]byte("said")); err != nil {
		t.Fatal(err)
	}
}

type copied struct {
	n   int64
	err error
}

// goCopy has ReadFrom send r on a goroutine of its own.
func goCopy(s *netstream.NetworkStream, r io.Reader) <-chan copied {
	ch := make(chan copied, 1)
	go func() {
		n, err := s.ReadFrom(r)
		ch <- copied{n, err}
	}()
	return ch
}

// writeFile makes a file with that content and opens it.
func writeFile(t testing.TB, content []byte) *os.File {
	t.Helper()
	name := filepath.Join(kit.TempDir(t), "source")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// wantOffset checks where the next read of f would begin.
func wantOffset(t testing.TB, f io.Seeker, want int64) {
	t.Helper()
	if at, err := f.Seek(0, io.SeekCurrent); at != want || err != nil {
		t.Errorf("the file stands at %d, %v, want %d", at, err, want)
	}
}

// A BeginRead that waits makes an EngineAuto stream move while its ReadFrom is under way.
func TestCopy_AMoveLosesNothingOfAPipe(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		source, w := silentSource(t)
		want := kit.Patterned(3, 8<<20)
		received := kit.GoRead(peer)
		done := goCopy(s, source)
		go func() {
			for left := want; len(left) > 0; {
				n, _ := w.Write(left[:min(len(left), 256<<10)])
				left = left[n:]
				if len(left) == 4<<20 {
					s.BeginRead(make([]byte, 1), 0, 1, nil, nil)
				}
			}
			w.Close()
		}()
		if got := kit.Within(t, "ReadFrom", done); got.n != int64(len(want)) || got.err != nil {
			t.Errorf("ReadFrom: %d, %v, want %d", got.n, got.err, len(want))
		}
		if err := s.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		kit.SameBytes(t, kit.Within(t, "the peer", received).Data, want)
	})
}

func TestCopy_CloseDoesNotWaitForTheSource(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		source, w := silentSource(t)
		done := goCopy(s, source)
		speak(t, w)
		kit.ReadExactly(t, peer, []byte("said"))
		kit.Within(t, "Close", kit.Async(s.Close))
		if _, err := w.Write([]byte("x")); err != nil { // it comes back with what it gets next
			t.Fatal(err)
		}
		got := kit.Within(t, "ReadFrom", done)
		if got.n != 4 {
			t.Errorf("ReadFrom says that %d bytes were sent, want 4", got.n)
		}
		kit.WantAborted(t, "ReadFrom", got.err, "NetworkStream")
	})
}

func TestCopy_OthersGoOnWhileTheSourceIsSilent(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		source, w := silentSource(t)
		done := goCopy(s, source)
		speak(t, w)
		kit.ReadExactly(t, peer, []byte("said"))
		_, wrote := kit.Begin(t, s, []byte("begun"))
		if err := kit.Within(t, "EndWrite", wrote); err != nil {
			t.Error(err)
		}
		kit.ReadExactly(t, peer, []byte("begun"))
		if err := kit.Within(t, "Drain", kit.Async(func() error { return s.Drain(kit.CtxNever) })); err != nil {
			t.Error(err)
		}
		_, read := kit.BeginRead(t, s, 10)
		if _, err := peer.Write([]byte("back")); err != nil {
			t.Fatal(err)
		}
		if got := kit.Within(t, "EndRead", read); string(got.Data) != "back" || got.Err != nil {
			t.Errorf("EndRead: %q, %v", got.Data, got.Err)
		}
		w.Close()
		if got := kit.Within(t, "ReadFrom", done); got.n != 4 || got.err != nil {
			t.Errorf("ReadFrom: %d, %v", got.n, got.err)
		}
	})
}

// After a reset a read does not wait for a ReadFrom that has nothing to do with the connection at that moment.
func TestCopy_AResetIsReadWhileTheSourceIsSilent(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.WithPeer(t, nil)
		source, w := silentSource(t)
		done := goCopy(s, source)
		speak(t, w)
		kit.ReadExactly(t, peer, []byte("said"))
		kit.ResetPeer(t, peer)
		for range 3 { // the first takes the error from the kernel, which reports an end from then on
			err := kit.Within(t, "Read", kit.Async(func() error { _, err := s.Read(make([]byte, 1)); return err }))
			kit.WantIs(t, "Read", err, netstream.CodeConnectionReset)
		}
		w.Close()
		kit.Within(t, "ReadFrom", done)
	})
}

// An error of the source is the caller's, and the stream is as good as before.
func TestCopy_AFailingSourceLeavesTheStreamIntact(t *testing.T) {
	failing := map[string]func(t *testing.T) (source io.Reader, check func(error) bool, sent string){
		"a pipe whose deadline passes": func(t *testing.T) (io.Reader, func(error) bool, string) {
			source, w := silentSource(t)
			speak(t, w)
			if err := source.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
				t.Skip("a pipe has no deadline on this system: ", err)
			}
			return source, func(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }, "said"
		},
		"a directory": func(t *testing.T) (io.Reader, func(error) bool, string) {
			d, err := os.Open(kit.TempDir(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { d.Close() })
			return d, isPathError, ""
		},
		"a closed file": func(t *testing.T) (io.Reader, func(error) bool, string) {
			f := writeFile(t, []byte("content"))
			f.Close()
			return f, func(err error) bool { return errors.Is(err, os.ErrClosed) }, ""
		},
		"a file opened for writing": func(t *testing.T) (io.Reader, func(error) bool, string) {
			name := filepath.Join(kit.TempDir(t), "f")
			if err := os.WriteFile(name, []byte("content"), 0o600); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { f.Close() })
			return f, isPathError, ""
		},
		"no file": func(*testing.T) (io.Reader, func(error) bool, string) {
			return (*os.File)(nil), func(err error) bool { return errors.Is(err, os.ErrInvalid) }, ""
		},
		"a reader": func(*testing.T) (io.Reader, func(error) bool, string) {
			return errorAfter("some"), func(err error) bool { return err == errSource }, "some"
		},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for name, make := range failing {
			t.Run(name, func(t *testing.T) {
				s, peer := c.Pair(t, nil, nil)
				source, check, sent := make(t)
				got := kit.Within(t, "ReadFrom", goCopy(s, source))
				if got.n != int64(len(sent)) || !check(got.err) {
					t.Errorf("ReadFrom: %d, %T %v, want %d and the source's error", got.n, got.err, got.err, len(sent))
				}
				var oe *net.OpError
				if errors.As(got.err, &oe) {
					t.Errorf("%v is said to be the network's", got.err)
				}
				if _, err := s.Write([]byte("+more")); err != nil {
					t.Errorf("a Write behind it: %v", err)
				}
				if _, outcome := kit.Begin(t, s, []byte("+begun")); kit.Within(t, "EndWrite", outcome) != nil {
					t.Error("a BeginWrite behind it failed")
				}
				kit.ReadExactly(t, peer, []byte(sent+"+more+begun"))
			})
		}
	})
}

var errSource = errors.New("the source is broken")

// errorAfter gives its text, then errSource.
type errorAfter string

func (e errorAfter) Read(p []byte) (int, error) { return copy(p, e), errSource }

func isPathError(err error) bool {
	var pe *os.PathError
	return errors.As(err, &pe)
}
