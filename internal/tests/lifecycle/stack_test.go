package lifecycle

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// On the portable engine a callback is a new goroutine, which starts with 2 KiB of stack. A callback that begins a write has
// to fit in it, down to the system call: growing the stack was 17% of an echo.
func TestPortableCallbackFitsTheFirstStack(t *testing.T) {
	if kit.RaceEnabled || testing.CoverMode() != "" {
		t.Skip("instrumented code takes more stack")
	}
	if runtime.GOOS == "windows" {
		t.Skip("a goroutine starts with 8 KiB there (stackSystem in runtime/stack.go)")
	}
	child := kit.NewChild(t, "TestPortableCallbackStackInChild", struct{}{})
	child.Cmd.Env = append(child.Cmd.Env, "GODEBUG=adaptivestackstart=0") // else goroutines start with what others have needed
	child.Start(t)
	var each float64
	child.Answer(t, time.Minute, &each)
	child.Stop(t)
	t.Logf("%.2f KiB of stack for each callback", each)
	if each > 3 { // 2 KiB, and what the runtime keeps at hand; the next larger stack has 4 KiB
		t.Errorf("a callback that begins a write takes %.2f KiB of stack", each)
	}
}

// It holds many callbacks that have begun a write each, and tells how much stack one has taken.
func TestPortableCallbackStackInChild(t *testing.T) {
	var task struct{}
	kit.ChildTask(t, &task)
	debug.SetGCPercent(-1) // a collection would shrink stacks
	const streams = 128
	all := make([]*netstream.NetworkStream, streams)
	c := kit.ConnCase{Network: "tcp", Engine: netstream.EnginePortable}
	for i := range all {
		all[i], _ = c.WithPeer(t, nil)
	}
	release := make(chan struct{})
	var begun, over sync.WaitGroup
	begun.Add(streams)
	over.Add(streams)
	before := stackBytes()
	message := make([]byte, 64)
	for _, s := range all {
		callback := func(netstream.AsyncResult) {
			s.BeginWrite(message, 0, len(message), nil, nil)
			begun.Done()
			<-release
			over.Done()
		}
		_, err := s.BeginWrite(message, 0, len(message), callback, nil)
		kit.Must(t, err)
	}
	begun.Wait()
	kit.Say(float64(stackBytes()-before) / streams / 1024)
	close(release)
	over.Wait()
	for _, s := range all {
		kit.Must(t, s.Close())
		kit.Within(t, "Done", s.Done())
	}
}

func stackBytes() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
