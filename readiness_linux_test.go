package netstream_test

import (
	"net"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream"
)

// sendUrgent sends b as out-of-band data. The normal data before and behind it is one stream without it.
func sendUrgent(t *testing.T, peer net.Conn, b byte) {
	t.Helper()
	raw, err := peer.(*net.TCPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		if err := unix.Send(int(fd), []byte{b}, unix.MSG_OOB); err != nil {
			t.Error(err)
		}
	}))
}

// A read stops at the urgent mark, and no event comes for the bytes behind it when they came together.
func TestPromise16_OutOfBandDataStopsNothing(t *testing.T) {
	eachTCP(t, func(t *testing.T, c connCase) {
		eachStyle(t, func(t *testing.T, st style) {
			for round := range 30 {
				a, peer := c.withPeer(t, nil)
				before, behind := patterned(round, 1+round*100), patterned(round+1, 3000)
				want := append(append([]byte(nil), before...), behind...)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					peer.Write(before)
					sendUrgent(t, peer, '!')
					peer.Write(behind)
				}()
				if round%2 == 0 {
					within(t, "all is sent before the first read", sent)
				}
				got := make([]byte, 0, len(want))
				done := async(func() error {
					for len(got) < len(want) {
						p := make([]byte, 64<<10)
						n, err := st.read(a, p)
						if err != nil {
							return err
						}
						got = append(got, p[:n]...)
					}
					return nil
				})
				must(t, within(t, "what is around the urgent byte arrives", done))
				sameBytes(t, got, want)
				within(t, "sent", sent)
				a.Close()
				peer.Close()
			}
		})
	})
}

// More sockets become ready at once than one harvest takes (256 for each loop): none may be forgotten.
func TestPromise16_HarvestsLargerThanTheEventArray(t *testing.T) {
	c := connCase{"epoll-tcp", netstream.EngineEpoll, "tcp"}
	if !c.usable() {
		t.Skip("another engine is asked for")
	}
	count := 1300 // more than 256 on each of up to five loops
	if testing.Short() {
		count = 600
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer ln.Close()
	streams, peers := make([]*netstream.NetworkStream, count), make([]net.Conn, count)
	for i := range count {
		accepted := make(chan net.Conn, 1)
		go func() {
			conn, err := ln.Accept()
			if err != nil {
				t.Error(err)
			}
			accepted <- conn
		}()
		conn, err := net.Dial("tcp", ln.Addr().String())
		must(t, err)
		peers[i] = within(t, "accept", accepted)
		streams[i] = mustNew(t, conn, c.config(nil))
		defer streams[i].Close()
		defer peers[i].Close()
	}
	for round := range 5 {
		outcomes := make([]<-chan readOutcome, count)
		for i, s := range streams {
			_, outcomes[i] = beginRead(t, s, 100)
		}
		for _, s := range streams {
			eventually(t, "the read waits", s.ReadWaits)
		}
		var wg sync.WaitGroup
		for part := range 4 {
			wg.Go(func() {
				for i := part; i < count; i += 4 {
					if _, err := peers[i].Write(record(i, round, 50)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for i, ch := range outcomes {
			o := within(t, "a read of many", ch)
			must(t, o.err)
			sameBytes(t, o.data, record(i, round, 50))
		}
	}
}
