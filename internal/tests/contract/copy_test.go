package contract_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Rows 171, 172, 174: io.Copy, and WriteTo behind it, in place of CopyTo.
func TestContractCopy(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R171 write-only and closed", func(t *testing.T) {
			s, _ := c.Pair(t, &netstream.Config{Access: netstream.AccessWrite}, nil)
			_, err := io.Copy(io.Discard, s)
			var invalid *netstream.InvalidOperationError
			if !errors.As(err, &invalid) {
				t.Errorf("%T %v", err, err)
			}
			s.Close()
			_, err = io.Copy(io.Discard, s)
			kit.Aborted("NetworkStream")(t, err)
		})
		for _, size := range []int{0, 1, 1024, 4095, 4096, 1 << 20} {
			s, peer := c.Pair(t, nil, nil)
			want := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
			go func() { peer.Write(want); peer.Close() }()
			var got bytes.Buffer
			n, err := io.Copy(&got, s)
			if n != int64(size) || err != nil || !bytes.Equal(got.Bytes(), want) || !s.CanRead() {
				t.Errorf("R172 %d bytes: %d, %v", size, n, err)
			}
		}
		t.Run("R174 closed meanwhile", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			done := make(chan error, 1)
			go func() { _, err := io.Copy(io.Discard, s); done <- err }()
			kit.Eventually(t, "the copy waits", kit.BegunReads(s, 1))
			s.Close()
			kit.Aborted("NetworkStream")(t, kit.Within(t, "Copy", done))
		})
		t.Run("R170 into a stream that does not take it", func(t *testing.T) {
			s, _ := c.Pair(t, &netstream.Config{Access: netstream.AccessRead}, nil)
			_, err := io.Copy(s, bytes.NewReader([]byte("x")))
			var invalid *netstream.InvalidOperationError
			if !errors.As(err, &invalid) {
				t.Errorf("%T %v", err, err)
			}
			s.Close()
			_, err = io.Copy(s, bytes.NewReader([]byte("x")))
			kit.Aborted("NetworkStream")(t, err)
		})
	})
	t.Run("R173 the peer resets", func(t *testing.T) {
		kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
			s, peer := c.WithPeer(t, nil)
			kit.ResetPeer(t, peer)
			_, err := io.Copy(io.Discard, s)
			kit.Code(netstream.CodeConnectionReset)(t, err)
		})
	})
}

// Rows 177 to 181: io.ReadFull and io.ReadAtLeast in place of ReadExactly and ReadAtLeast.
func TestContractReadFull(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		s, peer := c.Pair(t, nil, nil)
		kit.WriteText(t, peer, "abcdef")
		p := make([]byte, 4)
		if n, err := io.ReadFull(s, p); n != 4 || err != nil || string(p) != "abcd" {
			t.Errorf("R178: %d, %v, %q", n, err, p)
		}
		if n, err := io.ReadAtLeast(s, p, 1); n < 1 || err != nil || p[0] != 'e' {
			t.Errorf("R178: %d, %v, %q", n, err, p)
		} else if n == 1 {
			kit.ReadText(t, s, "f")
		}
		kit.WriteText(t, peer, "ab")
		peer.Close()
		if n, err := io.ReadFull(s, p); n != 2 || err != io.ErrUnexpectedEOF {
			t.Errorf("R179: %d, %v", n, err)
		}
		if n, err := io.ReadFull(s, p); n != 0 || err != io.EOF {
			t.Errorf("R179: %d, %v", n, err)
		}
		s.Close()
		if n, err := io.ReadFull(s, nil); n != 0 || err != nil {
			t.Errorf("R177: %d, %v", n, err)
		}
		_, err := io.ReadFull(s, p)
		kit.Aborted("NetworkStream")(t, err) // R181
	})
}
