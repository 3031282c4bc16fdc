package reliability_test

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// killTask is what a child that will be killed does: talk on that many connections to that address, for ever.
type killTask struct {
	Address     string
	Connections int
	Seed        uint64
}

// TestChaosKilledPeers has processes full of talkers killed in the middle of a sentence, again and again. The side that
// survives gets each operation completed, exact counts, and nothing but whole frames in order.
func TestChaosKilledPeers(t *testing.T) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		r := newChaos(t, c, false, false)
		defer r.ln.Close()
		end := time.Now().Add(lasting(150*time.Millisecond) / 3)
		rng := rand.New(rand.NewPCG(r.seed, 0))
		said := func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.sum.Received > 0 && r.sum.Sent > 0 }
		for killed := uint64(0); killed == 0 || time.Now().Before(end) || killed < 50 && !said(); killed++ {
			ch := kit.NewChild(t, "TestChaosKilledPeersChild", killTask{r.ln.Addr().String(), scaled(20, 200), r.seed + killed})
			ch.Start(t)
			var ready string
			ch.Answer(t, kit.Patience, &ready)
			// Not for something to happen: this is the random point. It comes later and later, so that something is said
			// on a slow machine too.
			time.Sleep(time.Duration(rng.IntN(100*(1+int(killed)))) * time.Millisecond)
			ch.Kill()
		}
		last, err := net.Dial("tcp", r.ln.Addr().String()) // who is before it in the backlog has been killed as well
		kit.Must(t, err)
		kit.Eventually(t, "all are accepted", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.newest == last.LocalAddr().String()
		})
		last.Close()
		kit.Eventually(t, "the talkers end", func() bool { return r.talking.Load() == 0 })
		r.stop()
		r.report()
		if r.sum.Received == 0 || r.sum.Sent == 0 {
			t.Error("nothing was said: the kills came too early to mean anything")
		}
	})
}

func TestChaosKilledPeersChild(t *testing.T) {
	var task killTask
	stdin := kit.ChildTask(t, &task)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for i := range task.Connections {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(task.Seed, uint64(i)))
			for round := 0; ; round++ {
				s, err := netstream.Dial(context.Background(), "tcp", task.Address, nil)
				if err != nil {
					t.Error("Dial:", err)
					return
				}
				k := newTalker(s, rng, 1)
				if i == 0 && round == 0 {
					kit.Say("ready")
				}
				select {
				case <-s.Done():
				case <-stop:
					k.giveUp(4, 0)
					return
				}
			}
		})
	}
	stdin.Scan() // until the parent has gone, should it not kill us
	close(stop)
	wg.Wait()
}
