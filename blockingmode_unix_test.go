//go:build unix

package netstream_test

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
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
	eachOwned(t, func(t *testing.T, c connCase) {
		for name, later := range map[string]bool{"before New": false, "at any time": true} {
			t.Run(name, func(t *testing.T) {
				ch := newChild(t, "TestBlockingModeChild", blockingTask{c.engine, c.network, later})
				ch.start(t)
				for {
					var step string
					ch.answer(t, patience, &step)
					t.Log(step)
					if step == "closed" {
						break
					}
				}
				ch.stop(t)
			})
		}
	})
}

func TestBlockingModeChild(t *testing.T) {
	var task blockingTask
	childTask(t, &task)
	c := connCase{"child", task.Engine, task.Network}
	conn, peer := c.netPair(t)
	defer peer.Close()
	must(t, peer.(interface{ SetReadBuffer(int) error }).SetReadBuffer(256<<10)) // it may grow to 32 MiB, and take everything
	shared, err := conn.(interface{ File() (*os.File, error) }).File()
	must(t, err)
	defer shared.Close()
	fd := int(shared.Fd()) // this puts it in blocking mode
	block := func() {
		if task.Later {
			must(t, syscall.SetNonblock(fd, false))
		}
	}
	s := mustNew(t, conn, c.config(nil))
	defer s.Close()

	block()
	read := async(func() error { return readPing(s.Read) })
	eventually(t, "the read waits", s.ReadWaits)
	collect(t)
	must(t, sendPing(peer))
	must(t, within(t, "Read", read))
	say("read")

	write := patterned(1, 16<<20)
	sent := async(func() error { _, err := s.Write(write); return err })
	settled(t, s)
	block()
	collect(t)
	readExactly(t, peer, write)
	must(t, within(t, "Write", sent))
	say("written")

	block()
	_, looked := beginRead(t, s, 0) // looks, and takes nothing
	_, begun := beginRead(t, s, 4)
	eventually(t, "the begun read waits", s.ReadWaits)
	block()
	collect(t)
	must(t, sendPing(peer))
	must(t, within(t, "BeginRead of nothing", looked).err)
	must(t, within(t, "BeginRead", begun).err)
	outcome := make(chan error, 1)
	_, err = s.BeginWritev([][]byte{write[:1000], write[1000:]}, func(ar netstream.AsyncResult) { outcome <- s.EndWrite(ar) }, nil)
	must(t, err)
	settled(t, s)
	block()
	collect(t)
	readExactly(t, peer, write)
	must(t, within(t, "BeginWritev", outcome))
	say("begun")

	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, write, 0o600))
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	block()
	copied := async(func() error { _, err := s.ReadFrom(f); return err })
	settled(t, s)
	collect(t)
	if !task.Later {
		must(t, s.SetWriteDeadline(time.Unix(1, 0)))
		if err := within(t, "ReadFrom after its deadline", copied); err == nil {
			t.Error("ReadFrom succeeded although nobody reads")
		}
	}
	must(t, sendPing(peer)) // unread input: it lingers
	block()
	closed := async(s.Close)
	if task.Later { // sendfile has no flag: at worst it waits, without anybody else, until the peer reads
		go io.Copy(io.Discard, peer)
		within(t, "ReadFrom", copied)
	}
	must(t, within(t, "Close", closed))
	collect(t)
	peer.Close()
	eventually(t, "nothing lingers", func() bool { block(); return netstream.Lingering() == 0 })
	say("closed")
}

// collect runs a collection, which every goroutine has to stop for.
func collect(t *testing.T) {
	t.Helper()
	done := make(chan struct{})
	go func() { runtime.GC(); close(done) }()
	within(t, "a collection", done)
}

// sendPing writes what readPing wants.
func sendPing(c net.Conn) error { _, err := c.Write([]byte("ping")); return err }
