package kit

import (
	"context"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// Style is one way to write or read: the outcome is the same for all.
type Style struct {
	Name  string                                                  // of its subtests
	Async bool                                                    // uses Begin
	Write func(s *netstream.NetworkStream, p []byte) error        // all of p
	Read  func(s *netstream.NetworkStream, p []byte) (int, error) // at least a byte
}

// Styles are all ways to write and read.
var Styles = []Style{
	{"blocking", false,
		func(s *netstream.NetworkStream, p []byte) error { _, err := s.Write(p); return err },
		func(s *netstream.NetworkStream, p []byte) (int, error) { return s.Read(p) }},
	{"context", false,
		func(s *netstream.NetworkStream, p []byte) error {
			_, err := s.WriteContext(context.Background(), p)
			return err
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			return s.ReadContext(context.Background(), p)
		}},
	{"begin-end", true,
		func(s *netstream.NetworkStream, p []byte) error {
			return BeginThen(s, p, func(netstream.AsyncResult) {})
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			return BeginReadThen(s, p, func(netstream.AsyncResult) {})
		}},
	{"begin-callback", true,
		func(s *netstream.NetworkStream, p []byte) error {
			ch := make(chan error, 1)
			_, err := s.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) { ch <- s.EndWrite(ar) }, nil)
			if err != nil {
				return err
			}
			return <-ch
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			type outcome struct {
				n   int
				err error
			}
			ch := make(chan outcome, 1)
			_, err := s.BeginRead(p, 0, len(p), func(ar netstream.AsyncResult) {
				n, err := s.EndRead(ar)
				ch <- outcome{n, err}
			}, nil)
			if err != nil {
				return 0, err
			}
			o := <-ch
			return o.n, o.err
		}},
	{"begin-waitone", true,
		func(s *netstream.NetworkStream, p []byte) error {
			return BeginThen(s, p, func(ar netstream.AsyncResult) { ar.AsyncWaitHandle().WaitOne() })
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			return BeginReadThen(s, p, func(ar netstream.AsyncResult) { ar.AsyncWaitHandle().WaitOne() })
		}},
	{"begin-poll", true,
		func(s *netstream.NetworkStream, p []byte) error {
			return BeginThen(s, p, PollUntilCompleted)
		},
		func(s *netstream.NetworkStream, p []byte) (int, error) {
			return BeginReadThen(s, p, PollUntilCompleted)
		}},
	{"buffers", false,
		func(s *netstream.NetworkStream, p []byte) error { _, err := s.WriteBuffers(Thirds(p)); return err },
		func(s *netstream.NetworkStream, p []byte) (int, error) { return s.Read(p) }},
}

// Thirds returns p in three pieces and an empty one.
func Thirds(p []byte) [][]byte {
	third := len(p) / 3
	return [][]byte{p[:third], nil, p[third : 2*third], p[2*third:]}
}

// BeginThen begins to write p, calls wait, and ends.
func BeginThen(s *netstream.NetworkStream, p []byte, wait func(netstream.AsyncResult)) error {
	ar, err := s.BeginWrite(p, 0, len(p), nil, nil)
	if err != nil {
		return err
	}
	wait(ar)
	return s.EndWrite(ar)
}

// BeginReadThen begins to read into p, calls wait, and ends.
func BeginReadThen(s *netstream.NetworkStream, p []byte, wait func(netstream.AsyncResult)) (int, error) {
	ar, err := s.BeginRead(p, 0, len(p), nil, nil)
	if err != nil {
		return 0, err
	}
	wait(ar)
	return s.EndRead(ar)
}

// PollUntilCompleted asks again and again.
func PollUntilCompleted(ar netstream.AsyncResult) {
	for !ar.IsCompleted() {
		time.Sleep(50 * time.Microsecond)
	}
}

// EachStyle runs f for every style, as subtests.
func EachStyle(t *testing.T, f func(t *testing.T, st Style)) {
	t.Helper()
	for _, st := range Styles {
		t.Run(st.Name, func(t *testing.T) { f(t, st) })
	}
}
