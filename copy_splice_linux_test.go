package netstream_test

import (
	"io"
	"net"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// backlog has a peer send size bytes, and the end, and returns when all of it waits to be read.
func backlog(t *testing.T, c connCase, size int) (s *netstream.NetworkStream, sent []byte) {
	t.Helper()
	s, peer := c.withPeer(t, nil)
	if err := s.Socket().SetReadBuffer(4 << 20); err != nil {
		t.Fatal(err)
	}
	sent = patterned(30, size)
	wrote := async(func() error { _, err := peer.Write(sent); return err })
	eventually(t, "everything has arrived", func() bool {
		n, err := s.Socket().Available()
		return n == size && err == nil
	})
	if err := within(t, "the peer's Write", wrote); err != nil {
		t.Fatal(err)
	}
	closeWrite(t, peer)
	return s, sent
}

// What has gathered in a TCP socket goes to another socket in few calls, however the copy is asked for; what comes from
// anything else is copied.
func TestRelay_SplicesWhatHasGathered(t *testing.T) {
	const size, pieces = 160 << 10, 5 // of 32 KiB
	eachConn(t, func(t *testing.T, c connCase) {
		if c.network != "tcp" {
			t.Skip("a source that is copied")
		}
		ways := map[string]func(to, from *netstream.NetworkStream) (int64, error){
			"io.Copy":  func(to, from *netstream.NetworkStream) (int64, error) { return io.Copy(to, from) },
			"ReadFrom": func(to, from *netstream.NetworkStream) (int64, error) { return to.ReadFrom(from) },
			"io.CopyN": func(to, from *netstream.NetworkStream) (int64, error) { return io.CopyN(to, from, size) },
		}
		for name, way := range ways {
			from, sent := backlog(t, c, size)
			to, out := c.withPeer(t, nil)
			received := goRead(out)
			if n, err := way(to, from); n != size || err != nil {
				t.Errorf("%s: %d, %v", name, n, err)
			}
			to.Close()
			sameBytes(t, within(t, "the reader", received).data, sent)
			if reads := from.Stats().ReadOps; reads >= pieces {
				t.Errorf("%s: %d reads: it was copied", name, reads)
			}
		}
	})
}

// A message that is shorter than a buffer is not worth a pipe, and a copy that waits holds none.
func TestRelay_PipesAreGivenBack(t *testing.T) {
	pipes := func() (n int) {
		for _, d := range openDescriptors() {
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
		eventually(t, "the pipes of earlier tests are closed", func() bool { return collected() || pipes() < before })
		before = pipes()
	}
	eachTCP(t, func(t *testing.T, c connCase) {
		from, in := c.withPeer(t, nil)
		to, out := c.withPeer(t, nil)
		done := goIOCopy(to, from)
		for range 3 {
			go in.Write(make([]byte, 4<<20))
			readExactly(t, out, make([]byte, 4<<20))
		}
		eventually(t, "no pipe while the copy waits", func() bool { runtime.GC(); return pipes() <= before })
		resetPeer(t, out) // what is in a pipe then is lost with it
		go in.Write(make([]byte, 16<<20))
		if got := within(t, "io.Copy", done); got.err == nil {
			t.Error("io.Copy has not failed")
		}
		eventually(t, "no pipe is left", func() bool { runtime.GC(); return pipes() <= before })
	})
}

// Urgent data stops splice(2) for good; a Read passes it.
func TestRelay_PassesUrgentData(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		for _, e := range []relayEnds{{from: "stream", to: "stream"}, {from: "tcp", to: "stream"}} {
			r := e.open(t, c)
			if s, ok := r.in.(*netstream.NetworkStream); ok {
				s.Close()
				r.from, r.in = c.withPeer(t, nil)
			}
			done := goIOCopy(r.to, r.from)
			want := patterned(31, 512<<10)
			go func() {
				r.in.Write(want[:256<<10])
				raw, _ := r.in.(*net.TCPConn).SyscallConn()
				raw.Control(func(fd uintptr) { syscall.Sendto(int(fd), []byte("!"), syscall.MSG_OOB, nil) })
				r.in.Write(want[256<<10:])
				closeWrite(t, r.in)
			}()
			readExactly(t, r.out, want)
			if got := within(t, "io.Copy", done); got.n != int64(len(want)) || got.err != nil {
				t.Errorf("io.Copy: %d, %v", got.n, got.err)
			}
		}
	})
}
