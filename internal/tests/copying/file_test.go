package copying_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// haveSendfile is where files go out without being copied.
var haveSendfile = map[string]bool{"linux": true, "darwin": true, "freebsd": true, "dragonfly": true}[runtime.GOOS]

// wholeSlices checks that size bytes of a file went out in slices rather than in copied pieces of 32 KiB.
func wholeSlices(t testing.TB, c kit.ConnCase, s *netstream.NetworkStream, size int64) {
	t.Helper()
	if !haveSendfile || c.Network == "pipe" || c.TLS() {
		return
	}
	if ops, most := int64(s.Stats().WriteOps), size>>20+10; ops > most {
		t.Errorf("%d writes for %d bytes, want %d at most: it was copied", ops, size, most)
	}
}

// However a file is handed over, it goes out without being copied, and what is counted is right.
func TestCopyFile_ByEveryWay(t *testing.T) {
	content := kit.Patterned(5, 6<<20+123)
	size := int64(len(content))
	ways := []struct {
		name string
		want []byte
		at   int64 // where the file stands afterwards
		do   func(s *netstream.NetworkStream, f *os.File) (int64, error)
	}{
		{"io.Copy", content, size, func(s *netstream.NetworkStream, f *os.File) (int64, error) { return io.Copy(s, f) }},
		{"File.WriteTo", content, size, func(s *netstream.NetworkStream, f *os.File) (int64, error) { return f.WriteTo(s) }},
		{"ReadFrom", content, size, func(s *netstream.NetworkStream, f *os.File) (int64, error) { return s.ReadFrom(f) }},
		{"io.CopyN", content[:5<<20], 5 << 20, func(s *netstream.NetworkStream, f *os.File) (int64, error) { return io.CopyN(s, f, 5<<20) }},
		{"a limit", content[:4<<20], 4 << 20, func(s *netstream.NetworkStream, f *os.File) (int64, error) {
			l := &io.LimitedReader{R: f, N: 4 << 20}
			n, err := s.ReadFrom(l)
			return n, errors.Join(err, wantRest(l, 0))
		}},
		{"a limit behind the end", content, size, func(s *netstream.NetworkStream, f *os.File) (int64, error) {
			l := &io.LimitedReader{R: f, N: size + 77}
			n, err := s.ReadFrom(l)
			return n, errors.Join(err, wantRest(l, 77))
		}},
		{"an offset", content[1<<20+1:], size, func(s *netstream.NetworkStream, f *os.File) (int64, error) {
			f.Seek(1<<20+1, io.SeekStart)
			return io.Copy(s, f)
		}},
		{"an offset behind the end", nil, size + 5, func(s *netstream.NetworkStream, f *os.File) (int64, error) {
			f.Seek(size+5, io.SeekStart)
			return io.Copy(s, f)
		}},
		{"a limit of nothing", nil, 0, func(s *netstream.NetworkStream, f *os.File) (int64, error) {
			return s.ReadFrom(&io.LimitedReader{R: f, N: 0})
		}},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, way := range ways {
			t.Run(way.name, func(t *testing.T) {
				s, peer := c.Pair(t, nil, nil)
				f := writeFile(t, content)
				received := kit.GoRead(peer)
				n, err := way.do(s, f)
				if n != int64(len(way.want)) || err != nil {
					t.Errorf("%d, %v, want %d", n, err, len(way.want))
				}
				wantOffset(t, f, way.at)
				wholeSlices(t, c, s, n)
				if sent := s.Stats().BytesWritten; sent != uint64(n) {
					t.Errorf("Stats say that %d bytes were written, want %d", sent, n)
				}
				kit.WantIdle(t, s)
				s.Close()
				kit.SameBytes(t, kit.Within(t, "the peer", received).Data, way.want)
			})
		}
	})
}

func wantRest(l *io.LimitedReader, n int64) error {
	if l.N != n {
		return errors.New("the LimitedReader has another rest than what was not sent")
	}
	return nil
}

// filteredFile reads something else than the bytes of the file it embeds.
type filteredFile struct{ *os.File }

func (f filteredFile) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	for i := range p[:n] {
		p[i] ^= 0xff
	}
	return n, err
}

