package fanout_test

import (
	"context"
	"iter"
	"runtime"
	"slices"
	"sync"
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
