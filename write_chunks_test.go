package netstream

import (
	"reflect"
	"testing"
)

// What a write costs in memory: these sizes are size classes of the allocator, and a word more would cost the
// next class. An operation is two cache lines as well, and every write touches both.
func TestWriteQueue_Sizes(t *testing.T) {
	for _, c := range []struct {
		of   any
		most uintptr
	}{
		{operation{}, 128},
		{marks{}, 8},
		{small{}, 256},
		{big{}, 1024},
		{place{}, 16},
	} {
		if size := reflect.TypeOf(c.of).Size(); size > c.most && ^uint(0)>>32 != 0 {
			t.Errorf("%T has %d bytes, at most %d are wanted", c.of, size, c.most)
		}
	}
}

// Behind a head that does not move, what is begun and taken back, or dropped, leaves no chunk behind, and an idle queue has
// none at all.
func TestWriteQueue_HolesHoldNoMemory(t *testing.T) {
	ends := map[string]func(*queueRig, spot, *writeEffects){
		"cancelled": func(r *queueRig, at spot, fx *writeEffects) {
			if op := r.w.entryOf(at).op; op != nil {
				r.w.take(op, errCanceled, fx)
			} else {
				r.w.drop(at, fx)
			}
		},
		"dropped": func(r *queueRig, at spot, fx *writeEffects) { r.w.drop(at, fx) },
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			r := newQueueRig(t, &vectors{run: -1}, Config{MaxPendingWrites: 1 << 20, MaxPendingBytes: 1 << 30}, nil)
			r.begin(false, 3)
			r.take()
			r.attempt(1, true, nil)
			r.wait()
			p := make([]byte, 1)
			for range 100 { // in each round more is taken back than stays
				for i := range 100 {
					if i%2 == 0 {
						r.w.charge(1)
						r.w.post(p)
						continue
					}
					op := newOperation(&r.owner, kindWrite, nil, nil)
					op.buffer[0], op.size = p, 1
					r.w.charge(1)
					op.room = roomHeld
					r.w.push(op)
				}
				var fx writeEffects
				for at, ok := r.w.liveFrom(r.w.claimed); ok; {
					next, more := r.w.after(at)
					end(r, at, &fx)
					at, ok = next, more
				}
				fx.release()
				if chunks, entries := r.w.chunks.count(); chunks != 0 || entries != 0 {
					t.Fatalf("%d chunks with %d entries are kept", chunks, entries)
				}
			}
			r.windUp()
		})
	}
}

// A write that finds the queue empty takes no chunk, whoever sends it: ping-pong touches no pool.
func TestWriteQueue_ALoneWriteTakesNoChunk(t *testing.T) {
	r := newQueueRig(t, &vectors{run: -1}, roomy, nil)
	for range 20 {
		r.begin(false, 3)
		if r.w.chunks.first != nil {
			t.Fatal("a chunk was taken")
		}
		r.take()
		r.attempt(everything, true, nil)
		r.check()
	}
	r.windUp()
}

// The numbers go on across chunks that fill up, empty and are taken out in the middle.
func TestWriteQueue_ChunksFillAndEmpty(t *testing.T) {
	config := Config{MaxPendingWrites: 1000, MaxPendingBytes: 1 << 20}
	for _, n := range []int{1, smallChunk, smallChunk + 1, smallChunk + 2, smallChunk + bigChunk, smallChunk + bigChunk + 2, 59} {
		for hole := range n + 1 {
			r := newQueueRig(t, &vectors{run: -1}, config, nil)
			for range n {
				r.begin(false, 2)
			}
			for i := range 7 { // a few, or a whole chunk of them
				if hole+i < n {
					r.cancel(r.messages[hole+i])
				}
			}
			r.check()
			r.take()
			for r.attempt(3, true, nil) {
				r.check()
			}
			r.windUp()
		}
	}
}

// The room of a write is free before anybody can see that it has completed: whoever waits for it and begins the next one finds
// the room.
func TestWriteQueue_RoomIsFreeBeforeTheCompletion(t *testing.T) {
	for _, n := range []int{-1, 1, 2, 20} {
		r := newQueueRig(t, &vectors{run: -1}, roomy, nil)
		if n < 0 { // one behind a post
			n = 1
			r.post(3)
		}
		for range n {
			r.begin(false, 3)
		}
		first := r.messages[len(r.messages)-n].op
		first.word.Add(opCompleted) // so that its completion panics
		r.take()
		stops := func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%d writes: the first one has not completed", n)
				}
			}()
			r.attempt(everything, true, nil)
		}
		stops()
		if writes, bytes := r.w.pending(); writes > int64(max(0, n-len(overs{}.ops))) || bytes != 3*writes {
			t.Errorf("%d writes: the first one completes with %d of %d bytes pending", n, writes, bytes)
		}
	}
}
