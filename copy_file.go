package netstream

import (
	"io"
	"io/fs"
	"os"
	"reflect"
	"syscall"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// fileSource is a regular file as the source of a copy: its bytes need not come into the program. Pipes, terminals,
// devices and what a file system makes up as it is read are no fileSource: reading them may wait, and nothing may
// wait for a source while it owns the writing direction.
type fileSource struct {
	stream  *NetworkStream
	file    regularFile
	raw     syscall.RawConn
	limited *io.LimitedReader // around the file; nil: it is sent to its end
	refused bool              // there is no sendfile, or it had nothing: what is left, the end or an error, is for Read to find
}

// regularFile is what an *os.File can do besides being read.
type regularFile interface {
	io.Seeker
	syscall.Conn
	Stat() (fs.FileInfo, error)
}

// fileSource returns r as a regular file from which s can send without copying, or nil.
func (s *NetworkStream) fileSource(r io.Reader) *fileSource {
	limited, ok := r.(*io.LimitedReader)
	if ok {
		r = limited.R
	}
	f, ok := r.(regularFile)
	if !ok || !isFile(r) {
		return nil
	}
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return nil
	}
	return &fileSource{stream: s, file: f, raw: raw, limited: limited, refused: !engine.HaveSendfile}
}

// isFile reports whether r is an *os.File, or the wrapper around one that os.File.WriteTo, and so io.Copy, shows. The
// wrapper has no name outside os. A type of another package that embeds a file may read something else than the
// file's bytes.
func isFile(r io.Reader) bool {
	_, ok := r.(*os.File)
	return ok || reflect.TypeOf(r).PkgPath() == "os"
}

// sendSome is the shortcut.
func (f *fileSource) sendSome(int64) (int64, error) {
	size := f.left()
	if size <= 0 {
		return 0, nil
	}
	n, err := f.stream.sendSlice(size, "sendfile", f.move)
	if f.limited != nil {
		f.limited.N -= n
	}
	return n, err
}

// left is how much of the file is worth a slice: nothing where its size says little, as in /proc.
func (f *fileSource) left() int64 {
	if f.refused {
		return 0
	}
	info, err := f.file.Stat()
	if err != nil {
		return 0
	}
	at, err := f.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	size := min(info.Size()-at, sliceBytes)
	if f.limited != nil {
		size = min(size, f.limited.N)
	}
	return size
}

// move is a mover.
func (f *fileSource) move(out int, n int64) (sent int, errno syscall.Errno) {
	err := f.raw.Read(func(in uintptr) bool {
		sent, errno = engine.Sendfile(out, int(in), int(n))
		return true
	})
	if err != nil { // it was closed
		sent, errno = 0, 0
	}
	f.refused = sent == 0 && errno == 0
	return sent, errno
}

// giveBack takes back what was read and not sent.
func (f *fileSource) giveBack(unsent int64) {
	if unsent == 0 {
		return
	}
	_, _ = f.file.Seek(-unsent, io.SeekCurrent)
	if f.limited != nil {
		f.limited.N += unsent
	}
}
