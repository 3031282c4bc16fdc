//go:build unix

package sys

import (
	"bytes"
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// socketpair returns two connected, non-blocking Unix sockets.
func socketpair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		ok(t, "nonblock", SetNonblock(fd))
		t.Cleanup(func() { unix.Close(fd) })
	}
	return fds[0], fds[1]
}

// tcpPair returns both ends of a loopback TCP connection, non-blocking.
func tcpPair(t testing.TB) (a, b int) {
	t.Helper()
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	ca, err := net.Dial("tcp4", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	cb, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return take(t, ca), take(t, cb)
}

// take returns a duplicate of the descriptor of c, which it closes.
func take(t testing.TB, c net.Conn) (fd int) {
	t.Helper()
	defer c.Close()
	raw, err := c.(syscall.Conn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var errno syscall.Errno
	if err := raw.Control(func(f uintptr) { fd, errno = Dup(int(f)) }); err != nil {
		t.Fatal(err)
	}
	ok(t, "dup", errno)
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

func ok(t testing.TB, what string, errno syscall.Errno) {
	t.Helper()
	if errno != 0 {
		t.Fatalf("%s: %v", what, errno)
	}
}

// recvAll receives until n bytes have come.
func recvAll(t testing.TB, fd, n int) []byte {
	t.Helper()
	got := make([]byte, 0, n)
	buf := make([]byte, 256<<10)
	for end := time.Now().Add(patience); len(got) < n; {
		m, errno := Recv(fd, buf)
		switch {
		case errno == unix.EAGAIN && time.Now().Before(end):
			time.Sleep(time.Millisecond)
		case errno != 0 || m == 0:
			t.Fatalf("recv after %d of %d: %d, %v", len(got), n, m, errno)
		}
		got = append(got, buf[:m]...)
	}
	return got
}

// arrives waits until fd has something to tell: bytes, the end, a reset.
func arrives(t testing.TB, fd int) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if n, _ := unix.Poll(ready, 0); n == 1 {
			return
		}
		if time.Now().After(end) {
			t.Fatal("nothing arrives")
		}
	}
}

// patience is how long a test waits for what takes microseconds: it only ends a hang.
const patience = 60 * time.Second

func fill(t testing.TB, fd int) (n int) {
	t.Helper()
	chunk := make([]byte, 32<<10)
	for {
		m, errno := Send(fd, chunk)
		if errno == unix.EAGAIN {
			return n
		}
		ok(t, "send", errno)
		n += m
	}
}

func TestSendRecvPeek(t *testing.T) {
	for name, pair := range map[string]func(testing.TB) (int, int){"unix": socketpair, "tcp": tcpPair} {
		t.Run(name, func(t *testing.T) {
			a, b := pair(t)
			buf := make([]byte, 16)
			if n, errno := Recv(b, buf); n != 0 || errno != unix.EAGAIN {
				t.Fatalf("recv of nothing: %d, %v", n, errno)
			}
			if n, errno := Send(a, []byte("hello")); n != 5 || errno != 0 {
				t.Fatalf("send: %d, %v", n, errno)
			}
			arrives(t, b)
			if n, errno := Buffered(b); n != 5 || errno != 0 {
				t.Errorf("buffered: %d, %v", n, errno)
			}
			for range 2 {
				if n, errno := Peek(b, buf[:2]); n != 2 || errno != 0 || string(buf[:2]) != "he" {
					t.Fatalf("peek: %d, %v", n, errno)
				}
			}
			if got := recvAll(t, b, 5); string(got) != "hello" {
				t.Errorf("got %q", got)
			}
			ok(t, "shutdown", ShutdownWrite(a))
			arrives(t, b)
			if n, errno := Recv(b, buf); n != 0 || errno != 0 {
				t.Errorf("recv at the end: %d, %v", n, errno)
			}
		})
	}
}

func TestLargeTransfers(t *testing.T) {
	a, b := tcpPair(t)
	want := bytes.Repeat([]byte("0123456789abcdef"), 1<<16) // 1 MiB: above rawLimit
	go func() {
		for rest := want; len(rest) > 0; {
			n, errno := Send(a, rest)
			if errno != 0 {
				time.Sleep(time.Millisecond)
			}
			rest = rest[n:]
		}
	}()
	if !bytes.Equal(recvAll(t, b, len(want)), want) {
		t.Error("other bytes")
	}
}

func TestEmptySendReportsPendingError(t *testing.T) {
	a, b := tcpPair(t)
	if n, errno := Send(a, nil); n != 0 || errno != 0 {
		t.Fatalf("empty send: %d, %v", n, errno)
	}
	ok(t, "linger", SetLingerReset(b))
	unix.Close(b)
	arrives(t, a)
	if _, errno := Send(a, nil); errno != unix.ECONNRESET && errno != unix.EPIPE {
		t.Errorf("empty send after a reset: %v", errno)
	}
	if _, errno := Sendv(a, [][]byte{nil, {}}); errno != unix.EPIPE {
		t.Errorf("empty vectors after a reset: %v", errno)
	}
}

func TestSendvKeepsOrderAndSkipsEmptyVectors(t *testing.T) {
	a, b := tcpPair(t)
	for _, bufs := range [][][]byte{
		{[]byte("one")},
		{[]byte("one"), []byte("two")},
		{nil, []byte("one"), {}, []byte("two"), nil},
		{nil, []byte("one"), nil},
		bytes.SplitAfter(bytes.Repeat([]byte("x"), maxVectors), nil),
	} {
		want := bytes.Join(bufs, nil)
		if n, errno := Sendv(a, bufs); n != len(want) || errno != 0 {
			t.Fatalf("sendv: %d, %v; want %d", n, errno, len(want))
		}
		if got := recvAll(t, b, len(want)); !bytes.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	}
	for _, none := range [][][]byte{nil, {}, {nil}, {nil, {}}} {
		if n, errno := Sendv(a, none); n != 0 || errno != 0 {
			t.Errorf("sendv of nothing: %d, %v", n, errno)
		}
	}
}

func TestSendvOfTooManyVectorsSendsTheFirst(t *testing.T) {
	a, b := tcpPair(t)
	bufs := make([][]byte, 0, 3*maxVectors)
	for i := range 3 * maxVectors / 2 {
		bufs = append(bufs, nil, []byte{byte(i)})
	}
	n, errno := Sendv(a, bufs)
	if n != maxVectors || errno != 0 {
		t.Fatalf("sendv: %d, %v", n, errno)
	}
	if got := recvAll(t, b, n); !bytes.Equal(got, bytes.Join(bufs, nil)[:n]) {
		t.Error("other bytes")
	}
}

func TestSendvIntoAFullSocket(t *testing.T) {
	a, b := tcpPair(t)
	ok(t, "buffer", SetWriteBuffer(a, 64<<10))
	big := [][]byte{make([]byte, 8<<20), make([]byte, 8<<20)}
	n, errno := Sendv(a, big)
	if errno != 0 || n <= 0 || n >= 16<<20 {
		t.Fatalf("sendv: %d, %v; want a short count", n, errno)
	}
	for end := time.Now().Add(patience); ; { // the kernel moves bytes to the peer for a while
		fill(t, a)
		if n, errno = Sendv(a, big); errno == unix.EAGAIN || time.Now().After(end) {
			break
		}
	}
	if n != 0 || errno != unix.EAGAIN {
		t.Errorf("sendv into a full socket: %d, %v", n, errno)
	}
	_ = b
}

func TestBrokenConnectionRaisesNoSignal(t *testing.T) {
	a, b := socketpair(t)
	unix.Close(b)
	if _, errno := Send(a, []byte("x")); errno != unix.EPIPE {
		t.Errorf("send: %v", errno)
	}
	if _, errno := Sendv(a, [][]byte{{1}, {2}}); errno != unix.EPIPE {
		t.Errorf("sendv: %v", errno)
	}
}

func TestBadDescriptor(t *testing.T) {
	for name, call := range map[string]func() syscall.Errno{
		"recv":     func() syscall.Errno { _, e := Recv(-1, make([]byte, 1)); return e },
		"send":     func() syscall.Errno { _, e := Send(-1, []byte{1}); return e },
		"sendv":    func() syscall.Errno { _, e := Sendv(-1, [][]byte{{1}, {2}}); return e },
		"close":    func() syscall.Errno { return Close(-1) },
		"dup":      func() syscall.Errno { _, e := Dup(-1); return e },
		"buffered": func() syscall.Errno { _, e := Buffered(-1); return e },
	} {
		if errno := call(); errno != unix.EBADF {
			t.Errorf("%s: %v", name, errno)
		}
	}
}

func TestOptions(t *testing.T) {
	a, b := tcpPair(t)
	ok(t, "nodelay", SetNoDelay(a, false))
	if v, _ := getInt(a, unix.IPPROTO_TCP, unix.TCP_NODELAY); v != 0 {
		t.Error("nodelay still on")
	}
	ok(t, "nodelay", SetNoDelay(a, true))
	if v, _ := getInt(a, unix.IPPROTO_TCP, unix.TCP_NODELAY); v == 0 {
		t.Error("nodelay still off")
	}
	ok(t, "read buffer", SetReadBuffer(a, 32<<10))
	ok(t, "write buffer", SetWriteBuffer(a, 32<<10))
	ok(t, "linger", SetLinger(a, 3))
	ok(t, "linger off", SetLinger(a, -1))
	ok(t, "keep-alive off", SetKeepAlive(a, false, 0, 0, 0))
	ok(t, "keep-alive on", SetKeepAlive(a, true, 0, 0, 0))
	if pending, errno := SocketError(a); pending != 0 || errno != 0 {
		t.Errorf("error %v, %v", pending, errno)
	}
	sa, err := unix.Getsockname(a)
	if err != nil {
		t.Fatal(err)
	}
	pb, errno := Peername(b)
	ok(t, "peername", errno)
	if sa.(*unix.SockaddrInet4).Port != pb.(*unix.SockaddrInet4).Port {
		t.Error("addresses of the two ends differ")
	}
	ok(t, "shutdown", ShutdownRead(a))
	ok(t, "shutdown", ShutdownWrite(a))
}

func TestSocketErrorTakesThePendingError(t *testing.T) {
	a, b := tcpPair(t)
	ok(t, "linger", SetLingerReset(b))
	unix.Close(b)
	arrives(t, a)
	if pending, errno := SocketError(a); pending != unix.ECONNRESET || errno != 0 {
		t.Errorf("first: %v, %v", pending, errno)
	}
	if pending, errno := SocketError(a); pending != 0 || errno != 0 {
		t.Errorf("second: %v, %v", pending, errno)
	}
}

func TestDupIsClosedOnExec(t *testing.T) {
	a, b := socketpair(t)
	d, errno := Dup(a)
	ok(t, "dup", errno)
	flags, err := unix.FcntlInt(uintptr(d), unix.F_GETFD, 0)
	if err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %#x, %v", flags, err)
	}
	ok(t, "close", Close(a)) // the cleanup's second close hits nothing here
	if n, errno := Send(d, []byte("x")); n != 1 || errno != 0 {
		t.Errorf("send on the duplicate: %d, %v", n, errno)
	}
	recvAll(t, b, 1)
	ok(t, "close", Close(d))
}

func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]int{
		-1: 0, 0: 0, 1: 1, time.Second: 1, time.Second + 1: 2, 15 * time.Second: 15,
	} {
		if got := seconds(d); got != want {
			t.Errorf("seconds(%v) = %d, want %d", d, got, want)
		}
	}
}

func TestErrnoOf(t *testing.T) {
	if errnoOf(nil) != 0 || errnoOf(unix.EPERM) != unix.EPERM || errnoOf(os.ErrClosed) != unix.EINVAL {
		t.Error("wrong errno")
	}
}
