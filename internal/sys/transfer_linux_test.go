//go:build !386 && !s390x

package sys

import "testing"

func TestHotCallsAllocateNothing(t *testing.T) {
	a, b := tcpPair(t)
	one, two, buf := []byte("one"), []byte("two"), make([]byte, 64)
	bufs := [][]byte{one, nil, two}
	ep, errno := EpollCreate()
	ok(t, "create", errno)
	defer Close(ep)
	events := make([]EpollEvent, 4)
	n := testing.AllocsPerRun(500, func() {
		Send(a, one)
		Sendv(a, bufs)
		EpollWait(ep, events)
		Peek(b, buf)
		for {
			if _, errno := Recv(b, buf); errno != 0 {
				break // EAGAIN, which must not allocate either
			}
		}
	})
	// The garbage collector may empty the pool of vectors now and then.
	if n >= 1 {
		t.Errorf("%v allocations", n)
	}
}

func TestPooledVectorsHoldNoPointers(t *testing.T) {
	a, b := tcpPair(t)
	if n, errno := Sendv(a, [][]byte{{1}, {2}, {3}}); n != 3 || errno != 0 {
		t.Fatal(n, errno)
	}
	recvAll(t, b, 3)
	vec := vectorPool.Get().(*iovecs)
	for i := range vec {
		if vec[i].Base != nil || vec[i].Len != 0 {
			t.Fatalf("vector %d of the pool points somewhere", i)
		}
	}
}
