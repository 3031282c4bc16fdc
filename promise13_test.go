package netstream_test

import (
	"bytes"
	"errors"
	"net"
	"testing"

	"github.com/seed-9ac8cf60/netstream"
)

// wantRefused checks that Begin fails with ErrQueueFull, lends nothing and runs no callback.
func wantRefused(t testing.TB, s *netstream.NetworkStream, size int) {
	t.Helper()
	writes, bytes := s.Pending()
	p := make([]byte, size)
	ar, err := s.BeginWrite(p, 0, size, func(netstream.AsyncResult) { t.Error("the callback of a refused Begin ran") }, nil)
	wantQueueFull(t, err)
	if !ar.IsZero() {
		t.Fatal("a refused Begin returned a result")
	}
	_, err = s.BeginWritev([][]byte{p[:size/2], p[size/2:]}, nil, nil)
	wantQueueFull(t, err)
	wantPending(t, s, writes, bytes)
}

func wantQueueFull(t testing.TB, err error) {
	t.Helper()
	if !errors.Is(err, netstream.ErrQueueFull) {
		t.Fatalf("Begin on a full queue: %v, want ErrQueueFull", err)
	}
	var se *netstream.SocketError
	if !errors.As(err, &se) || se.ErrorCode() != 10055 {
		t.Fatalf("Begin on a full queue: %v (%+v), want 10055 in the chain", err, se)
	}
}

func TestPromise13_TheQueueIsBoundedInBytes(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, &netstream.Config{MaxPendingBytes: plugSize + 1000, MaxPendingWrites: -1}, nil)
		small(t, a, b)
		first, _, firstDone := plug(t, a)
		one, two := patterned(2, 400), patterned(3, 600)
		_, oneDone := begin(t, a, one)
		wantRefused(t, a, 601)
		_, twoDone := begin(t, a, two) // fills it to the last byte
		wantRefused(t, a, 1)
		wantPending(t, a, 3, plugSize+1000)
		readExactly(t, b, bytes.Join([][]byte{first, one, two}, nil))
		for _, ch := range []<-chan error{firstDone, oneDone, twoDone} {
			if err := within(t, "an admitted write", ch); err != nil {
				t.Fatal(err)
			}
		}
		wantIdle(t, a)
		if err := beginThen(a, one, func(netstream.AsyncResult) {}); err != nil {
			t.Fatalf("with room again: %v", err)
		}
		readExactly(t, b, one)
	})
}

func TestPromise13_TheQueueIsBoundedInWrites(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, &netstream.Config{MaxPendingBytes: -1, MaxPendingWrites: 3}, nil)
		small(t, a, b)
		first, _, _ := plug(t, a)
		one, two := patterned(2, 400_000), patterned(3, 1)
		begin(t, a, one)
		begin(t, a, two)
		wantRefused(t, a, 1)
		wantRefused(t, a, 0) // a write without bytes is a write
		readExactly(t, b, bytes.Join([][]byte{first, one, two}, nil))
		wantIdle(t, a)
	})
}

func TestPromise13_NoLimit(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, &netstream.Config{MaxPendingBytes: -1, MaxPendingWrites: -1}, nil)
		small(t, a, b)
		plug(t, a)
		huge := make([]byte, netstream.DefaultMaxPendingBytes)
		begin(t, a, huge)
		for range netstream.DefaultMaxPendingWrites + 1 {
			if _, err := a.BeginWrite(huge, 0, 1, nil, nil); err != nil {
				t.Fatal(err)
			}
		}
		wantPending(t, a, netstream.DefaultMaxPendingWrites+3,
			plugSize+netstream.DefaultMaxPendingBytes+netstream.DefaultMaxPendingWrites+1)
		a.Close()
		b.Close()
		wantIdle(t, a)
	})
}

func TestPromise13_OneWriteLargerThanEveryLimitGoesIntoAnEmptyQueue(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		eachStyle(t, func(t *testing.T, st style) {
			group := &netstream.Group{MaxPendingBytes: 10, MaxPendingWrites: 1}
			a, b := c.pair(t, &netstream.Config{MaxPendingBytes: 10, MaxPendingWrites: 1, Group: group}, nil)
			small(t, a, b)
			p := patterned(1, plugSize)
			written := async(func() error { return st.write(a, p) })
			hasInput(t, b)
			if st.async {
				wantRefused(t, a, 1)
			}
			readExactly(t, b, p)
			if err := within(t, "the large write", written); err != nil {
				t.Fatal(err)
			}
			wantIdle(t, a)
		})
	})
}

