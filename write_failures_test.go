package netstream

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"testing/synctest"
	"time"
)

// The first failure is kept, of one step as of all; what was taken back is the first for Drain only; a post is no failed write.
func TestWriteFailures_TheFirstIsKept(t *testing.T) {
	canceled, dropped := &IOError{Err: errCanceled}, &IOError{Err: ErrDropped}
	one, two := &IOError{Err: errors.New("one")}, &IOError{Err: errors.New("two")}
	s, peer := Pipe(nil)
	defer s.Close()
	defer peer.Close()
	c := s.counters
	for _, step := range []struct {
		failures []error
		writes   uint64 // of each
		first    error
		lost     error
		count    uint64
	}{
		{[]error{canceled, dropped}, 1, canceled, nil, 0},
		{[]error{dropped, one, two}, 0, canceled, one, 0}, // posts
		{[]error{one, two, canceled}, 1, canceled, one, 2},
		{[]error{two}, 1, canceled, one, 3},
	} {
		var now writeFailures
		for _, e := range step.failures {
			now.note(e, step.writes)
		}
		if now.first != step.failures[0] {
			t.Errorf("of %v the first is %v", step.failures, now.first)
		}
		c.noteFailures(s, &now)
		f := c.failures
		if f.first != step.first || !errors.Is(f.lost, step.lost) || (f.lost == nil) != (step.lost == nil) || f.count != step.count {
			t.Errorf("after %v: first %v, lost %v, %d failed; want %v, %v, %d", step.failures, f.first, f.lost, f.count, step.first, step.lost, step.count)
		}
	}
}

// A sum of Stats has every counter in it. The age is that of the older one, the error the first.
func TestStats_ASumHasEverything(t *testing.T) {
	one, two := errors.New("one"), errors.New("two")
	var a, b Stats
	fill := func(st *Stats, n int64, age time.Duration, err error) {
		v := reflect.ValueOf(st).Elem()
		for i := range v.NumField() {
			switch f := v.Field(i); {
			case f.CanInt():
				f.SetInt(n + int64(i))
			case f.CanUint():
				f.SetUint(uint64(n) + uint64(i))
			}
		}
		st.OldestPending, st.WriteErr = age, err
	}
	fill(&a, 100, time.Hour, one)
	fill(&b, 1000, time.Minute, two)
	a.add(b)
	v := reflect.ValueOf(a)
	for i := range v.NumField() {
		name, want := v.Type().Field(i).Name, int64(1100+2*i)
		f := v.Field(i)
		if name != "OldestPending" && (f.CanInt() && f.Int() != want || f.CanUint() && f.Uint() != uint64(want)) {
			t.Errorf("%s is %v, want %d", name, f, want)
		}
	}
	if a.OldestPending != time.Hour || a.WriteErr != one {
		t.Errorf("the oldest is %v old, and the error %v", a.OldestPending, a.WriteErr)
	}
	var none Stats
	none.add(b)
	if none.OldestPending != time.Minute || none.WriteErr != two {
		t.Errorf("the oldest is %v old, and the error %v", none.OldestPending, none.WriteErr)
	}
}

// What is lost counts to the byte: once the stream is closed all that was not sent, while it drains not what was taken back,
// and before that nothing.
func TestLife_WhatCountsAsLost(t *testing.T) {
	for _, k := range []struct {
		state streamState
		want  int64
	}{{streamOpen, 0}, {streamDraining, 2 * 1}, {streamClosed, 2 * (1 + 10 + 100)}} {
		l := life{stream: k.state, end: new(endings)}
		for range 2 {
			l.countLost(&writeEffects{lost: 1, canceled: 10})
			if k.state == streamClosed {
				l.countLost(&writeEffects{shutOut: 100})
			}
		}
		if l.end.lost != k.want {
			t.Errorf("state %d: %d bytes are lost, want %d", k.state, l.end.lost, k.want)
		}
	}
}

// Drain tells of a write that was taken back, although WriteErr does not.
func TestDrain_TellsOfWhatWasTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(nil)
		defer b.Close()
		defer a.Close()
		if _, err := a.BeginWrite(make([]byte, 100<<10), 0, 100<<10, nil, nil); err != nil { // the pipe holds 64 KiB
			t.Fatal(err)
		}
		synctest.Wait()
		ar, err := a.BeginWrite([]byte("waits"), 0, 5, func(AsyncResult) {}, nil)
		if err != nil || !a.Cancel(ar) {
			t.Fatal("it was not taken back: ", err)
		}
		go func() {
			buf := make([]byte, 100<<10)
			for n := 0; n < len(buf); {
				m, err := b.Read(buf[n:])
				if err != nil {
					return
				}
				n += m
			}
		}()
		if err := a.Drain(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("Drain: %v", err)
		}
		if err := a.WriteErr(); err != nil {
			t.Errorf("WriteErr: %v", err)
		}
		synctest.Wait()
		if writes, bytes := a.Pending(); writes != 0 || bytes != 0 { // its room was free before its callback started
			t.Errorf("%d writes of %d bytes are pending", writes, bytes)
		}
	})
}

