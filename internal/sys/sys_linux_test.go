package sys

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestUnackedCountsWhatThePeerHasNotTaken(t *testing.T) {
	a, b := tcpPair(t)
	n := fill(t, a)
	left, errno := Unacked(a)
	if errno != 0 || left <= 0 || left > n {
		t.Fatalf("unacked: %d of %d, %v", left, n, errno)
	}
	recvAll(t, b, n)
	for end := time.Now().Add(patience); left > 0 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
		left, _ = Unacked(a)
	}
	if left != 0 {
		t.Errorf("unacked after all was read: %d", left)
	}
}

func TestTCPState(t *testing.T) {
	a, b := tcpPair(t)
	if s, errno := TCPState(a); s != 1 || errno != 0 { // TCP_ESTABLISHED
		t.Errorf("state %d, %v", s, errno)
	}
	ok(t, "linger", SetLingerReset(b))
	unix.Close(b)
	arrives(t, a)
	if s, errno := TCPState(a); s != TCPClose || errno != 0 {
		t.Errorf("state after a reset %d, %v", s, errno)
	}
	u, _ := socketpair(t)
	if _, errno := TCPState(u); errno == 0 {
		t.Error("a Unix socket has a TCP state")
	}
}

func TestKeepAliveTimes(t *testing.T) {
	a, _ := tcpPair(t)
	ok(t, "keep-alive", SetKeepAlive(a, true, 7*time.Second, 1500*time.Millisecond, 3))
	for opt, want := range map[int]int{unix.TCP_KEEPIDLE: 7, unix.TCP_KEEPINTVL: 2, unix.TCP_KEEPCNT: 3} {
		if v, errno := getInt(a, unix.IPPROTO_TCP, opt); v != want || errno != 0 {
			t.Errorf("option %d is %d, %v; want %d", opt, v, errno, want)
		}
	}
}

func TestSendfile(t *testing.T) {
	a, b := tcpPair(t)
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if at, err := f.Seek(4, io.SeekStart); at != 4 || err != nil {
		t.Fatal(at, err)
	}
	for _, want := range []int{3, 3, 0} {
		if n, errno := Sendfile(a, int(f.Fd()), 3); n != want || errno != 0 {
			t.Fatalf("%d, %v, want %d", n, errno, want)
		}
	}
	if got := recvAll(t, b, 6); string(got) != "456789" {
		t.Errorf("got %q", got)
	}
}

func TestEpollCarriesDataBothHalves(t *testing.T) {
	ep, errno := EpollCreate()
	ok(t, "create", errno)
	defer Close(ep)
	a, b := socketpair(t)
	const data = 0xfedcba98_87654321
	ok(t, "add", EpollAdd(ep, a, unix.EPOLLIN|unix.EPOLLET, data))
	events := make([]EpollEvent, 4)
	if n, errno := EpollWait(ep, events); n != 0 || errno != 0 {
		t.Fatalf("wait for nothing: %d, %v", n, errno)
	}
	Send(b, []byte("x"))
	n, errno := EpollWait(ep, events)
	if n != 1 || errno != 0 || events[0].Data() != data || events[0].Events() != unix.EPOLLIN {
		t.Fatalf("wait: %d, %v, %#x, %#x", n, errno, events[0].Events(), events[0].Data())
	}
	ok(t, "del", EpollDel(ep, a))
	if errno := EpollDel(ep, a); errno != unix.ENOENT {
		t.Errorf("second del: %v", errno)
	}
	if _, errno := EpollWait(ep, nil); errno != unix.EINVAL {
		t.Errorf("wait without room: %v", errno)
	}
}

func BenchmarkSendRecv(b *testing.B) {
	x, y := socketpair(b)
	buf := make([]byte, 64)
	b.ReportAllocs()
	for b.Loop() {
		Send(x, buf)
		Recv(y, buf)
	}
}

func BenchmarkSendv16(b *testing.B) {
	x, y := socketpair(b)
	bufs := make([][]byte, 16)
	for i := range bufs {
		bufs[i] = make([]byte, 64)
	}
	buf := make([]byte, 2048)
	b.ReportAllocs()
	for b.Loop() {
		Sendv(x, bufs)
		Recv(y, buf)
	}
}
