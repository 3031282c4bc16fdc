package engine_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// An orderly close lingers while something could be lost by closing: input that is unread, which would make the kernel send a
// reset, or output that the peer has not acknowledged, which a reset would destroy.
func TestLinger_WhileSomethingCouldBeLost(t *testing.T) {
	for _, k := range kinds() {
		if !k.is("portable-tcp", "epoll-tcp") {
			continue
		}
		for name, c := range map[string]struct {
			leave   func(u *under)
			lingers bool
		}{
			"nothing left": {func(*under) {}, false},
			"unread input": {func(u *under) {
				_, err := u.peer.Write([]byte("unread"))
				must(u.t, err)
				u.eventually("the input arrives", func() bool { n, err := u.Available(); return n > 0 && err == nil })
			}, true},
			"unacknowledged output": {func(u *under) {
				_, id := u.fill(make([]byte, 32<<20))
				u.Cancel(engine.Write, id, false)
				u.await(engine.Write)
			}, true},
		} {
			t.Run(k.name+"/"+name, func(t *testing.T) {
				u := k.open(t, engine.Options{})
				u.echoes(t)
				u.eventually("everything is acknowledged", func() bool { n, err := u.Unacknowledged(); return n == 0 && err == nil })
				u.eventually("nothing lingers from before", func() bool { return engine.Lingering() == 0 })
				c.leave(u)
				began := time.Now()
				u.finish(engine.Orderly)
				if lingers := engine.Lingering() > 0; lingers != c.lingers && time.Since(began) < time.Second { // it does so for 2 s
					t.Errorf("it lingers: %t", lingers)
				}
				if info, err := tcpInfo(u.peer); err != nil || info.State == unix.BPF_TCP_CLOSE {
					t.Errorf("the peer was told of a reset: %v", err)
				}
				u.peer.Close()
				u.eventually("it does not linger any more", func() bool { return engine.Lingering() == 0 })
			})
		}
	}
}

func (u *under) eventually(what string, happened func() bool) {
	u.t.Helper()
	for limit := time.Now().Add(patience); !happened(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			u.t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

func tcpInfo(conn net.Conn) (info *unix.TCPInfo, err error) {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return nil, err
	}
	control := raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	return info, errors.Join(control, err)
}