// What is pushed is no answer: only the first write since something was read is, and a Post is a write.
func TestSender_OneReadHasOneAnswer(t *testing.T) {
	a, b := Pipe(nil)
	defer b.Close()
	defer a.Close()
	answers := func() bool {
		t.Helper()
		a.mu.Lock()
		answers := a.write.unanswered
		a.mu.Unlock()
		if _, err := a.BeginWrite([]byte("!"), 0, 1, nil, nil); err != nil {
			t.Fatal(err)
		}
		return answers
	}
	hear := func() {
		t.Helper()
		if _, err := b.Write([]byte("?")); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Read(make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
	hear()
	if first, second := answers(), answers(); !first || second {
		t.Errorf("the first write answers: %t, the second: %t", first, second)
	}
	hear()
	if err := a.Post([]byte("!")); err != nil {
		t.Fatal(err)
	}
	if answers() {
		t.Error("a write behind a post answers")
	}
}

// Who waits for room in line is not overtaken, however little is asked for: not by a WaitRoom, and not by a post.
func TestRoom_NobodyOvertakesWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const limit = 100 << 10
		a, b := Pipe(&Config{MaxPendingBytes: limit + 10})
		defer b.Close()
		defer a.Close()
		if _, err := a.BeginWrite(make([]byte, limit), 0, limit, nil, nil); err != nil { // 10 bytes are left
			t.Fatal(err)
		}
		go a.Write(make([]byte, 20))
		synctest.Wait()
		ar, err := a.BeginWaitRoom(1, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if ar.IsCompleted() {
			t.Error("a WaitRoom has overtaken a Write")
		}
		if err := a.Post([]byte("x")); err != ErrQueueFull {
			t.Errorf("a post has overtaken a Write: %v", err)
		}
	})
}

// BeginWaitRoom that finds room says so in every copy of its result.
func TestBeginWaitRoom_SynchronousInEveryCopy(t *testing.T) {
	a, b := Pipe(nil)
	defer b.Close()
	defer a.Close()
	called := make(chan bool, 1)
	ar, err := a.BeginWaitRoom(1, func(ar AsyncResult) { called <- ar.CompletedSynchronously() }, nil)
	if err != nil || !ar.CompletedSynchronously() {
		t.Fatalf("%v, synchronous=%t", err, ar.CompletedSynchronously())
	}
	if !<-called {
		t.Error("the callback is told otherwise")
	}
	if err := a.WaitRoom(t.Context(), 0); err != nil {
		t.Error("WaitRoom of nothing: ", err)
	}
	if writes, bytes := a.Pending(); writes != 0 || bytes != 0 {
		t.Errorf("%d writes of %d bytes are pending", writes, bytes)
	}
}

// A group looks only at streams where somebody waits for its room, and keeps none alive.
func TestGroup_ForgetsWhoGotRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Group{MaxPendingWrites: 1}
		a, b := Pipe(&Config{Group: g})
		defer b.Close()
		defer a.Close()
		known := func() (waiting int, wanted bool) {
			g.limits.mu.Lock()
			defer g.limits.mu.Unlock()
			return len(g.limits.waiting), g.limits.wanted.Load()
		}
		if _, err := a.BeginWrite(make([]byte, 100<<10), 0, 100<<10, nil, nil); err != nil { // the pipe holds 64 KiB
			t.Fatal(err)
		}
		room := make(chan error, 2)
		for range 2 {
			go func() { room <- a.WaitRoom(t.Context(), 1) }()
		}
		synctest.Wait()
		gives, giveUp := context.WithCancel(t.Context())
		gone := make(chan error, 1)
		go func() { gone <- a.WaitRoom(gives, 1) }()
		synctest.Wait()
		giveUp()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if n, wanted := known(); n != 1 || !wanted {
			t.Errorf("%d streams wait, wanted=%t", n, wanted)
		}
		if _, err := b.Read(make([]byte, 100<<10)); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := <-room; err != nil {
				t.Error(err)
			}
		}
		if n, wanted := known(); n != 0 || wanted {
			t.Errorf("%d streams wait, wanted=%t", n, wanted)
		}
	})
}

// Room of a group reaches other streams each time, and whoever gives up leaves the others in line.
func TestGroup_RoomReachesOtherStreamsEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const size = 100 << 10 // the pipe holds 64 KiB
		g := &Group{MaxPendingWrites: 1}
		var streams []*NetworkStream
		var peers []*NetworkStream
		for range 3 {
			a, b := Pipe(&Config{Group: g})
			defer b.Close()
			defer a.Close()
			streams, peers = append(streams, a), append(peers, b)
		}
		for range 3 {
			if _, err := streams[0].BeginWrite(make([]byte, size), 0, size, nil, nil); err != nil {
				t.Fatal(err)
			}
			gives, giveUp := context.WithCancel(t.Context())
			gone, room := make(chan error, 1), make(chan error, 1)
			go func() { gone <- streams[1].WaitRoom(gives, 1) }()
			go func() { room <- streams[2].WaitRoom(t.Context(), 1) }()
			synctest.Wait()
			giveUp()
			if err := <-gone; !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			for left := size; left > 0; {
				n, err := peers[0].Read(make([]byte, left))
				if err != nil {
					t.Fatal(err)
				}
				left -= n
			}
			if err := <-room; err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
	})
}

// What one broadcast was about is forgotten before the next one.
func TestBroadcast_LeavesNothingForTheNext(t *testing.T) {
	b := takeBroadcast([]byte("x"))
	b.postAll(new(Group))
	b.post(nil)
	b.taken = 1
	refused := b.refused
	b.giveBack()
	if b.p != nil || b.taken != 0 || b.members || len(b.refused) != 0 || refused[0].err != nil {
		t.Errorf("%+v is left, and %+v", b, refused)
	}
}
