package lifecycle_test

import (
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
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
				ch := kit.NewChild(t, "TestBubbleChild", bubbleTask{network, outside})
				ch.Start(t)
				var over string
				ch.Answer(t, kit.Patience, &over)
				ch.Stop(t)
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
	kit.ChildTask(t, &task)
	c := kit.ConnCase{Name: "child", Engine: netstream.EngineAuto, Network: task.Network}
	if task.Outside {
		s, _ := c.WithPeer(t, nil)
		kit.BeginRead(t, s, 1)
		if engine, why := s.Socket().Engine(); kit.HaveEpoll && engine != netstream.EngineEpoll {
			t.Fatal(why)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		a, b := c.Pair(t, nil, nil)
		for _, st := range kit.Styles {
			waits := kit.BegunReads(b, int(b.Stats().ReadOps)+1)
			read := kit.Async(func() error { return kit.ReadPing(func(p []byte) (int, error) { return st.Read(b, p) }) })
			for !waits() { // the clock stands still while anybody waits for the network: nobody can sleep
				runtime.Gosched()
			}
			kit.Must(t, st.Write(a, []byte("ping")))
			kit.Must(t, <-read)
		}
		_, left := kit.BeginRead(t, b, 1) // for Close to end
		if engine, why := b.Socket().Engine(); engine != netstream.EnginePortable {
			t.Error(why)
		}
		a.Close()
		if o := <-left; o.Err != io.EOF {
			t.Error(o.Err)
		}
		b.Close()
		<-b.Done()
	})
	kit.Say("over")
}

// EngineEpoll cannot be had in a bubble, and says so.
func TestBubble_EngineEpollIsRefused(t *testing.T) {
	c := kit.ConnCase{Name: "epoll", Engine: netstream.EngineEpoll, Network: "tcp"}
	if !c.Usable() {
		t.Skip("not this engine")
	}
	synctest.Test(t, func(t *testing.T) {
		conn, peer := c.NetPair(t)
		defer conn.Close()
		defer peer.Close()
		if s, err := netstream.New(conn, c.Config(nil)); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("New: %v, %v", s, err)
		}
		if _, err := conn.Write([]byte("untouched")); err != nil {
			t.Error(err)
		}
	})
}
