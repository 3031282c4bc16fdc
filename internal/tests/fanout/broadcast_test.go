package fanout_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// refusals collects what the function given to Broadcast is told.
type refusals map[*netstream.NetworkStream][]error

func (r refusals) note(s *netstream.NetworkStream, err error) { r[s] = append(r[s], err) }

// pairs returns so many streams and their peers.
func pairs(t *testing.T, c kit.ConnKind, count int, cfg *netstream.Config) (streams, peers []*netstream.NetworkStream) {
	t.Helper()
	for range count {
		a, b := c.Pair(t, cfg, nil)
		streams, peers = append(streams, a), append(peers, b)
	}
	return streams, peers
}

func TestBroadcast_ReachesEveryStreamOfTheSequence(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		streams, peers := pairs(t, c, 30, nil)
		twice := append(slices.Clone(streams), streams[3])
		refused := refusals{}
		if n := netstream.Broadcast([]byte("hello"), slices.Values(twice), refused.note, nil); n != 31 || len(refused) != 0 {
			t.Errorf("%d took it, refused: %v", n, refused)
		}
		if n := netstream.Broadcast([]byte("!"), slices.Values(streams)); n != 30 {
			t.Errorf("%d took it", n)
		}
		for i, b := range peers {
			if want := "hello!"; i == 3 {
				kit.ReadExactly(t, b, []byte("hello"+want))
			} else {
				kit.ReadExactly(t, b, []byte(want))
			}
		}
		if n := netstream.Broadcast([]byte("x"), slices.Values[[]*netstream.NetworkStream](nil)); n != 0 {
			t.Errorf("%d of none", n)
		}
		if n := netstream.Broadcast([]byte{}, slices.Values(streams)); n != 30 {
			t.Errorf("%d took an empty message", n)
		}
	})
}

// Each stream that does not take the message is named with its reason, when the sequence is over; the others have it.
func TestBroadcast_NamesThoseThatRefuse(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		good, goodPeer := c.Pair(t, nil, nil)
		closed, _ := c.Pair(t, nil, nil)
		closed.Close()
		readOnly, _ := c.Pair(t, &netstream.Config{Access: netstream.AccessRead}, nil)
		full, fullPeer := c.Pair(t, &netstream.Config{MaxPendingWrites: 1}, nil)
		kit.SmallBuffers(t, full, fullPeer)
		kit.Must(t, full.Post(make([]byte, kit.PlugSize)))
		ended, _ := c.Pair(t, nil, nil)
		kit.Must(t, ended.CloseWrite())
		over := false
		refused := refusals{}
		sequence := func(yield func(*netstream.NetworkStream) bool) {
			for _, s := range []*netstream.NetworkStream{closed, nil, readOnly, full, good, ended, nil} {
				if !yield(s) {
					t.Error("the sequence was left early")
				}
			}
			over = true
		}
		n := netstream.Broadcast([]byte("hello"), sequence, func(s *netstream.NetworkStream, err error) {
			if !over {
				t.Error("told before the sequence was over")
			}
			refused.note(s, err)
		})
		if n != 1 || len(refused) != 5 {
			t.Errorf("%d took it, %d refused", n, len(refused))
		}
		for s, check := range map[*netstream.NetworkStream]kit.Check{
			closed: kit.DisposedStream, readOnly: kit.InvalidOperation, nil: kit.NullArgument("streams"), ended: kit.Code(netstream.CodeShutdown),
		} {
			for _, err := range append(refused[s], nil)[:max(1, len(refused[s]))] {
				check(t, err)
			}
		}
		if len(refused[nil]) != 2 || len(refused[full]) != 1 || refused[full][0] != netstream.ErrQueueFull {
			t.Errorf("%v", refused)
		}
		kit.ReadExactly(t, goodPeer, []byte("hello"))
	})
}

func TestBroadcast_BadInput(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		group := new(netstream.Group)
		a, _ := c.Pair(t, &netstream.Config{Group: group}, nil)
		for name, broadcast := range map[string]func(f func(*netstream.NetworkStream, error)) int{
			"Broadcast": func(f func(*netstream.NetworkStream, error)) int {
				return netstream.Broadcast(nil, slices.Values([]*netstream.NetworkStream{a}), f)
			},
			"Group.Broadcast": func(f func(*netstream.NetworkStream, error)) int { return group.Broadcast(nil, f) },
		} {
			refused := refusals{}
			if n := broadcast(refused.note); n != 0 || len(refused[a]) != 1 {
				t.Errorf("%s(nil): %d took it, %v", name, n, refused)
				continue
			}
			kit.NullArgument("p")(t, refused[a][0])
			if n := broadcast(nil); n != 0 {
				t.Errorf("%s(nil) without anybody to be told: %d took it", name, n)
			}
		}
		if st := a.Stats(); st.Posts != 0 || st.PendingWrites != 0 {
			t.Errorf("%+v", st)
		}
		defer func() {
			if recover() == nil {
				t.Error("a nil sequence did not panic")
			}
		}()
		netstream.Broadcast([]byte("x"), nil)
	})
}

