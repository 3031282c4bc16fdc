package promises_test

import (
	"net"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// sendUrgent sends b as out-of-band data. The normal data before and behind it is one stream without it.
func sendUrgent(t *testing.T, peer net.Conn, b byte) {
	t.Helper()
	raw, err := peer.(*net.TCPConn).SyscallConn()
	kit.Must(t, err)
	kit.Must(t, raw.Control(func(fd uintptr) {
		if err := unix.Send(int(fd), []byte{b}, unix.MSG_OOB); err != nil {
			t.Error(err)
		}
	}))
}

// A read stops at the urgent mark, and no event comes for the bytes behind it when they came together.
func TestPromise16_OutOfBandDataStopsNothing(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		kit.EachStyle(t, func(t *testing.T, st kit.Style) {
			for round := range 30 {
				a, peer := c.WithPeer(t, nil)
				before, behind := kit.Patterned(round, 1+round*100), kit.Patterned(round+1, 3000)
				want := append(append([]byte(nil), before...), behind...)
				sent := make(chan struct{})
				go func() {
					defer close(sent)
					peer.Write(before)
					sendUrgent(t, peer, '!')
					peer.Write(behind)
				}()
				if round%2 == 0 {
					kit.Within(t, "all is sent before the first read", sent)
				}
				got := make([]byte, 0, len(want))
				done := kit.Async(func() error {
					for len(got) < len(want) {
						p := make([]byte, 64<<10)
						n, err := st.Read(a, p)
						if err != nil {
							return err
						}
						got = append(got, p[:n]...)
					}
					return nil
				})
				kit.Must(t, kit.Within(t, "what is around the urgent byte arrives", done))
				kit.SameBytes(t, got, want)
				kit.Within(t, "sent", sent)
				a.Close()
				peer.Close()
			}
		})
	})
}

// More sockets become ready at once than one harvest takes (256 for each loop): none may be forgotten.
func TestPromise16_HarvestsLargerThanTheEventArray(t *testing.T) {
	c := kit.ConnCase{Name: "epoll-tcp", Engine: netstream.EngineEpoll, Network: "tcp"}
	if !c.Usable() {
		t.Skip("another engine is asked for")
	}
	count := 1300 // more than 256 on each of up to five loops
	if testing.Short() {
		count = 600
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(t, err)
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
		kit.Must(t, err)
		peers[i] = kit.Within(t, "accept", accepted)
		streams[i] = kit.MustNew(t, conn, c.Config(nil))
		defer streams[i].Close()
		defer peers[i].Close()
	}
	for round := range 5 {
		outcomes := make([]<-chan kit.ReadOutcome, count)
		for i, s := range streams {
			_, outcomes[i] = kit.BeginRead(t, s, 100)
		}
		for _, s := range streams {
			kit.Eventually(t, "the read waits", kit.BegunReads(s, round+1))
		}
		var wg sync.WaitGroup
		for part := range 4 {
			wg.Go(func() {
				for i := part; i < count; i += 4 {
					if _, err := peers[i].Write(kit.Record(i, round, 50)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for i, ch := range outcomes {
			o := kit.Within(t, "a read of many", ch)
			kit.Must(t, o.Err)
			kit.SameBytes(t, o.Data, kit.Record(i, round, 50))
		}
	}
}
