package netstream

import (
	"math"
	"reflect"
	"testing"
)

// An idle connection costs little: 416 bytes are a size class of the allocator, and the next one has 32 more. (What has
// more than 512 bytes and pointers takes a word more than its size.)
func TestAStreamFitsInItsSizeClass(t *testing.T) {
	if size := reflect.TypeOf(NetworkStream{}).Size(); size > 416 {
		t.Errorf("a stream has %d bytes", size)
	}
}

// Writes and bytes share a word, whose sums wrap around: the difference is right all the same.
func TestWriteQueue_ThePackedWordWrapsAround(t *testing.T) {
	w := &writeQueue{config: &Config{MaxPendingWrites: mostWrites, MaxPendingBytes: mostBytes}}
	for _, start := range []uint64{0, math.MaxUint64, math.MaxUint64 - 1<<loadBytes + 1, 1<<loadBytes - 1, 1 << 63} {
		w.admitted, w.seen = load(start), load(start)
		w.discharged.Store(start)
		for _, size := range []int64{0, 1, maxCounted - 1, maxCounted, math.MaxInt64} {
			counts := min(size, maxCounted)
			if !w.charge(size) || !w.charge(7) {
				t.Fatalf("from %x: %d bytes are refused", start, size)
			}
			if writes, bytes := w.pending(); writes != 2 || bytes != counts+7 {
				t.Fatalf("from %x: %d writes of %d bytes, want 2 of %d", start, writes, bytes, counts+7)
			}
			w.uncount(size)
			if writes, bytes := w.pending(); writes != 1 || bytes != 7 {
				t.Fatalf("from %x: %d writes of %d bytes are left, want 1 of 7", start, writes, bytes)
			}
			w.uncount(7)
		}
	}
}

// What each completion writes to is at least a cache line away from what each Begin writes to, wherever a stream begins.
func TestCompletionsAndBeginsShareNoCacheLine(t *testing.T) {
	if ^uint(0)>>32 == 0 {
		t.Skip("the layout is that of 64 bits")
	}
	const line = 64
	queue := reflect.TypeOf(writeQueue{})
	offset := func(name string) uintptr {
		field, _ := queue.FieldByName(name)
		return field.Offset
	}
	for _, completion := range []string{"discharged", "piled", "roomWanted"} {
		for _, begin := range []string{"side", "solo", "chunks", "next", "admitted", "clock"} {
			if offset(begin)/line == offset(completion)/line || offset(begin) < offset(completion)+line-16 {
				t.Errorf("%s is at %d, %s at %d", completion, offset(completion), begin, offset(begin))
			}
		}
	}
	stream := reflect.TypeOf(NetworkStream{})
	mu, _ := stream.FieldByName("mu")
	write, _ := stream.FieldByName("write")
	if write.Offset < mu.Offset+2*line {
		t.Errorf("mu is at %d, the queue at %d", mu.Offset, write.Offset)
	}
}
