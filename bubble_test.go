package netstream_test

import (
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/seed-9ac8cf60/netstream"
)

// Streams over sockets work in a testing/synctest bubble, whether the loops run outside of it or have not been started:
// they are portable there, so that everything that a stream does happens on goroutines of the bubble. In a child process,
// because a loop that touches a channel of a bubble ends the program.
func TestBubble(t *testing.T) {
	for _, outside := range []bool{false, true} {
		for _, network := range []string{"tcp", "unix"} {
			name := network
			if outside {
				name += ", loops in use outside"
			}
			t.Run(name, func(t *testing.T) {
				ch := newChild(t, "TestBubbleChild", bubbleTask{network, outside})
				ch.start(t)
				var over string
				ch.answer(t, patience, &over)
				ch.stop(t)
			})
		}
	}
}

type bubbleTask struct {
	Network string
	Outside bool // streams are on the loops before
}

func TestBubbleChild(t *testing.T) {
	var task bubbleTask
	childTask(t, &task)
	c := connCase{"child", netstream.EngineAuto, task.Network}
	if task.Outside {
		s, _ := c.withPeer(t, nil)
		beginRead(t, s, 1)
		if engine, why := s.Socket().Engine(); haveEpoll && engine != netstream.EngineEpoll {
			t.Fatal(why)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := c.pair(t, nil, nil)
		for _, st := range styles {
			read := async(func() error { return readPing(func(p []byte) (int, error) { return st.read(b, p) }) })
			for !b.ReadWaits() { // the clock stands still while anybody waits for the network: nobody can sleep
				runtime.Gosched()
			}
			must(t, st.write(a, []byte("ping")))
			must(t, <-read)
		}
		_, left := beginRead(t, b, 1) // for Close to end
		if engine, why := b.Socket().Engine(); engine != netstream.EnginePortable {
			t.Error(why)
		}
		a.Close()
		if o := <-left; o.err != io.EOF {
			t.Error(o.err)
		}
		b.Close()
		<-b.Done()
	})
	say("over")
}

// EngineEpoll cannot be had in a bubble, and says so.
func TestBubble_EngineEpollIsRefused(t *testing.T) {
	c := connCase{"epoll", netstream.EngineEpoll, "tcp"}
	if !c.usable() {
		t.Skip("not this engine")
	}
	synctest.Test(t, func(t *testing.T) {
		conn, peer := c.netPair(t)
		defer conn.Close()
		defer peer.Close()
		if s, err := netstream.New(conn, c.config(nil)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("New: %v, %v", s, err)
		}
		if _, err := conn.Write([]byte("untouched")); err != nil {
			t.Error(err)
		}
	})
}