func TestCopyFile_ATypeThatEmbedsOneIsRead(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		content := kit.Patterned(6, 100<<10)
		received := kit.GoRead(peer)
		if n, err := s.ReadFrom(filteredFile{writeFile(t, content)}); n != int64(len(content)) || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		s.Close()
		for i := range content {
			content[i] ^= 0xff
		}
		kit.SameBytes(t, kit.Within(t, "the peer", received).Data, content)
	})
}

// A deadline, which cuts the copy in the middle, leaves the count, the file and the limit where the peer's bytes end.
func TestCopyFile_WhatWasCutIsExact(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const before, size = 1000, 16 << 20
		content := kit.Patterned(7, before+size)
		s, peer := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, s, peer)
		f := writeFile(t, content)
		if _, err := f.Seek(before, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		l := &io.LimitedReader{R: f, N: size}
		done := goCopy(s, l)
		kit.ReadExactly(t, peer, content[before:before+1<<20])
		kit.Settled(t, s)
		kit.CutNow(t, s)
		got := kit.Within(t, "ReadFrom", done)
		if !errors.Is(got.err, os.ErrDeadlineExceeded) {
			t.Fatalf("ReadFrom: %v", got.err)
		}
		wantOffset(t, f, before+got.n)
		if err := wantRest(l, size-got.n); err != nil {
			t.Error(err)
		}
		if err := s.SetWriteDeadline(time.Time{}); err != nil {
			t.Fatal(err)
		}
		rest := kit.Async(func() error { _, err := s.ReadFrom(l); return err }) // it goes on where it stopped
		kit.ReadExactly(t, peer, content[before+1<<20:])
		if err := kit.Within(t, "the second ReadFrom", rest); err != nil {
			t.Error(err)
		}
		wantOffset(t, f, before+size)
	})
}

// A file that another process makes shorter or longer meanwhile ends where it ends.
func TestCopyFile_ThatChangesMeanwhile(t *testing.T) {
	const size, first = 8 << 20, 1 << 20
	content := kit.Patterned(8, size+4<<20)
	change := map[string]struct {
		to   int64
		make func(name string) error
	}{
		"shorter": {6 << 20, func(name string) error { return os.Truncate(name, 6<<20) }},
		"longer": {int64(len(content)), func(name string) error {
			f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write(content[size:])
			return err
		}},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for name, ch := range change {
			t.Run(name, func(t *testing.T) {
				s, peer := c.Pair(t, nil, nil)
				kit.SmallBuffers(t, s, peer)
				f := writeFile(t, content[:size])
				done := goCopy(s, f)
				kit.ReadExactly(t, peer, content[:first])
				kit.Settled(t, s)
				if err := ch.make(f.Name()); err != nil {
					t.Skip("this system does not change a file that is open: ", err)
				}
				kit.ReadExactly(t, peer, content[first:ch.to])
				if got := kit.Within(t, "ReadFrom", done); got.n != ch.to || got.err != nil {
					t.Errorf("ReadFrom: %d, %v, want %d", got.n, got.err, ch.to)
				}
				wantOffset(t, f, ch.to)
				kit.WantIdle(t, s)
				_, outcome := kit.Begin(t, s, []byte("more"))
				kit.ReadExactly(t, peer, []byte("more"))
				if err := kit.Within(t, "EndWrite", outcome); err != nil {
					t.Error(err)
				}
			})
		}
	})
}

// Others write while a file goes out to a peer that is slow: their messages arrive whole, between its slices.
func TestCopyFile_OthersGetTheirTurn(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const size, messages = 4 << 20, 20
		s, peer := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, s, peer)
		f := writeFile(t, make([]byte, size))
		done := goCopy(s, f)
		kit.HasInput(t, peer)
		message := bytes.Repeat([]byte{'M'}, 10_000)
		go func() {
			for i := range messages {
				if i%2 == 0 {
					s.Write(message)
				} else if ar, err := s.BeginWrite(message, 0, len(message), nil, nil); err == nil {
					s.EndWrite(ar)
				}
			}
			<-done
			s.CloseWrite()
		}()
		got := kit.Within(t, "the peer", kit.GoRead(peer))
		if want := size + messages*len(message); len(got.Data) != want {
			t.Fatalf("the peer has got %d bytes, want %d", len(got.Data), want)
		}
		behind := got.Data
		for i := range messages {
			at := bytes.IndexByte(behind, 'M')
			if at < 0 || !bytes.Equal(behind[at:at+len(message)], message) {
				t.Fatalf("message %d of %d is not whole", i, messages)
			}
			behind = behind[at+len(message):]
		}
	})
}

