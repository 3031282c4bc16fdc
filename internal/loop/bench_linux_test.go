package loop

import (
	"net"
	"os"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/seed-9ac8cf60/netstream/internal/sys"
)

// A byte goes to and fro between two sockets of one loop; one operation is one
// event, the task it leads to, one receive and one send.
func BenchmarkEventLoop(b *testing.B) {
	l := testLoop(b, eventBatch)
	s, peer := pair(b, l)
	back, err := l.Add(peer, false)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { back.Remove() })
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	one, two := newEcho(s, &left, done), newEcho(back, &left, done)
	b.ReportAllocs()
	b.ResetTimer()
	l.Post(one)
	l.Post(two)
	write(b, peer, "x")
	<-done
	b.StopTimer()
	s.CancelRead()
	back.CancelRead()
}

// The same between two goroutines that block in net.Conn.Read.
func BenchmarkEventNet(b *testing.B) {
	fds := socketpair(b)
	conns := make([]net.Conn, 2)
	for i, fd := range fds {
		dup, errno := sys.Dup(fd)
		if errno != 0 {
			b.Fatal(errno)
		}
		f := os.NewFile(uintptr(dup), "socketpair")
		c, err := net.FileConn(f)
		f.Close()
		if err != nil {
			b.Fatal(err)
		}
		conns[i] = c
	}
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	b.ReportAllocs()
	b.ResetTimer()
	for _, c := range conns {
		go func() {
			buf := make([]byte, 8)
			for {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				if left.Add(-1) == 0 {
					close(done)
					return
				}
				c.Write(buf[:n])
			}
		}()
	}
	conns[1].Write([]byte("x"))
	<-done
	b.StopTimer()
	conns[0].Close()
	conns[1].Close()
}

// Posting to a loop with nothing to do: what the start of a goroutine costs.
func BenchmarkPostToIdleLoop(b *testing.B) {
	l := testLoop(b, eventBatch)
	done := make(chan struct{}, 1)
	t := job(func() { done <- struct{}{} })
	b.ReportAllocs()
	for b.Loop() {
		l.Post(t)
		<-done
	}
}

// Posting from a task: the queue alone.
func BenchmarkPostFromTask(b *testing.B) {
	l := testLoop(b, eventBatch)
	done := make(chan struct{})
	left := b.N
	var t job
	t = job(func() {
		if left--; left <= 0 {
			close(done)
			return
		}
		l.Post(t)
	})
	b.ReportAllocs()
	b.ResetTimer()
	l.Post(t)
	<-done
}

// What the first socket of a loop costs, and the last one, whose poller ends: against BenchmarkRegister, what a connection
// costs more when it comes alone.
func BenchmarkStartAndEnd(b *testing.B) {
	l := testLoop(b, eventBatch)
	l.grace = -1 // a deadline that has passed: the loop ends at once
	fds := socketpair(b)
	b.ReportAllocs()
	for b.Loop() {
		register(b, l, fds[0])
		for started(l) {
			runtime.Gosched()
		}
	}
}

func BenchmarkRegister(b *testing.B) {
	l := testLoop(b, eventBatch)
	pair(b, l) // keeps it
	fds := socketpair(b)
	b.ReportAllocs()
	for b.Loop() {
		register(b, l, fds[0])
	}
}

func register(b *testing.B, l *Loop, fd int) {
	s, err := l.Add(fd, false)
	if err != nil {
		b.Fatal(err)
	}
	s.Remove()
}
