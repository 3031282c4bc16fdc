package contract_test

import (
	"bytes"
	"io"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Rows 117, 119, 152, 153: what a read brings.
func TestContractRead(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R117 fewer bytes than asked for", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			p := bytes.Repeat([]byte{0xee}, 16)
			ar, err := s.BeginRead(p, 4, 8, nil, nil)
			rowOK(t, err)
			kit.WriteText(t, peer, "abc")
			if n, err := s.EndRead(ar); n != 3 || err != nil {
				t.Errorf("%d, %v, want 3", n, err)
			}
			want := append(bytes.Repeat([]byte{0xee}, 4), "abc"...)
			if !bytes.Equal(p, append(want, bytes.Repeat([]byte{0xee}, 9)...)) {
				t.Errorf("the buffer is %x", p)
			}
		})
		t.Run("R119 the end, again and again", func(t *testing.T) {
			kit.EachStyle(t, func(t *testing.T, st kit.Style) {
				s, peer := c.Pair(t, nil, nil)
				kit.WriteText(t, peer, "last")
				peer.Close()
				kit.ReadText(t, s, "last")
				for range 3 {
					if n, err := st.Read(s, make([]byte, 4)); n != 0 || err != io.EOF {
						t.Errorf("%d, %v, want 0, io.EOF", n, err)
					}
				}
				if ok, err := s.DataAvailable(); ok || err != nil {
					t.Errorf("R24: DataAvailable %v, %v at the end", ok, err)
				}
				if !s.CanRead() || !s.Socket().Connected() {
					t.Error("R18 R186: the end has closed something")
				}
			})
		})
		t.Run("R122 several reads", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			var results []netstream.AsyncResult
			var buffers [][]byte
			for range 3 {
				ar, p := kit.StartRead(t, s, 3)
				results, buffers = append(results, ar), append(buffers, p)
			}
			kit.WriteText(t, peer, "abcdefg")
			for i, want := range []string{"abc", "def", "g"} {
				n, err := s.EndRead(results[i])
				if err != nil || string(buffers[i][:n]) != want {
					t.Errorf("read %d: %q, %v, want %q", i, buffers[i][:n], err, want)
				}
			}
		})
		t.Run("R123 own Shutdown(Receive)", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			ar, _ := kit.StartRead(t, s, 1)
			rowOK(t, s.Socket().Shutdown(netstream.ShutdownReceive))
			if n, err := s.EndRead(ar); n != 0 || err != io.EOF {
				t.Errorf("%d, %v, want the end", n, err)
			}
		})
	})
}

// Row 121: a read of nothing waits for something to read, and leaves it.
func TestContractZeroByteRead(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		t.Run("R121 data", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			ar, _ := kit.StartRead(t, s, 0)
			if ar.AsyncWaitHandle().WaitOneTimeout(20 * time.Millisecond) {
				t.Error("completed with nothing there")
			}
			kit.WriteText(t, peer, "x")
			for range 3 {
				if n, err := s.EndRead(ar); n != 0 || err != nil {
					t.Errorf("%d, %v, want 0, nil", n, err)
				}
				ar, _ = kit.StartRead(t, s, 0)
			}
			rowOK(t, rowEndOf(s, "BeginRead", ar))
			if ok, err := s.DataAvailable(); !ok || err != nil {
				t.Errorf("DataAvailable %v, %v: the byte is gone", ok, err)
			}
			kit.ReadText(t, s, "x")
		})
		t.Run("R121 the end", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			ar, _ := kit.StartRead(t, s, 0)
			peer.Close()
			for range 3 {
				if n, err := s.EndRead(ar); n != 0 || err != io.EOF {
					t.Errorf("%d, %v, want 0, io.EOF", n, err)
				}
				ar, _ = kit.StartRead(t, s, 0)
			}
			s.EndRead(ar)
		})
		t.Run("R121 before a longer read", func(t *testing.T) {
			s, peer := c.Pair(t, nil, nil)
			none, _ := kit.StartRead(t, s, 0)
			two, p := kit.StartRead(t, s, 2)
			kit.WriteText(t, peer, "ab")
			if n, err := s.EndRead(none); n != 0 || err != nil {
				t.Errorf("%d, %v", n, err)
			}
			if n, err := s.EndRead(two); n != 2 || err != nil || string(p) != "ab" {
				t.Errorf("%d, %v, %q", n, err, p)
			}
		})
		t.Run("R121 Read of nothing", func(t *testing.T) {
			s, _ := c.Pair(t, nil, nil)
			if n, err := s.Read(nil); n != 0 || err != nil { // at once, as io.Reader's users expect
				t.Errorf("%d, %v", n, err)
			}
			s.Close()
			_, err := s.Read(nil)
			kit.Aborted("NetworkStream")(t, err)
		})
	})
	t.Run("R121 a reset is reported and kept", func(t *testing.T) {
		kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
			s, peer := c.WithPeer(t, nil)
			ar, _ := kit.StartRead(t, s, 0)
			kit.ResetPeer(t, peer)
			for range 3 {
				_, err := s.EndRead(ar)
				kit.Code(netstream.CodeConnectionReset)(t, err)
				ar, _ = kit.StartRead(t, s, 1)
			}
			s.EndRead(ar)
		})
	})
}
