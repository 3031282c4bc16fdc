//go:build unix

package netconn_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// A connection that its client has reset before it was accepted is no reason to wait, nor worth a word: anybody can
// send any number of those.
func TestAcceptSkipsConnectionsThatWereReset(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		log := new(logged)
		ln, err := netstream.Listen("tcp", "127.0.0.1:0", c.Config(log.config()))
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		for range 20 {
			conn, err := net.Dial("tcp", ln.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		good, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer good.Close()
		took := kit.Awake(func() {
			for {
				s, err := ln.AcceptStream()
				if err != nil {
					t.Fatal("AcceptStream:", err)
				}
				remote := s.RemoteAddr()
				s.Close()
				if remote != nil && remote.String() == good.LocalAddr().String() {
					break
				}
			}
		})
		if took > time.Second {
			t.Errorf("20 resets held the next connection up for %v", took)
		}
		if lines := log.lines(); len(lines) != 0 {
			t.Errorf("logged %q", lines)
		}
	})
}

const exhaustedEnv = "NETSTREAM_TEST_EXHAUSTED_CHILD" // the number of descriptors left

// TestAcceptOutOfDescriptors runs the child below, whose limit of descriptors is reached: with none left; with one, which
// is enough to accept a connection and not enough to put it on a loop; with two, which is not enough to start the loops.
func TestAcceptOutOfDescriptors(t *testing.T) {
	for _, left := range []string{"0", "1", "2"} {
		t.Run(left+" left", func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestAcceptOutOfDescriptorsChild$", "-test.v", "-test.timeout=5m")
			cmd.Env = append(os.Environ(), exhaustedEnv+"="+left)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS: TestAcceptOutOfDescriptorsChild") {
				t.Errorf("child: %v\n%s", err, out)
			}
		})
	}
}

func TestAcceptOutOfDescriptorsChild(t *testing.T) {
	left, err := strconv.Atoi(os.Getenv(exhaustedEnv))
	if err != nil {
		t.Skip("runs in child processes only")
	}
	for _, style := range []string{"AcceptStream", "BeginAccept"} {
		kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
			t.Run(style, func(t *testing.T) { acceptExhausted(t, c, style, left) })
		})
	}
}

// acceptExhausted has a listener accept three connections when there are no descriptors, and then there are.
func acceptExhausted(t *testing.T, c kit.ConnCase, style string, left int) {
	log := new(logged)
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", c.Config(log.config()))
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	const n = 3
	for i := range n {
		conn, err := net.Dial("tcp", ln.Addr().String()) // the kernel answers
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, i)
	}
	release := exhaustDescriptors(t, left)

	accepted := make(chan string, n)
	accept := func(s *netstream.NetworkStream, err error) {
		if err != nil {
			accepted <- err.Error()
			return
		}
		p := make([]byte, 1)
		if _, err := io.ReadFull(s, p); err != nil {
			accepted <- err.Error()
		} else {
			accepted <- string(p)
		}
		s.Close()
	}
	before := cpuTime(t)
	if style == "BeginAccept" {
		for range n {
			if _, err := ln.BeginAccept(func(ar netstream.AsyncResult) { accept(ln.EndAccept(ar)) }, nil); err != nil {
				t.Fatal(err)
			}
		}
	} else {
		go func() {
			for range n {
				accept(ln.AcceptStream())
			}
		}()
	}
	time.Sleep(200 * time.Millisecond)
	used := cpuTime(t) - before
	for again := 0; again < 5 && used > 100*time.Millisecond; again++ { // a spin spins on, what a busy machine adds does not
		before = cpuTime(t)
		time.Sleep(200 * time.Millisecond)
		used = cpuTime(t) - before
	}
	if left == 0 {
		kit.Eventually(t, "a word about it", func() bool { return len(log.lines()) > 0 })
	}
	lines := log.lines()
	release()
	for i := range n {
		if got := kit.Within(t, "an accept", accepted); got != fmt.Sprint(i) {
			t.Errorf("connection %d gave %q", i, got)
		}
	}
	if used > 100*time.Millisecond {
		t.Errorf("used %v of CPU in 200 ms: that was a spin", used)
	}
	if len(lines) > n { // each accept that had to wait says so once
		t.Errorf("logged %q", lines)
	}
}

// exhaustDescriptors uses all descriptors up but as many as are to be left; release gives them back.
func exhaustDescriptors(t *testing.T, left int) (release func()) {
	t.Helper()
	limit := syscall.Rlimit{}
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	old := limit
	limit.Cur = 100
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	var fds []int
	for {
		fd, err := syscall.Dup(0)
		if err == syscall.EMFILE {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
	}
	for ; left > 0; left-- {
		syscall.Close(fds[0])
		fds = fds[1:]
	}
	return func() {
		for _, fd := range fds {
			syscall.Close(fd)
		}
		syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)
	}
}

// cpuTime is what this process has used.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		t.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// shrinkBacklog makes a listening socket take few connections that nobody accepts.
func shrinkBacklog(t *testing.T, raw syscall.RawConn) {
	t.Helper()
	var err error
	if e := raw.Control(func(fd uintptr) { err = syscall.Listen(int(fd), 1) }); e != nil || err != nil {
		t.Fatal(e, err)
	}
}
