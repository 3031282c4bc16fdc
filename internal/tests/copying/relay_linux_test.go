package copying_test

import (
	"io"
	"net"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// backlog has a peer send size bytes, and the end, and returns when all of it waits to be read.
func backlog(t *testing.T, c kit.ConnCase, size int) (s *netstream.NetworkStream, sent []byte) {
	t.Helper()
	s, peer := c.WithPeer(t, nil)
	if err := s.Socket().SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	sent = kit.Patterned(30, size)
	wrote := kit.Async(func() error { _, err := peer.Write(sent); return err })
	kit.Eventually(t, "everything has arrived", func() bool {
		n, err := s.Socket().Available()
		return n == size && err == nil
	})
	if err := kit.Within(t, "the peer's Write", wrote); err != nil {
		t.Fatal(err)
	}
	kit.CloseWrite(t, peer)
	return s, sent
}

// What has gathered in a TCP socket goes to another socket in few calls, however the copy is asked for; what comes from
// anything else is copied.
func TestRelay_SplicesWhatHasGathered(t *testing.T) {
	const size, pieces = 160 << 10, 5 // of 32 KiB
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network != "tcp" || c.TLS() {
			t.Skip("a source that is copied")
		}
		ways := map[string]func(to, from *netstream.NetworkStream) (int64, error){
			"io.Copy":  func(to, from *netstream.NetworkStream) (int64, error) { return io.Copy(to, from) },
			"ReadFrom": func(to, from *netstream.NetworkStream) (int64, error) { return to.ReadFrom(from) },
			"io.CopyN": func(to, from *netstream.NetworkStream) (int64, error) { return io.CopyN(to, from, size) },
		}
		for name, way := range ways {
			from, sent := backlog(t, c, size)
			to, out := c.WithPeer(t, nil)
			received := kit.GoRead(out)
			if n, err := way(to, from); n != size || err != nil {
				t.Errorf("%s: %d, %v", name, n, err)
			}
			to.Close()
			kit.SameBytes(t, kit.Within(t, "the reader", received).Data, sent)
			if reads := from.Stats().ReadOps; reads >= pieces {
				t.Errorf("%s: %d reads: it was copied", name, reads)
			}
		}
	})
}

// A message that is shorter than a buffer is not worth a pipe, and a copy that waits holds none.
func TestRelay_PipesAreGivenBack(t *testing.T) {
	pipes := func() (n int) {
		for _, d := range kit.OpenDescriptors() {
			if strings.Contains(d, "pipe:") {
				n++
			}
		}
		return n
	}
	collected := func() bool {
		runtime.GC()
		return pipes() == 0
	}
	before := pipes()
	if before > 0 {
		kit.Eventually(t, "the pipes of earlier tests are closed", func() bool { return collected() || pipes() < before })
		before = pipes()
	}
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		from, in := c.WithPeer(t, nil)
		to, out := c.WithPeer(t, nil)
		done := goIOCopy(to, from)
		for range 3 {
			go in.Write(make([]byte, 4<<20))
			kit.ReadExactly(t, out, make([]byte, 4<<20))
		}
		kit.Eventually(t, "no pipe while the copy waits", func() bool { runtime.GC(); return pipes() <= before })
		kit.ResetPeer(t, out) // what is in a pipe then is lost with it
		go in.Write(make([]byte, 16<<20))
		if got := kit.Within(t, "io.Copy", done); got.err == nil {
			t.Error("io.Copy has not failed")
		}
		kit.Eventually(t, "no pipe is left", func() bool { runtime.GC(); return pipes() <= before })
	})
}

// Urgent data stops splice(2) for good; a Read passes it.
func TestRelay_PassesUrgentData(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for _, e := range []relayEnds{{from: "stream", to: "stream"}, {from: "tcp", to: "stream"}} {
			r := e.open(t, c)
			if s, ok := r.in.(*netstream.NetworkStream); ok {
				s.Close()
				r.from, r.in = c.WithPeer(t, nil)
			}
			done := goIOCopy(r.to, r.from)
			want := kit.Patterned(31, 512<<10)
			go func() {
				r.in.Write(want[:256<<10])
				raw, _ := r.in.(*net.TCPConn).SyscallConn()
				raw.Control(func(fd uintptr) { syscall.Sendto(int(fd), []byte("!"), syscall.MSG_OOB, nil) })
				r.in.Write(want[256<<10:])
				kit.CloseWrite(t, r.in)
			}()
			kit.ReadExactly(t, r.out, want)
			if got := kit.Within(t, "io.Copy", done); got.n != int64(len(want)) || got.err != nil {
				t.Errorf("io.Copy: %d, %v", got.n, got.err)
			}
		}
	})
}

// A handshake may come between two pieces of a copy. What follows is decrypted, and copied.
func TestRelay_HandshakeOfItsSource(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		const piece = 32 << 10 // what has to come at once for a relay to splice
		from, in := c.WithPeer(t, nil)
		to, out := c.Pair(t, nil, nil)
		kit.SmallBuffers(t, to, out)
		plug, _, _ := kit.Plug(t, to)
		plain, secret := kit.Patterned(31, piece), kit.Patterned(32, 8*piece)
		_, err := in.Write(plain)
		kit.Must(t, err)
		kit.Eventually(t, "the piece is there", func() bool { n, _ := from.Socket().Available(); return n == piece })
		done := goIOCopy(to, from)
		kit.Eventually(t, "the copy waits for its destination", func() bool { return to.Stats().WriteOps == 2 })
		peer := kit.MustAuthenticateWith(t, from, in)
		go func() { peer.Write(secret); peer.CloseWrite() }()
		received := kit.GoRead(out)
		if got := kit.Within(t, "the copy", done); got.n != 9*piece || got.err != nil {
			t.Errorf("%+v", got)
		}
		to.Close()
		kit.SameBytes(t, kit.Within(t, "the reader", received).Data, slices.Concat(plug, plain, secret))
	})
}