// A BeginRead that waits makes an EngineAuto stream move while a slice is under way.
func TestCopyFile_AMoveLosesNothing(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		content := kit.Patterned(9, 8<<20)
		s, peer := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, s, peer)
		f := writeFile(t, content)
		done := goCopy(s, f)
		kit.ReadExactly(t, peer, content[:1<<20])
		kit.Settled(t, s)
		_, read := kit.BeginRead(t, s, 10)
		kit.ReadExactly(t, peer, content[1<<20:])
		if got := kit.Within(t, "ReadFrom", done); got.n != int64(len(content)) || got.err != nil {
			t.Errorf("ReadFrom: %d, %v", got.n, got.err)
		}
		wholeSlices(t, c, s, int64(len(content)))
		if engine, why := s.Socket().Engine(); c.Engine == netstream.EngineAuto && kit.HaveEpoll && engine != netstream.EngineEpoll {
			t.Errorf("the stream is on %v: %s", engine, why)
		}
		if _, err := peer.Write([]byte("x")); err != nil {
			t.Error(err)
		}
		kit.Within(t, "EndRead", read)
	})
}

func TestCopyFile_CloseEndsAStalledOne(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		content := kit.Patterned(10, 8<<20)
		s, peer := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, s, peer)
		f := writeFile(t, content)
		done := goCopy(s, f)
		kit.HasInput(t, peer)
		kit.Settled(t, s)
		kit.Within(t, "Close", kit.Async(s.Close))
		got := kit.Within(t, "ReadFrom", done)
		kit.WantAborted(t, "ReadFrom", got.err, "NetworkStream")
		wantOffset(t, f, got.n)
		seen := kit.Within(t, "the peer", kit.GoRead(peer))
		kit.SameBytes(t, seen.Data, content[:len(seen.Data)])
		if haveSendfile && c.Network != "pipe" && !c.TLS() { // a slice was cut; what is copied may have been cut between two pieces
			kit.WantEndAfterCut(t, c, seen.Err)
		}
	})
}

// With a WriteTimeout a slow peer has as long for a slice as it has for a copied piece.
func TestCopyFile_AWriteTimeoutIsForAPiece(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, s, peer)
		if err := s.SetWriteTimeout(kit.Patience); err != nil {
			t.Fatal(err)
		}
		content := kit.Patterned(11, 1<<20)
		done := goCopy(s, writeFile(t, content))
		kit.ReadExactly(t, peer, content)
		if got := kit.Within(t, "ReadFrom", done); got.n != int64(len(content)) || got.err != nil {
			t.Errorf("ReadFrom: %d, %v", got.n, got.err)
		}
		if ops := s.Stats().WriteOps; ops < 32 {
			t.Errorf("%d writes, want one for each 32 KiB", ops)
		}
	})
}

// A closed or read-only stream takes nothing from the source.
func TestCopyFile_NothingIsTakenInVain(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		readOnly, _ := c.Pair(t, &netstream.Config{Access: netstream.AccessRead}, nil)
		closed, _ := c.Pair(t, nil, nil)
		closed.Close()
		noSocket, _ := c.Pair(t, nil, nil)
		noSocket.Socket().Close()
		for name, s := range map[string]*netstream.NetworkStream{"read-only": readOnly, "closed": closed, "no socket": noSocket} {
			f := writeFile(t, []byte("content"))
			if n, err := io.Copy(s, f); n != 0 || err == nil {
				t.Errorf("%s: %d, %v", name, n, err)
			}
			wantOffset(t, f, 0)
			source := bytes.NewBufferString("content")
			if n, err := s.ReadFrom(source); n != 0 || err == nil || source.Len() != 7 {
				t.Errorf("%s: %d, %v, %d bytes left", name, n, err, source.Len())
			}
		}
	})
}
