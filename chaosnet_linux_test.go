package netstream_test

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
	ch := newChild(t, "TestChaosDroppedPacketsChild", 0)
	ch.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if err := ch.cmd.Err; err != nil {
		t.Fatal(err)
	}
	if probe := (&exec.Cmd{Path: ch.cmd.Path, Args: []string{"", "-test.run=^$"}, SysProcAttr: ch.cmd.SysProcAttr}).Run(); errors.Is(probe, syscall.EPERM) {
		t.Skip("no network namespace may be made here")
	}
	ch.start(t)
	ch.stop(t)
	if out := ch.rest.String(); !strings.Contains(out, "--- PASS: TestChaosDroppedPacketsChild") {
		t.Errorf("child:\n%s", out)
	}
}

func TestChaosDroppedPacketsChild(t *testing.T) {
	var task int
	childTask(t, &task)
	command(t, "ip", "link", "set", "lo", "up")
	command(t, "nft", "add table inet test; add set inet test gone { type inet_service; };"+
		"add chain inet test input { type filter hook input priority 0; };"+
		"add rule inet test input tcp sport @gone drop; add rule inet test input tcp dport @gone drop")
	scenarios := map[string]func(*testing.T, connCase){
		"deadline": droppedDeadline, "user timeout": droppedUserTimeout,
		"CloseTimeout": droppedCloseTimeout, "comes back": droppedForAWhile,
	}
	eachTCP(t, func(t *testing.T, c connCase) {
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
	must(t, err)
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
func unreachable(t *testing.T, c connCase) (a, b *netstream.NetworkStream, restore func()) {
	t.Helper()
	a, b = c.pair(t, nil, nil)
	small(t, a, b)
	hello := patterned(7, 1000)
	_, sent := begin(t, a, hello)
	readExactly(t, b, hello)
	must(t, within(t, "the first write", sent))
	return a, b, dropPackets(t, a)
}

// The kernel takes what fits into its buffer, then nothing: the deadline ends the write with an exact count, and what
// stands behind it as well.
func droppedDeadline(t *testing.T, c connCase) {
	a, _, _ := unreachable(t, c)
	before := a.Stats().BytesWritten
	big := patterned(1, plugSize)
	_, first := begin(t, a, big)
	_, second := begin(t, a, big[:10])
	settled(t, a)
	must(t, a.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
	err := within(t, "the deadline", first)
	n := int64(a.Stats().BytesWritten - before)
	if n <= 0 || n >= plugSize {
		t.Errorf("%d of %d bytes went out", n, plugSize)
	}
	wantFailure(t, "the write in progress", err, n, true, os.ErrDeadlineExceeded, netstream.CodeTimedOut)
	wantIs(t, "the write behind it", within(t, "the write behind it", second), os.ErrDeadlineExceeded)
	wantIdle(t, a)
	a.Close()
	within(t, "Done", a.Done())
}

// TCP_USER_TIMEOUT makes the kernel give the connection up: every pending operation of both directions ends.
func droppedUserTimeout(t *testing.T, c connCase) {
	a, _, _ := unreachable(t, c)
	raw, err := a.Socket().SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, 500)
	}))
	must(t, err)
	before := a.Stats().BytesWritten
	_, read := beginRead(t, a, 100)
	_, write := begin(t, a, patterned(1, plugSize))
	err = within(t, "the kernel gives up", write)
	if n := ioFailure(t, err).N; n != int64(a.Stats().BytesWritten-before) {
		t.Errorf("the write says %d bytes, Stats %d", n, a.Stats().BytesWritten-before)
	}
	// The kernel tells its reason once, to whichever direction asks first; a write that comes second meets a broken pipe.
	if !errors.Is(err, netstream.CodeTimedOut) && !errors.Is(err, netstream.CodeShutdown) {
		t.Errorf("the write: %v", err)
	}
	wantIs(t, "the read", within(t, "the read", read).err, netstream.CodeTimedOut)
	a.Close()
	within(t, "Done", a.Done())
	wantIs(t, "Err", a.Err(), netstream.CodeTimedOut)
}

// CloseTimeout comes back when its time is up and says what was lost.
func droppedCloseTimeout(t *testing.T, c connCase) {
	a, _, _ := unreachable(t, c)
	before := a.Stats().BytesWritten
	_, write := begin(t, a, patterned(1, plugSize))
	settled(t, a)
	err := within(t, "CloseTimeout", async(func() error { return a.CloseTimeout(200 * time.Millisecond) }))
	n := ioFailure(t, within(t, "the write", write)).N
	if lost := ioFailure(t, err).Unsent; lost != plugSize-n || n != int64(a.Stats().BytesWritten-before) {
		t.Errorf("%d bytes unsent; the write says %d of %d, Stats %d", lost, n, plugSize, a.Stats().BytesWritten-before)
	}
	within(t, "Done", a.Done())
}

// A network that comes back finds everything where it was: nothing is lost, repeated or changed.
func droppedForAWhile(t *testing.T, c connCase) {
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
	settled(t, a)
	restore()
	must(t, a.CloseWrite())
	in := frameReader{max: 64 << 10}
	received := async(func() error {
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
	must(t, within(t, "everything arrives", received))
	for range n {
		must(t, within(t, "a write", ended))
	}
	if in.frames != n || len(in.left) > 0 || len(in.buf) > 0 {
		t.Errorf("%d of %d frames, %d bytes behind them", in.frames, n, len(in.buf))
	}
}
