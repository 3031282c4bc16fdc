package netstream_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

func TestGroup_StreamsAndStats(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		if c.network == "pipe" {
			t.Skip("both ends of a pipe have one Config")
		}
		group := new(netstream.Group)
		a, aPeer := c.pair(t, &netstream.Config{Group: group}, nil)
		b, bPeer := c.pair(t, &netstream.Config{Group: group}, nil)
		must(t, writeAll(a, "four"))
		must(t, writeAll(b, "five5"))
		must(t, writeAll(aPeer, "abc"))
		readExactly(t, aPeer, []byte("four"))
		readExactly(t, bPeer, []byte("five5"))
		readExactly(t, a, []byte("abc"))
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
		within(t, "Done", a.Done())
		eventually(t, "a has left", func() bool { return group.Stats().Streams == 1 })
		check(1) // its sums stay
	})
}

func TestGroup_ShutdownDrainsEverything(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		group := new(netstream.Group)
		var want [][]byte
		var got []<-chan readOutcome
		var outcomes []<-chan error
		for i := range 5 {
			a, b := c.pair(t, &netstream.Config{Group: group}, nil)
			if c.network != "pipe" {
				small(t, a, b)
			}
			p := patterned(i, 1<<20)
			_, ch := begin(t, a, p)
			outcomes = append(outcomes, ch)
			want = append(want, p)
			if c.network == "pipe" { // both ends are in the group, so the peers have to be done before
				readExactly(t, b, p)
				continue
			}
			got = append(got, goRead(b))
		}
		ctx, cancel := context.WithTimeout(ctxNever, patience)
		defer cancel()
		must(t, group.Shutdown(ctx))
		for _, ch := range outcomes {
			must(t, within(t, "a write", ch))
		}
		for i, ch := range got {
			o := within(t, "a peer", ch)
			must(t, o.err)
			sameBytes(t, o.data, want[i])
		}
		eventually(t, "all have left", func() bool { return group.Stats().Streams == 0 })
		client, server := net2(t, c)
		defer client.Close()
		defer server.Close()
		if _, err := netstream.New(client, &netstream.Config{Group: group}); err == nil {
			t.Fatal("a stream joined a group that was shut down")
		}
		must(t, group.Shutdown(ctx)) // again
	})
}

// net2 is any connected pair.
func net2(t *testing.T, c connCase) (a, b net.Conn) {
	t.Helper()
	if c.network == "pipe" {
		return connCases[0].netPair(t)
	}
	return c.netPair(t)
}

func TestGroup_ShutdownCutsAtCtxAndSaysWhatWasLost(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		if c.network == "pipe" {
			t.Skip("both ends of a pipe have one Config")
		}
		group := new(netstream.Group)
		cfg := &netstream.Config{Group: group}
		a, aPeer := c.pair(t, cfg, nil)
		b, bPeer := c.pair(t, cfg, nil)
		quick, quickPeer := c.pair(t, cfg, nil)
		small(t, a, aPeer)
		small(t, b, bPeer)
		plug(t, a)
		plug(t, b)
		begin(t, b, make([]byte, 777))
		must(t, writeAll(quick, "all of it"))
		ctx, cancel := context.WithCancel(ctxNever)
		down := async(func() error { return group.Shutdown(ctx) })
		o := within(t, "the stream that had nothing pending ends at once", goRead(quickPeer))
		if o.err != nil || string(o.data) != "all of it" {
			t.Fatalf("%q, %v", o.data, o.err)
		}
		cancel()
		err := within(t, "Shutdown", down)
		var failure *netstream.IOError
		if !errors.As(err, &failure) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "2 of 3 streams") {
			t.Fatalf("Shutdown: %v", err)
		}
		want := 2*plugSize + 777 - int64(a.Stats().BytesWritten) - int64(b.Stats().BytesWritten)
		if failure.Unsent != want {
			t.Fatalf("Unsent=%d, want %d", failure.Unsent, want)
		}
		for _, peer := range []*netstream.NetworkStream{aPeer, bPeer} {
			o := within(t, "a peer sees the cut", goRead(peer))
			wantEndAfterCut(t, c, orEOF(o.err))
		}
	})
}

func TestGroup_ShutdownInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		group := new(netstream.Group)
		a, b := netstream.Pipe(&netstream.Config{Group: group})
		for _, s := range []*netstream.NetworkStream{a, b} { // both, or the end of one ends the other at once
			begin(t, s, patterned(1, 100_000))
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(ctxNever, 3*time.Second)
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
	must(t, err)
	accepting := async(func() error { _, err := ln.AcceptStream(); return err })
	must(t, group.Shutdown(ctxNever))
	wantAborted(t, "Accept", within(t, "Accept", accepting), "TcpListener")
}
