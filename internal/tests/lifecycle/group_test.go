package lifecycle_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

func TestGroup_StreamsAndStats(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("both ends of a pipe have one Config")
		}
		group := new(netstream.Group)
		a, aPeer := c.Pair(t, &netstream.Config{Group: group}, nil)
		b, bPeer := c.Pair(t, &netstream.Config{Group: group}, nil)
		kit.Must(t, kit.WriteAll(a, "four"))
		kit.Must(t, kit.WriteAll(b, "five5"))
		kit.Must(t, kit.WriteAll(aPeer, "abc"))
		kit.ReadExactly(t, aPeer, []byte("four"))
		kit.ReadExactly(t, bPeer, []byte("five5"))
		kit.ReadExactly(t, a, []byte("abc"))
		found := map[*netstream.NetworkStream]int{}
		for s := range group.Streams() {
			found[s]++
		}
		if len(found) != 2 || found[a] != 1 || found[b] != 1 {
			t.Fatalf("Streams: %v", found)
		}
		for range group.Streams() {
			break // it can be left early
		}
		check := func(streams int) {
			t.Helper()
			st := group.Stats()
			if st.Streams != streams || st.BytesWritten != 9 || st.BytesRead != 3 || st.WriteOps != 2 || st.ReadOps != 1 {
				t.Fatalf("Stats: %+v", st)
			}
		}
		check(2)
		a.Close()
		kit.Within(t, "Done", a.Done())
		kit.Eventually(t, "a has left", func() bool { return group.Stats().Streams == 1 })
		check(1) // its sums stay
	})
}

func TestGroup_ShutdownDrainsEverything(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		group := new(netstream.Group)
		var want [][]byte
		var got []<-chan kit.ReadOutcome
		var outcomes []<-chan error
		for i := range 5 {
			a, b := c.Pair(t, &netstream.Config{Group: group}, nil)
			if c.Network != "pipe" {
				kit.SmallBuffers(t, a, b)
			}
			p := kit.Patterned(i, 1<<20)
			_, ch := kit.Begin(t, a, p)
			outcomes = append(outcomes, ch)
			want = append(want, p)
			if c.Network == "pipe" { // both ends are in the group, so the peers have to be done before
				kit.ReadExactly(t, b, p)
				continue
			}
			got = append(got, kit.GoRead(b))
		}
		ctx, cancel := context.WithTimeout(kit.CtxNever, kit.Patience)
		defer cancel()
		kit.Must(t, group.Shutdown(ctx))
		for _, ch := range outcomes {
			kit.Must(t, kit.Within(t, "a write", ch))
		}
		for i, ch := range got {
			o := kit.Within(t, "a peer", ch)
			kit.Must(t, o.Err)
			kit.SameBytes(t, o.Data, want[i])
		}
		kit.Eventually(t, "all have left", func() bool { return group.Stats().Streams == 0 })
		client, server := net2(t, c)
		defer client.Close()
		defer server.Close()
		if _, err := netstream.New(client, &netstream.Config{Group: group}); err == nil {
			t.Fatal("a stream joined a group that was shut down")
		}
		kit.Must(t, group.Shutdown(ctx)) // again
	})
}

// net2 is any connected pair.
func net2(t *testing.T, c kit.ConnCase) (a, b net.Conn) {
	t.Helper()
	if c.Network == "pipe" {
		return kit.ConnCases[0].NetPair(t)
	}
	return c.NetPair(t)
}

func TestGroup_ShutdownCutsAtCtxAndSaysWhatWasLost(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("both ends of a pipe have one Config")
		}
		group := new(netstream.Group)
		cfg := &netstream.Config{Group: group}
		a, aPeer := c.Pair(t, cfg, nil)
		b, bPeer := c.Pair(t, cfg, nil)
		quick, quickPeer := c.Pair(t, cfg, nil)
		kit.SmallBuffers(t, a, aPeer)
		kit.SmallBuffers(t, b, bPeer)
		kit.Plug(t, a)
		kit.Plug(t, b)
		kit.Begin(t, b, make([]byte, 777))
		kit.Must(t, kit.WriteAll(quick, "all of it"))
		ctx, cancel := context.WithCancel(kit.CtxNever)
		down := kit.Async(func() error { return group.Shutdown(ctx) })
		o := kit.Within(t, "the stream that had nothing pending ends at once", kit.GoRead(quickPeer))
		if o.Err != nil || string(o.Data) != "all of it" {
			t.Fatalf("%q, %v", o.Data, o.Err)
		}
		cancel()
		err := kit.Within(t, "Shutdown", down)
		var failure *netstream.IOError
		if !errors.As(err, &failure) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 of 3 streams") {
			t.Fatalf("Shutdown: %v", err)
		}
		want := 2*kit.PlugSize + 777 - int64(a.Stats().BytesWritten) - int64(b.Stats().BytesWritten)
		if failure.Unsent != want {
			t.Fatalf("Unsent=%d, want %d", failure.Unsent, want)
		}
		for _, peer := range []*netstream.NetworkStream{aPeer, bPeer} {
			o := kit.Within(t, "a peer sees the cut", kit.GoRead(peer))
			kit.WantEndAfterCut(t, c, kit.OrEOF(o.Err))
		}
	})
}

func TestGroup_ShutdownInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group := new(netstream.Group)
		a, b := netstream.Pipe(&netstream.Config{Group: group})
		for _, s := range []*netstream.NetworkStream{a, b} { // both, or the end of one ends the other at once
			kit.Begin(t, s, kit.Patterned(1, 100_000))
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(kit.CtxNever, 3*time.Second)
		defer cancel()
		begins := time.Now()
		err := group.Shutdown(ctx)
		if waited := time.Since(begins); waited != 3*time.Second {
			t.Fatalf("it waited %v", waited)
		}
		var failure *netstream.IOError
		if !errors.As(err, &failure) || failure.Unsent != 2*(100_000-64<<10) || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("Shutdown: %v", err)
		}
		<-a.Done()
		<-b.Done()
	})
}

func TestGroup_ShutdownStopsListeners(t *testing.T) {
	group := new(netstream.Group)
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{Group: group})
	kit.Must(t, err)
	accepting := kit.Async(func() error { _, err := ln.AcceptStream(); return err })
	kit.Must(t, group.Shutdown(kit.CtxNever))
	kit.WantAborted(t, "Accept", kit.Within(t, "Accept", accepting), "TcpListener")
}
