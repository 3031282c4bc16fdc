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
	fitsTheFirstStack(t, "TestPortableCallbackStackInChild")
}

// A goroutine that takes a loop over from one whose callback blocks, or that an idle loop starts, has 2 KiB too. What it does
// most has to fit in it: to send what is queued, and to account for it. Growing the stack was 8% of W9 of docs/benchmarks.md.
func TestLoopFitsTheFirstStack(t *testing.T) {
	if !kit.HaveEpoll {
		t.Skip("there are no loops")
	}
	fitsTheFirstStack(t, "TestLoopStackInChild")
}

// fitsTheFirstStack has that test, in a process of its own, tell how much stack each of its goroutines takes.
func fitsTheFirstStack(t *testing.T, test string) {
	if kit.RaceEnabled || testing.CoverMode() != "" {
		t.Skip("instrumented code takes more stack")
	}
	if runtime.GOOS == "windows" {
		t.Skip("a goroutine starts with 8 KiB there (stackSystem in runtime/stack.go)")
	}
	child := kit.NewChild(t, test, struct{}{})
	child.Cmd.Env = append(child.Cmd.Env, "GODEBUG=adaptivestackstart=0") // else goroutines start with what others have needed
	child.Start(t)
	var each float64
	child.Answer(t, time.Minute, &each)
	child.Stop(t)
	t.Logf("%.2f KiB of stack for each goroutine", each)
	if each > 3 { // 2 KiB, and what the runtime keeps at hand; the next larger stack has 4 KiB
		t.Errorf("a goroutine takes %.2f KiB of stack", each)
	}
}

// It holds many goroutines of loops, each of which has sent 20 writes and blocks in the callback of the last one, and tells
// how much stack one has taken.
func TestLoopStackInChild(t *testing.T) {
	var task struct{}
	kit.ChildTask(t, &task)
	debug.SetGCPercent(-1) // a collection would shrink stacks
	const streams, writes = 64, 20
	c := kit.ConnCase{Network: "tcp", Engine: netstream.EngineEpoll}
	var all [streams]*netstream.NetworkStream
	for i := range all {
		all[i], _ = c.WithPeer(t, &netstream.Config{Send: netstream.SendDeferred})
	}
	release, blocked := make(chan struct{}), make(chan struct{})
	message := make([]byte, 64)
	before := stackBytes()
	for _, s := range all {
		for range writes - 1 {
			_, err := s.BeginWrite(message, 0, len(message), nil, nil)
			kit.Must(t, err)
		}
		_, err := s.BeginWrite(message, 0, len(message), func(netstream.AsyncResult) {
			blocked <- struct{}{}
			<-release
		}, nil)
		kit.Must(t, err)
		kit.Within(t, "the callback", blocked)
	}
	kit.Say(float64(stackBytes()-before) / streams / 1024)
	close(release)
	for _, s := range all {
		kit.Must(t, s.Close())
		kit.Within(t, "Done", s.Done())
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
