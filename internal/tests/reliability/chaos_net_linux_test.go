package reliability_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// TestChaosDroppedPackets runs the child below in a network namespace of its own, where a firewall rule makes the peer
// vanish without a word: no reset, no end, no answer.
func TestChaosDroppedPackets(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("a network namespace and a firewall rule need root")
	}
	for _, tool := range []string{"ip", "nft"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian: iproute2, nftables)", tool)
		}
	}
	ch := kit.NewChild(t, "TestChaosDroppedPacketsChild", 0)
	ch.Cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := ch.Cmd.Err; err != nil {
		t.Fatal(err)
	}
	if probe := (&exec.Cmd{Path: ch.Cmd.Path, Args: []string{"", "-test.run=^$"}, SysProcAttr: ch.Cmd.SysProcAttr}).Run(); errors.Is(probe, syscall.EPERM) {
		t.Skip("no network namespace may be made here")
	}
	ch.Start(t)
	ch.Stop(t)
	if out := ch.Rest.String(); !strings.Contains(out, "--- PASS: TestChaosDroppedPacketsChild") {
		t.Errorf("child:\n%s", out)
	}
}

func TestChaosDroppedPacketsChild(t *testing.T) {
	var task int
	kit.ChildTask(t, &task)
	command(t, "ip", "link", "set", "lo", "up")
	command(t, "nft", "add table inet test; add set inet test gone { type inet_service; };"+
		"add chain inet test input { type filter hook input priority 0; };"+
		"add rule inet test input tcp sport @gone drop; add rule inet test input tcp dport @gone drop")
	scenarios := map[string]func(*testing.T, kit.ConnCase){
		"deadline": droppedDeadline, "user timeout": droppedUserTimeout,
		"CloseTimeout": droppedCloseTimeout, "comes back": droppedForAWhile,
	}
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		for name, f := range scenarios {
			t.Run(name, func(t *testing.T) {
				t.Parallel() // they wait more than they work
				f(t, c)
			})
		}
	})
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// dropPackets has everything between the two ends of s thrown away, until the returned function is called.
func dropPackets(t *testing.T, s *netstream.NetworkStream) (restore func()) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.LocalAddr().String())
	kit.Must(t, err)
	command(t, "nft", "add element inet test gone { "+port+" }")
	restored := false
	restore = func() {
		if !restored {
			restored = true
			command(t, "nft", "delete element inet test gone { "+port+" }")
		}
	}
	t.Cleanup(restore)
	return restore
}

// unreachable returns two connected streams that have talked, with the packets between them dropped from now on.
func unreachable(t *testing.T, c kit.ConnCase) (a, b *netstream.NetworkStream, restore func()) {
	t.Helper()
	a, b = c.Pair(t, nil, nil)
	kit.SmallBuffers(t, a, b)
	hello := kit.Patterned(7, 1000)
	_, sent := kit.Begin(t, a, hello)
	kit.ReadExactly(t, b, hello)
	kit.Must(t, kit.Within(t, "the first write", sent))
	return a, b, dropPackets(t, a)
}

