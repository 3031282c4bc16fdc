package kit

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// SendPing writes what ReadPing wants.
func SendPing(c net.Conn) error { _, err := c.Write([]byte("ping")); return err }

// Large is more than any connection takes when nobody reads.
var Large = make([]byte, 8<<20)

// WriteText sends text from w.
func WriteText(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

// ReadText reads text from r.
func ReadText(t testing.TB, r io.Reader, text string) {
	t.Helper()
	p := make([]byte, len(text))
	if _, err := io.ReadFull(r, p); err != nil || string(p) != text {
		t.Fatalf("read %q, %v, want %q", p, err, text)
	}
}

// WriteAll writes text.
func WriteAll(s *netstream.NetworkStream, text string) error {
	_, err := s.Write([]byte(text))
	return err
}

// Record is what one of many writers sends: the number of the writer, that of the record, and bytes that follow from both.
func Record(writer, number, size int) []byte {
	p := Patterned(writer<<16|number, size)
	binary.BigEndian.PutUint32(p[0:], uint32(writer))
	binary.BigEndian.PutUint32(p[4:], uint32(number))
	return p
}

// PlugSize is more than the buffers between two streams hold after SmallBuffers.
const PlugSize = 2 << 20

// Patterned returns size bytes that no other id has at the same places.
func Patterned(id, size int) []byte {
	p := make([]byte, size)
	x := uint32(id)*2654435761 + 12345
	for i := range p {
		x = x*1664525 + 1013904223
		p[i] = byte(x >> 24)
	}
	return p
}

// ReadOutcome is what a read or a goroutine that reads has to tell.
type ReadOutcome struct {
	Data []byte // what was read
	Err  error  // how it ended
}

// GoRead reads everything from r on a goroutine of its own.
func GoRead(r io.Reader) <-chan ReadOutcome {
	ch := make(chan ReadOutcome, 1)
	go func() {
		data, err := io.ReadAll(r)
		ch <- ReadOutcome{data, err}
	}()
	return ch
}

// ReadExactly reads len(want) bytes and compares them.
func ReadExactly(t testing.TB, r io.Reader, want []byte) {
	t.Helper()
	got := make([]byte, len(want))
	ch := Async(func() error { _, err := io.ReadFull(r, got); return err })
	if err := Within(t, "the peer reads what was written", ch); err != nil {
		t.Fatalf("reading %d bytes: %v", len(want), err)
	}
	SameBytes(t, got, want)
}

// SameBytes compares without printing megabytes.
func SameBytes(t testing.TB, got, want []byte) {
	t.Helper()
	if bytes.Equal(got, want) {
		return
	}
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	t.Fatalf("got %d bytes, want %d; they differ from byte %d on", len(got), len(want), i)
}

// ReadPing reads what SendPing writes.
func ReadPing(read func([]byte) (int, error)) error {
	_, err := read(make([]byte, 4))
	return err
}