// A sequence that panics, or ends its goroutine, leaves nothing half posted: those before that point send.
func TestBroadcast_TheSequenceGivesUp(t *testing.T) {
	ways := map[string]func(){"panic": func() { panic("the sequence's own") }, "Goexit": runtime.Goexit}
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		for name, giveUp := range ways {
			t.Run(name, func(t *testing.T) {
				streams, peers := pairs(t, c, 4, nil)
				told := false
				over := make(chan any)
				go func() {
					defer func() { over <- recover() }()
					netstream.Broadcast([]byte("hello"), func(yield func(*netstream.NetworkStream) bool) {
						yield(streams[0])
						yield(nil)
						yield(streams[1])
						giveUp()
					}, func(*netstream.NetworkStream, error) { told = true })
				}()
				if r := kit.Within(t, "the end", over); (r != nil) != (name == "panic") {
					t.Errorf("recovered %v", r)
				}
				if told {
					t.Error("refused was called")
				}
				netstream.Broadcast([]byte("again"), slices.Values(streams))
				for i, b := range peers {
					want := "again"
					if i < 2 {
						want = "helloagain"
					}
					kit.ReadExactly(t, b, []byte(want))
				}
			})
		}
	})
}

// The sequence and refused may call anything, on the streams of the broadcast too: no lock is held.
func TestBroadcast_TheSequenceCallsAnything(t *testing.T) {
	kit.EachKind(t, func(t *testing.T, c kit.ConnKind) {
		group := new(netstream.Group)
		streams, peers := pairs(t, c, 5, &netstream.Config{Group: group})
		n := netstream.Broadcast([]byte("1"), func(yield func(*netstream.NetworkStream) bool) {
			for i, s := range streams {
				if !yield(s) {
					return
				}
				kit.Must(t, s.Drain(context.Background())) // who waits sends
				kit.Must(t, s.Post([]byte("2")))
				group.Broadcast([]byte("3"))
				netstream.Broadcast([]byte("4"), slices.Values(streams[i:i+1]))
				if i == 4 {
					s.Close()
				}
			}
		}, func(s *netstream.NetworkStream, err error) { t.Error(err) })
		if n != 5 {
			t.Errorf("%d took it", n)
		}
		kit.ReadExactly(t, peers[0], []byte("1234"+"3333"))
		kit.ReadExactly(t, peers[3], []byte("333"+"1234"+"3"))
		streams[0].Close()
		n = netstream.Broadcast([]byte("5"), slices.Values(streams), func(s *netstream.NetworkStream, err error) {
			s.Close()
			group.Broadcast([]byte("6"))
			for range group.Streams() {
			}
		})
		if n != 3 {
			t.Errorf("%d took it", n)
		}
		kit.ReadExactly(t, peers[1], []byte("3"+"1234"+"333"+"566"))
	})
}

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

// Loops are woken in batches, and none is forgotten when there are more streams than a batch holds.
func TestBroadcast_ManyStreams(t *testing.T) {
	count := 10_000
	if kit.RaceEnabled || testing.Short() {
		count = 5_000
	}
	var streams, peers []*netstream.NetworkStream
	for range count {
		a, b := netstream.Pipe(nil)
		defer b.Close()
		defer a.Close()
		streams, peers = append(streams, a), append(peers, b)
	}
	for range 3 {
		if n := netstream.Broadcast([]byte("x"), slices.Values(streams)); n != count {
			t.Errorf("%d took it", n)
		}
	}
	for _, b := range peers {
		kit.ReadExactly(t, b, []byte("xxx"))
	}
}

// Streams that close while the broadcast passes take it or refuse it.
func TestBroadcast_StreamsCloseMeanwhile(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		for range 20 {
			group := new(netstream.Group)
			kind := kit.ConnKind{ConnCase: c}
			streams, _ := pairs(t, kind, 6, &netstream.Config{Group: group})
			var all sync.WaitGroup
			var casts = []func(p []byte, f func(*netstream.NetworkStream, error)) int{
				func(p []byte, f func(*netstream.NetworkStream, error)) int { return group.Broadcast(p, f) },
				func(p []byte, f func(*netstream.NetworkStream, error)) int {
					return netstream.Broadcast(p, slices.Values(streams), f)
				},
				func(p []byte, f func(*netstream.NetworkStream, error)) int {
					return netstream.Broadcast(p, iter.Seq[*netstream.NetworkStream](group.Streams()), f)
				},
			}
			for _, cast := range casts {
				all.Go(func() {
					for range 20 {
						refused := 0
						taken := cast([]byte("x"), func(s *netstream.NetworkStream, err error) {
							if refused++; c.Network != "pipe" && s.CanWrite() {
								t.Error(err)
							}
						})
						if taken+refused > 12 {
							t.Errorf("%d and %d of 12", taken, refused)
						}
					}
				})
			}
			for _, s := range streams {
				all.Go(func() { s.Close() })
			}
			all.Wait()
			var posts uint64
			for _, s := range streams {
				kit.Within(t, "Done", s.Done())
				st := s.Stats()
				posts += st.Posts
				if st.BytesWritten+st.LostBytes != st.Posts {
					t.Errorf("%+v", st)
				}
			}
			if st := group.Stats(); st.Posts < posts {
				t.Errorf("the group counts %d posts, its streams %d", st.Posts, posts)
			}
		}
	})
}
