//go:build unix

package netstream_test

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// blockingTask is what a child does with a socket that somebody puts in blocking mode: os.File.Fd does, and so does a
// process that shares the socket, for all duplicates of the descriptor.
type blockingTask struct {
	Engine  netstream.Engine
	Network string
	Later   bool // again and again while the stream is in use, not only before
}

// TestBlockingMode runs the child below: a system call that waits without the scheduler's knowledge would stop the
// whole process with the next collection.
func TestBlockingMode(t *testing.T) {
	kit.EachOwned(t, func(t *testing.T, c kit.ConnCase) {
		for name, later := range map[string]bool{"before New": false, "at any time": true} {
			t.Run(name, func(t *testing.T) {
				ch := kit.NewChild(t, "TestBlockingModeChild", blockingTask{c.Engine, c.Network, later})
				ch.Start(t)
				for {
					var step string
					ch.Answer(t, kit.Patience, &step)
					t.Log(step)
					if step == "closed" {
						break
					}
				}
				ch.Stop(t)
			})
		}
	})
}

func TestBlockingModeChild(t *testing.T) {
	var task blockingTask
	kit.ChildTask(t, &task)
	c := kit.ConnCase{Name: "child", Engine: task.Engine, Network: task.Network}
	conn, peer := c.NetPair(t)
	defer peer.Close()
	kit.Must(t, peer.(interface{ SetReadBuffer(int) error }).SetReadBuffer(256<<10)) // it may grow to 32 MiB, and take everything
	shared, err := conn.(interface{ File() (*os.File, error) }).File()
	kit.Must(t, err)
	defer shared.Close()
	fd := int(shared.Fd()) // this puts it in blocking mode
	block := func() {
		if task.Later {
			kit.Must(t, syscall.SetNonblock(fd, false))
		}
	}
	s := kit.MustNew(t, conn, c.Config(nil))
	defer s.Close()

	block()
	read := kit.Async(func() error { return kit.ReadPing(s.Read) })
	kit.Eventually(t, "the read waits", kit.BegunReads(s, 1))
	collect(t)
	kit.Must(t, kit.SendPing(peer))
	kit.Must(t, kit.Within(t, "Read", read))
	kit.Say("read")

	write := kit.Patterned(1, 16<<20)
	sent := kit.Async(func() error { _, err := s.Write(write); return err })
	kit.Settled(t, s)
	block()
	collect(t)
	kit.ReadExactly(t, peer, write)
	kit.Must(t, kit.Within(t, "Write", sent))
	kit.Say("written")

	block()
	_, looked := kit.BeginRead(t, s, 0) // looks, and takes nothing
	_, begun := kit.BeginRead(t, s, 4)
	kit.Eventually(t, "the begun read waits", kit.BegunReads(s, 3))
	block()
	collect(t)
	kit.Must(t, kit.SendPing(peer))
	kit.Must(t, kit.Within(t, "BeginRead of nothing", looked).Err)
	kit.Must(t, kit.Within(t, "BeginRead", begun).Err)
	outcome := make(chan error, 1)
	_, err = s.BeginWritev([][]byte{write[:1000], write[1000:]}, func(ar netstream.AsyncResult) { outcome <- s.EndWrite(ar) }, nil)
	kit.Must(t, err)
	kit.Settled(t, s)
	block()
	collect(t)
	kit.ReadExactly(t, peer, write)
	kit.Must(t, kit.Within(t, "BeginWritev", outcome))
	kit.Say("begun")

	file := filepath.Join(t.TempDir(), "file")
	kit.Must(t, os.WriteFile(file, write, 0o600))
	f, err := os.Open(file)
	kit.Must(t, err)
	defer f.Close()
	block()
	copied := kit.Async(func() error { _, err := s.ReadFrom(f); return err })
	kit.Settled(t, s)
	collect(t)
	if !task.Later {
		kit.Must(t, s.SetWriteDeadline(time.Unix(1, 0)))
		if err := kit.Within(t, "ReadFrom after its deadline", copied); err == nil {
			t.Error("ReadFrom succeeded although nobody reads")
		}
	}
	kit.Must(t, kit.SendPing(peer)) // unread input: it lingers
	block()
	closed := kit.Async(s.Close)
	if task.Later { // sendfile has no flag: at worst it waits, without anybody else, until the peer reads
		go io.Copy(io.Discard, peer)
		kit.Within(t, "ReadFrom", copied)
	}
	kit.Must(t, kit.Within(t, "Close", closed))
	collect(t)
	peer.Close()
	kit.Eventually(t, "nothing lingers", func() bool { block(); return netstream.Lingering() == 0 })
	kit.Say("closed")
}

// collect runs a collection, which every goroutine has to stop for.
func collect(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() { runtime.GC(); close(done) }()
	kit.Within(t, "a collection", done)
}
