package fanout_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// framed returns a message of that number, for readFrame to find again: 4 digits of length, 8 of the number, filling.
func framed(number, size int) []byte {
	return fmt.Appendf(nil, "%04d%08d%s", size, number, bytes.Repeat([]byte{byte('a' + number%26)}, size))
}

// readFrame reads a message, which has to be whole, and returns its number.
func readFrame(r io.Reader) (number int, err error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, err
	}
	var size int
	if _, err := fmt.Sscanf(string(head[:4])+" "+string(head[4:]), "%d %d", &size, &number); err != nil {
		return 0, fmt.Errorf("%q: %w", head, err)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return 0, err
	}
	if want := framed(number, size)[12:]; !bytes.Equal(body, want) {
		return 0, fmt.Errorf("message %d is mixed with another one", number)
	}
	return number, nil
}

// readFrames reads that many messages and returns their numbers.
func readFrames(t testing.TB, r io.Reader, count int) []int {
	t.Helper()
	ch := make(chan []int, 1)
	failed := kit.Async(func() error {
		var numbers []int
		for range count {
			number, err := readFrame(r)
			if err != nil {
				return fmt.Errorf("after %d messages: %w", len(numbers), err)
			}
			numbers = append(numbers, number)
		}
		ch <- numbers
		return nil
	})
	kit.Must(t, kit.Within(t, "the messages", failed))
	return <-ch
}
