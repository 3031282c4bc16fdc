package promises_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// Callbacks that do what no callback should. callbacks_test.go and callbacks_block_test.go hold the rules one by one; here
// all kinds misbehave at once, in both directions of many streams, and a panic that nobody recovers has a process of
// its own.

// Callbacks of half the streams never return while the test runs; the others go on, and so does the other direction of
// the blocked ones. Once they are released, every callback that waited behind them has run exactly once.
func TestMisbehave_CallbacksThatBlockForEver(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const streams, behind = 12, 200
		release := make(chan struct{})
		var ran, started atomic.Int32
		var blocked []endToEnd
		for range streams {
			a, b := c.Pair(t, nil, nil)
			blocked = append(blocked, endToEnd{a, b})
			for i := range behind {
				kit.MustBegin(t, a, []byte("x"), func(ar netstream.AsyncResult) {
					if i == 0 {
						started.Add(1)
						<-release
					}
					if err := a.EndWrite(ar); err != nil {
						t.Error(err)
					}
					ran.Add(1)
				})
			}
		}
		kit.Eventually(t, "all the callbacks block", func() bool { return started.Load() == streams })
		a, b := c.Pair(t, nil, nil)
		servedInTime(t, []endToEnd{{a, b}})
		for _, p := range blocked {
			kit.ReadExactly(t, p.b, bytes.Repeat([]byte("x"), behind)) // sending waits for no callback
			if _, err := p.b.Write([]byte("y")); err != nil {
				t.Fatal(err)
			}
			kit.ReadExactly(t, p.a, []byte("y"))
		}
		if n := ran.Load(); n != 0 {
			t.Errorf("%d callbacks ran beside or before the one that blocks", n)
		}
		for i, p := range blocked { // Close does not wait for them, Done does
			p.a.Close()
			select {
			case <-p.a.Done():
				t.Fatalf("stream %d is done while its callback blocks", i)
			default:
			}
		}
		close(release)
		for _, p := range blocked {
			kit.Within(t, "Done", p.a.Done())
		}
		if n := ran.Load(); n != streams*behind {
			t.Errorf("%d callbacks ran, want %d", n, streams*behind)
		}
	})
}

// A callback that begins 100,000 operations in one go: none is lost, all complete, in order, and Begin never blocks
// although the callbacks of what it begins wait for this one to return.
func TestMisbehave_ACallbackBeginsAHundredThousand(t *testing.T) {
	count := 100_000
	if kit.RaceEnabled || testing.Short() {
		count = 10_000
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, &netstream.Config{MaxPendingBytes: -1, MaxPendingWrites: -1}, nil)
		got := kit.GoRead(b)
		next, failed := 0, 0 // callbacks of a direction run one at a time
		done := make(chan struct{})
		begun := make(chan error, 1)
		kit.MustBegin(t, a, []byte("x"), func(ar netstream.AsyncResult) {
			for i := range count {
				_, err := a.BeginWrite([]byte{byte(i)}, 0, 1, func(ar netstream.AsyncResult) {
					if i != next || a.EndWrite(ar) != nil {
						failed++
					}
					if next++; next == count {
						close(done)
					}
				}, nil)
				if err != nil {
					begun <- err
					return
				}
			}
			begun <- nil
		})
		if err := kit.Within(t, "100,000 Begins in a callback", begun); err != nil {
			t.Fatal(err)
		}
		kit.Within(t, "their callbacks", done)
		if failed > 0 {
			t.Errorf("%d of %d failed or came out of order", failed, count)
		}
		kit.WantIdle(t, a)
		kit.CloseAndWait(t, a)
		o := kit.Within(t, "the peer reads to the end", got)
		if len(o.Data) != count+1 || o.Err != nil {
			t.Fatalf("the peer read %d bytes and %v", len(o.Data), o.Err)
		}
		for i, v := range o.Data[1:] {
			if v != byte(i) {
				t.Fatalf("byte %d is %d", i, v)
			}
		}
	})
}

