package contract_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// rowCalls are the calls that wait, with what they are for.
var rowCalls = []struct {
	name    string
	call    func(s *netstream.NetworkStream, ctx context.Context, p []byte) (int, error)
	forbids netstream.Access
}{
	{"Write", func(s *netstream.NetworkStream, _ context.Context, p []byte) (int, error) { return s.Write(p) }, netstream.AccessRead},
	{"WriteContext", (*netstream.NetworkStream).WriteContext, netstream.AccessRead},
	{"Read", func(s *netstream.NetworkStream, _ context.Context, p []byte) (int, error) { return s.Read(p) }, netstream.AccessWrite},
	{"ReadContext", (*netstream.NetworkStream).ReadContext, netstream.AccessWrite},
}

// Rows 143, 144, 151, 156: the checks of the calls that wait: disposed, direction, socket.
func TestContractBlockingChecks(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, k := range rowCalls {
			for _, state := range rowStates {
				if state.want == nil {
					continue
				}
				t.Run("R143 "+k.name+"/"+state.name, func(t *testing.T) {
					s, _ := c.Pair(t, accessOf(state.forbidden, k.forbids), nil)
					state.enter(s)
					for _, p := range [][]byte{make([]byte, 4), {}, nil} {
						n, err := k.call(s, t.Context(), p)
						if n != 0 {
							t.Errorf("%d bytes", n)
						}
						rowState(t, err, s)
					}
				})
			}
		}
	})
}

// rowState wants the error that fits the state of s: closed first, then the direction, then the socket.
func rowState(t *testing.T, err error, s *netstream.NetworkStream) {
	t.Helper()
	var disposed *netstream.ObjectDisposedError
	var invalid *netstream.InvalidOperationError
	switch {
	case s.Err() != nil:
		kit.Aborted("NetworkStream")(t, err)
	case !s.CanRead() || !s.CanWrite():
		if !errors.As(err, &invalid) || errors.As(err, &disposed) {
			t.Errorf("%T %v, want an InvalidOperationError", err, err)
		}
	default:
		kit.Aborted("Socket")(t, err)
	}
}

// A context that is nil is an argument like any other: no panic.
func TestContractContextNil(t *testing.T) {
	s, peer := netstream.Pipe(nil)
	defer s.Close()
	defer peer.Close()
	var none context.Context
	_, err := s.WriteContext(none, []byte("x"))
	kit.NullArgument("ctx")(t, err)
	_, err = s.ReadContext(none, make([]byte, 1))
	kit.NullArgument("ctx")(t, err)
	kit.NullArgument("ctx")(t, s.Drain(none))
	kit.NullArgument("ctx")(t, s.WaitRoom(none, 1))
	kit.OutOfRange("bytes", int64(-1))(t, s.WaitRoom(t.Context(), -1))
	_, err = netstream.Dial(none, "tcp", "127.0.0.1:1", nil)
	kit.NullArgument("ctx")(t, err)
	_, err = netstream.BeginConnect(none, "tcp", "127.0.0.1:1", nil, kit.NeverCalled(t), nil)
	kit.NullArgument("ctx")(t, err)
	kit.NullArgument("ctx")(t, new(netstream.Group).Shutdown(none))
}

// Row 145: Write returns when the kernel has every byte.
func TestContractWriteIsWhole(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		done := make(chan error, 1)
		go func() {
			n, err := s.Write(kit.Large)
			if n != len(kit.Large) && err == nil {
				err = io.ErrShortWrite
			}
			done <- err
		}()
		kit.Eventually(t, "the write waits", kit.BegunWrites(s, 1))
		discard(peer, len(kit.Large))
		rowOK(t, kit.Within(t, "Write", done))
	})
}

// Rows 146, 152 to 154: single bytes of every value, and what Read brings.
func TestContractSingleBytes(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		var all []byte
		for i := range 256 {
			b := []byte{byte(i)}
			all = append(all, b...)
			if n, err := s.Write(b); n != 1 || err != nil {
				t.Fatal(n, err)
			}
			got := []byte{0xaa, 0xaa}
			if n, err := peer.Read(got[:1]); n != 1 || err != nil || got[0] != b[0] {
				t.Fatalf("R146 byte %d: %d, %v, %x", i, n, err, got)
			}
		}
		kit.WriteText(t, s, string(all))
		got := make([]byte, 1024)
		n, err := peer.Read(got) // R152: what is there, without waiting for more
		if err != nil || n < 1 || !bytes.HasPrefix(all, got[:n]) {
			t.Errorf("R152: %d, %v", n, err)
		}
		kit.ReadText(t, peer, string(all[n:]))
		s.Close()
		for range 2 {
			if n, err := peer.Read(got); n != 0 || err != io.EOF {
				t.Errorf("R153: %d, %v", n, err)
			}
		}
	})
}

// Row 155: what ends a Read that waits.
func TestContractBlockedRead(t *testing.T) {
	cases := []struct {
		name string
		end  func(t *testing.T, s, peer *netstream.NetworkStream)
	}{
		{"R155 the peer closes", func(t *testing.T, _, peer *netstream.NetworkStream) { peer.Close() }},
		{"R155 own Shutdown(Receive)", func(t *testing.T, s, _ *netstream.NetworkStream) {
			rowOK(t, s.Socket().Shutdown(netstream.ShutdownReceive))
		}},
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, k := range cases {
			t.Run(k.name, func(t *testing.T) {
				s, peer := c.Pair(t, nil, nil)
				done := make(chan error, 1)
				go func() { _, err := s.Read(make([]byte, 1)); done <- err }()
				kit.Eventually(t, "the read waits", kit.BegunReads(s, 1))
				k.end(t, s, peer)
				if err := kit.Within(t, "Read", done); err != io.EOF {
					t.Errorf("%v, want the end", err)
				}
			})
		}
	})
	t.Run("R155 the peer resets", func(t *testing.T) {
		kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
			s, peer := c.WithPeer(t, nil)
			done := make(chan error, 1)
			go func() { _, err := s.Read(make([]byte, 1)); done <- err }()
			kit.Eventually(t, "the read waits", kit.BegunReads(s, 1))
			kit.ResetPeer(t, peer)
			kit.Code(netstream.CodeConnectionReset)(t, kit.Within(t, "Read", done))
		})
	})
}
