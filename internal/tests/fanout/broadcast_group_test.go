package fanout_test

import (
	"errors"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// newcomers returns what makes a stream of the group and its peer. Over TLS the stream joins in its handshake: one that begins
// it later would be given broadcasts in clear, and begin it with these pending.
func newcomers(t *testing.T, c kit.ConnKind, group *netstream.Group) func() (a, b *netstream.NetworkStream) {
	if !c.TLS() {
		return func() (a, b *netstream.NetworkStream) { return c.Pair(t, &netstream.Config{Group: group}, nil) }
	}
	client, server := kit.TLSConfigs()
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", c.Config(&netstream.Config{TLS: server}))
	kit.Must(t, err)
	t.Cleanup(func() { ln.Close() })
	return func() (a, b *netstream.NetworkStream) {
		accepted := make(chan *netstream.NetworkStream, 1)
		go func() {
			b, err := ln.AcceptStream()
			if err != nil {
				t.Error(err)
			}
			accepted <- b
		}()
		a, err := netstream.Dial(t.Context(), "tcp", ln.Addr().String(), c.Config(&netstream.Config{TLS: client, Group: group}))
		kit.Must(t, err)
		return a, <-accepted
	}
}

// Broadcasts of one group arrive in the same order on all its streams, wherever they come from, also while streams come and
// go. A stream that joins meanwhile gets the broadcasts from some moment on.
func TestGroupBroadcast_SameOrderEverywhere(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		if c.Network == "pipe" {
			t.Skip("both ends of a pipe have one Config: what one sends the other one's group gets")
		}
		const publishers, each, members = 4, 100, 8
		group := new(netstream.Group)
		_, peers := pairs(t, c, members, &netstream.Config{Group: group})
		var all, others sync.WaitGroup
		var stop atomic.Bool
		newcomer := newcomers(t, c, group)
		others.Go(func() {
			for !stop.Load() {
				a, b := newcomer()
				runtime.Gosched()
				a.Close()
				b.Close()
			}
		})
		for w := range publishers {
			all.Go(func() {
				for i := range each {
					n := group.Broadcast(framed(w*each+i, i), func(s *netstream.NetworkStream, err error) {
						if s.CanWrite() { // else it has been closed: it is one that came and went
							t.Error(err)
						}
					})
					if n < members || n > members+1 {
						t.Errorf("%d took it", n)
					}
				}
			})
		}
		first := readFrames(t, peers[0], publishers*each)
		for _, b := range peers[1:] {
			if numbers := readFrames(t, b, publishers*each); !slices.Equal(numbers, first) {
				t.Fatal("another order on another stream")
			}
		}
		all.Wait()
		stop.Store(true)
		others.Wait()
	})
}

// A group's broadcast goes to its members only, and those that were forgotten are not among them.
func TestGroupBroadcast_Members(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("both ends of a pipe have one Config")
		}
		group := new(netstream.Group)
		if n := group.Broadcast([]byte("x")); n != 0 {
			t.Errorf("%d of none took it", n)
		}
		inside, peer := c.Pair(t, &netstream.Config{Group: group}, nil)
		outside, outsidePeer := c.Pair(t, &netstream.Config{Group: new(netstream.Group)}, nil)
		kit.ForgetStream(t, c, group, 1)
		runtime.GC()
		if n := group.Broadcast([]byte("hello")); n != 1 && n != 2 {
			t.Errorf("%d took it", n)
		}
		kit.Must(t, outside.Post([]byte("else")))
		kit.ReadExactly(t, peer, []byte("hello"))
		kit.ReadExactly(t, outsidePeer, []byte("else"))
		kit.Eventually(t, "the forgotten one is collected", func() bool { runtime.GC(); return group.Stats().Streams == 1 })
		if n := group.Broadcast([]byte("x")); n != 1 {
			t.Errorf("%d took it", n)
		}
		inside.Close()
		kit.Within(t, "Done", inside.Done())
		if n := group.Broadcast([]byte("x")); n != 0 {
			t.Errorf("%d took it after all have left", n)
		}
	})
}

// Whatever a post leads to, nothing of it runs while the group's members are held still: a stream that is closed for being
// slow, callbacks of writes that were dropped, and waits for room leave the group, or use it, without a deadlock.
func TestGroupBroadcast_WhatAPostLeadsTo(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		if c.Network == "pipe" {
			t.Skip("both ends of a pipe have one Config")
		}
		group := new(netstream.Group)
		slow, slowPeer := c.Pair(t, &netstream.Config{Group: group, MaxPendingWrites: 1, Overflow: netstream.OverflowClose}, nil)
		kit.SmallBuffers(t, slow, slowPeer)
		drops, dropsPeer := c.Pair(t, &netstream.Config{Group: group, MaxPendingWrites: 2, Overflow: netstream.OverflowDropOldest}, nil)
		kit.SmallBuffers(t, drops, dropsPeer)
		kit.Plug(t, drops)
		kit.Must(t, slow.Post(make([]byte, kit.PlugSize)))
		dropped := make(chan int, 1)
		kit.MustBegin(t, drops, []byte("dropped"), func(ar netstream.AsyncResult) {
			if err := drops.EndWrite(ar); !errors.Is(err, netstream.ErrDropped) {
				t.Error(err)
			}
			dropped <- group.Broadcast([]byte("from a callback"))
		})
		gone := make(chan int, 1)
		slow.AfterDone(func(cause error) {
			if cause != netstream.ErrQueueFull {
				t.Error(cause)
			}
			gone <- group.Broadcast([]byte("from AfterDone"))
		})
		var refusedBy *netstream.NetworkStream
		n := group.Broadcast([]byte("hello"), func(s *netstream.NetworkStream, err error) {
			if refusedBy = s; err != netstream.ErrQueueFull {
				t.Error(err)
			}
		})
		if n != 1 || refusedBy != slow {
			t.Errorf("%d took it", n)
		}
		if n := kit.Within(t, "the callback", dropped); n != 1 {
			t.Errorf("%d took what the callback said", n)
		}
		if n := kit.Within(t, "AfterDone", gone); n != 1 {
			t.Errorf("%d took what AfterDone said", n)
		}
	})
}