// The kernel takes what fits into its buffer, then nothing: the deadline ends the write with an exact count, and what
// stands behind it as well.
func droppedDeadline(t *testing.T, c kit.ConnCase) {
	a, _, _ := unreachable(t, c)
	before := a.Stats().BytesWritten
	big := kit.Patterned(1, kit.PlugSize)
	_, first := kit.Begin(t, a, big)
	_, second := kit.Begin(t, a, big[:10])
	kit.Eventually(t, "some of it is out", func() bool { return a.Stats().BytesWritten > before })
	kit.Settled(t, a)
	kit.Must(t, a.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
	err := kit.Within(t, "the deadline", first)
	n := int64(a.Stats().BytesWritten - before)
	if n <= 0 || n >= kit.PlugSize {
		t.Errorf("%d of %d bytes went out", n, kit.PlugSize)
	}
	kit.WantFailure(t, "the write in progress", err, n, true, os.ErrDeadlineExceeded, netstream.CodeTimedOut)
	kit.WantIs(t, "the write behind it", kit.Within(t, "the write behind it", second), os.ErrDeadlineExceeded)
	kit.WantIdle(t, a)
	a.Close()
	kit.Within(t, "Done", a.Done())
}

// TCP_USER_TIMEOUT makes the kernel give the connection up: every pending operation of both directions ends.
func droppedUserTimeout(t *testing.T, c kit.ConnCase) {
	a, _, _ := unreachable(t, c)
	raw, err := a.Socket().SyscallConn()
	kit.Must(t, err)
	kit.Must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500)
	}))
	kit.Must(t, err)
	before := a.Stats().BytesWritten
	_, read := kit.BeginRead(t, a, 100)
	_, write := kit.Begin(t, a, kit.Patterned(1, kit.PlugSize))
	err = kit.Within(t, "the kernel gives up", write)
	if n := kit.IOFailure(t, err).N; n != int64(a.Stats().BytesWritten-before) {
		t.Errorf("the write says %d bytes, Stats %d", n, a.Stats().BytesWritten-before)
	}
	// The kernel tells its reason once, to whichever direction asks first; a write that comes second meets a broken pipe.
	if !errors.Is(err, netstream.CodeTimedOut) && !errors.Is(err, netstream.CodeShutdown) {
		t.Errorf("the write: %v", err)
	}
	kit.WantIs(t, "the read", kit.Within(t, "the read", read).Err, netstream.CodeTimedOut)
	a.Close()
	kit.Within(t, "Done", a.Done())
	kit.WantIs(t, "Err", a.Err(), netstream.CodeTimedOut)
}

// CloseTimeout comes back when its time is up and says what was lost.
func droppedCloseTimeout(t *testing.T, c kit.ConnCase) {
	a, _, _ := unreachable(t, c)
	before := a.Stats().BytesWritten
	_, write := kit.Begin(t, a, kit.Patterned(1, kit.PlugSize))
	kit.Settled(t, a)
	err := kit.Within(t, "CloseTimeout", kit.Async(func() error { return a.CloseTimeout(200 * time.Millisecond) }))
	n := kit.IOFailure(t, kit.Within(t, "the write", write)).N
	if lost := kit.IOFailure(t, err).Unsent; lost != kit.PlugSize-n || n != int64(a.Stats().BytesWritten-before) {
		t.Errorf("%d bytes unsent; the write says %d of %d, Stats %d", lost, n, kit.PlugSize, a.Stats().BytesWritten-before)
	}
	kit.Within(t, "Done", a.Done())
}

// A network that comes back finds everything where it was: nothing is lost, repeated or changed.
func droppedForAWhile(t *testing.T, c kit.ConnCase) {
	a, b, restore := unreachable(t, c)
	const n = 300
	ended := make(chan error, n)
	frames := make([][]byte, n)
	for i := range frames {
		frames[i] = make([]byte, frameOverhead+i*10)
		fillFrame(frames[i], 9, uint32(i), frameData)
	}
	for _, p := range frames {
		if _, err := a.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) { ended <- a.EndWrite(ar) }, nil); err != nil {
			t.Fatal(err)
		}
	}
	kit.Settled(t, a)
	restore()
	kit.Must(t, a.CloseWrite())
	in := frameReader{max: 64 << 10}
	received := kit.Async(func() error {
		p := make([]byte, 16<<10)
		for {
			k, err := b.ReadContext(context.Background(), p)
			if err == io.EOF {
				return nil
			}
			if err == nil {
				err = in.feed(p[:k])
			}
			if err != nil {
				return err
			}
		}
	})
	kit.Must(t, kit.Within(t, "everything arrives", received))
	for range n {
		kit.Must(t, kit.Within(t, "a write", ended))
	}
	if in.frames != n || len(in.left) > 0 || len(in.buf) > 0 {
		t.Errorf("%d of %d frames, %d bytes behind them", in.frames, n, len(in.buf))
	}
}