// All at once: streams whose callbacks, by turns, end their goroutine, panic and recover, close their stream, close
// another one's, or begin more. Every callback runs exactly once and everything ends.
func TestMisbehave_AllKindsAtOnce(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		const streams, each = 16, 60
		pairs := make([]endToEnd, streams)
		for i := range pairs {
			pairs[i].a, pairs[i].b = c.Pair(t, nil, nil)
		}
		var begun, ran atomic.Int64
		var all sync.WaitGroup
		for i, p := range pairs {
			for _, s := range []*netstream.NetworkStream{p.a, p.b} {
				other := pairs[(i+1)%streams].a
				all.Go(func() {
					for k := range each {
						misbehaveOnce(t, s, other, i, k, &begun, &ran)
					}
				})
			}
		}
		kit.Within(t, "all Begins", kit.Async(func() error { all.Wait(); return nil }))
		for _, p := range pairs {
			kit.CloseAndWait(t, p.a)
			kit.CloseAndWait(t, p.b)
		}
		if begun.Load() != ran.Load() {
			t.Errorf("%d operations were begun, %d callbacks ran", begun.Load(), ran.Load())
		}
		for _, p := range pairs {
			kit.WantPending(t, p.a, 0, 0)
			kit.WantPending(t, p.b, 0, 0)
		}
		a, b := c.Pair(t, nil, nil)
		servedInTime(t, []endToEnd{{a, b}})
	})
}

// misbehaveOnce begins a write and a read with callbacks of kind i+k.
func misbehaveOnce(t *testing.T, s, other *netstream.NetworkStream, i, k int, begun, ran *atomic.Int64) {
	note := func(err error) { // on many goroutines
		var invalid *netstream.InvalidOperationError // closed, by a callback
		switch {
		case err == nil:
			begun.Add(1)
		case !errors.As(err, &invalid):
			t.Errorf("Begin: %v", err)
		}
	}
	misbehave := func(netstream.AsyncResult) {
		ran.Add(1)
		switch (i + k) % 6 {
		case 0:
			runtime.Goexit()
		case 1:
			defer func() { recover() }()
			panic("recovered")
		case 2:
			_, err := s.BeginWrite([]byte("more"), 0, 4, func(netstream.AsyncResult) { ran.Add(1) }, nil)
			note(err)
		case 3:
			s.SetDeadline(time.Unix(1, 0))
			s.SetDeadline(time.Time{})
		}
		if k > 40 && i%4 == 0 {
			s.Close()
			other.CloseWithError(errors.New("by somebody else's callback"))
		}
	}
	_, err := s.BeginWrite([]byte("x"), 0, 1, misbehave, nil)
	note(err)
	_, err = s.BeginRead(make([]byte, 1), 0, 1, misbehave, nil)
	note(err)
}

// A panic in a callback that nobody recovers is the program's panic: it dies with the text and exit status 2, whatever
// engine runs the callback.
func TestMisbehave_APanicIsTheProgramsOwn(t *testing.T) {
	if name := os.Getenv("NETSTREAM_TEST_PANIC"); name != "" {
		panicInCallback(t, name)
		return
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for _, direction := range []string{"read", "write"} {
			t.Run(direction, func(t *testing.T) {
				out, err := kit.Output(func() *exec.Cmd {
					cmd := exec.Command(exe, "-test.run", "^TestMisbehave_APanicIsTheProgramsOwn$", "-test.timeout", "1m")
					cmd.Env = append(os.Environ(), "NETSTREAM_TEST_PANIC="+c.Name+"/"+direction)
					return cmd
				})
				var exit *exec.ExitError
				if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "panic: out of a callback") {
					t.Fatalf("the program ended with %v, want exit status 2 and the panic's text:\n%s", err, out)
				}
			})
		}
	})
}

// panicInCallback is the child: it waits for its own end.
func panicInCallback(t *testing.T, name string) {
	for _, c := range kit.ConnCases {
		direction, ours := strings.CutPrefix(name, c.Name+"/")
		if !ours {
			continue
		}
		a, b := c.Pair(t, nil, nil)
		callback := func(netstream.AsyncResult) { panic("out of a callback") }
		if direction == "read" {
			kit.MustBeginRead(t, a, make([]byte, 1), callback)
			if _, err := b.Write([]byte("x")); err != nil {
				t.Fatal(err)
			}
		} else {
			kit.MustBegin(t, a, []byte("x"), callback)
		}
		select {}
	}
	t.Fatalf("no case for %q", name)
}