// A write with a callback counts until its callback starts: a program that cannot keep up with its callbacks is
// held back like one whose peer does not read.
func TestPromise13_AWriteCountsUntilItsCallbackStarts(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		group := &netstream.Group{}
		a, b := c.pair(t, &netstream.Config{MaxPendingWrites: 2, Group: group}, nil)
		started, release := make(chan struct{}), make(chan struct{})
		p := []byte("first")
		_, err := a.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) {
			if w, n := a.Pending(); w != 0 || n != 0 {
				t.Errorf("Pending in the callback: %d, %d", w, n)
			}
			close(started)
			<-release
			a.EndWrite(ar)
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
		within(t, "the first callback", started)
		one, oneDone := begin(t, a, []byte("22"))
		two, twoDone := begin(t, a, []byte("333"))
		eventually(t, "both are sent", func() bool { return one.IsCompleted() && two.IsCompleted() })
		wantPending(t, a, 2, 5) // although the kernel has every byte
		if st := group.Stats(); st.PendingWrites != 2 || st.PendingBytes != 5 {
			t.Fatalf("the group counts %d writes, %d bytes", st.PendingWrites, st.PendingBytes)
		}
		wantRefused(t, a, 1)
		close(release)
		for _, ch := range []<-chan error{oneDone, twoDone} {
			if err := within(t, "the callbacks behind", ch); err != nil {
				t.Fatal(err)
			}
		}
		wantIdle(t, a)
		// Without a callback it counts until it is complete, ended or not.
		ar, err := a.BeginWrite(p, 0, len(p), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, "it is sent", ar.IsCompleted)
		wantIdle(t, a)
		if st := group.Stats(); st.PendingWrites != 0 || st.PendingBytes != 0 {
			t.Fatalf("the group counts %d writes, %d bytes", st.PendingWrites, st.PendingBytes)
		}
		readExactly(t, b, []byte("first22333first"))
	})
}

func TestPromise13_DropOldestDropsWhatHasNotStarted(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, &netstream.Config{MaxPendingWrites: 4, Overflow: netstream.OverflowDropOldest}, nil)
		small(t, a, b)
		first, started, firstDone := plug(t, a)
		const count = 10
		messages := make([][]byte, count)
		outcomes := make([]<-chan error, count)
		for i := range count {
			messages[i] = record(i, i, 500)
			_, outcomes[i] = begin(t, a, messages[i])
		}
		want := append([]byte(nil), first...)
		for i := range count {
			if i < count-3 {
				err := within(t, "a dropped write", outcomes[i])
				wantFailure(t, "a dropped write", err, 0, false, netstream.ErrDropped, netstream.CodeOperationAborted)
				continue
			}
			want = append(want, messages[i]...)
		}
		if started.IsCompleted() {
			t.Fatal("a write that had started was dropped")
		}
		if st := a.Stats(); st.Dropped != count-3 || st.PendingWrites != 4 {
			t.Fatalf("Stats: %d dropped, %d pending", st.Dropped, st.PendingWrites)
		}
		readExactly(t, b, want)
		for _, ch := range append(outcomes[count-3:], firstDone) {
			if err := within(t, "a write that was kept", ch); err != nil {
				t.Fatal(err)
			}
		}
		wantIdle(t, a)
	})
}

// Dropping ends as soon as there is room, and does not begin when it would not make room.
func TestPromise13_DropOldestDropsNoMoreThanHelps(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		group := &netstream.Group{MaxPendingBytes: plugSize + 1000}
		for _, where := range []struct {
			name string
			cfg  *netstream.Config
		}{
			{"stream", &netstream.Config{MaxPendingBytes: plugSize + 1000, Overflow: netstream.OverflowDropOldest}},
			{"group", &netstream.Config{Group: group, Overflow: netstream.OverflowDropOldest}},
		} {
			t.Run(where.name, func(t *testing.T) {
				a, b := c.pair(t, where.cfg, nil)
				small(t, a, b)
				first, _, _ := plug(t, a)
				_, one := begin(t, a, make([]byte, 300))
				_, two := begin(t, a, make([]byte, 300))
				three := patterned(3, 300)
				begin(t, a, three)
				wantRefused(t, a, 1001) // dropping all three would not make room for that
				wantPending(t, a, 4, plugSize+900)
				last := patterned(4, 550)
				begin(t, a, last)
				for _, ch := range []<-chan error{one, two} {
					wantFailure(t, "dropped", within(t, "dropped", ch), 0, false, netstream.ErrDropped)
				}
				wantPending(t, a, 3, plugSize+850)
				readExactly(t, b, bytes.Join([][]byte{first, three, last}, nil))
				wantIdle(t, a)
			})
		}
	})
}

func TestPromise13_OverflowCloseDisconnectsTheSlowConsumer(t *testing.T) {
	eachConn(t, func(t *testing.T, c connCase) {
		a, b := c.pair(t, &netstream.Config{MaxPendingWrites: 2, Overflow: netstream.OverflowClose}, nil)
		small(t, a, b)
		first, _, firstDone := plug(t, a)
		_, behind := begin(t, a, []byte("behind"))
		_, reading := beginRead(t, a, 10)
		p := []byte("too much")
		_, err := a.BeginWrite(p, 0, len(p), func(netstream.AsyncResult) { t.Error("the callback of a refused Begin ran") }, nil)
		wantQueueFull(t, err)
		err = within(t, "the write on its way", firstDone)
		n := ioFailure(t, err).N
		wantFailure(t, "the write on its way", err, int64(a.Stats().BytesWritten), true, netstream.ErrQueueFull)
		wantAborted(t, "the write on its way", err, "NetworkStream")
		err = within(t, "the write behind", behind)
		wantFailure(t, "the write behind", err, 0, false, netstream.ErrQueueFull, net.ErrClosed)
		err = within(t, "the read", reading).err
		wantFailure(t, "the read", err, 0, false, netstream.ErrQueueFull, net.ErrClosed)
		within(t, "Done", a.Done())
		if !errors.Is(a.Err(), netstream.ErrQueueFull) {
			t.Fatalf("Err() = %v", a.Err())
		}
		wantIdle(t, a)
		o := within(t, "the peer sees the cut", goRead(b))
		wantEndAfterCut(t, c, orEOF(o.err))
		if !c.tcp() {
			sameBytes(t, o.data, first[:n]) // a reset of TCP may take with it what was not read
		}
	})
}
