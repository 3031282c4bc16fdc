package netstream

import (
	"bytes"
	"testing"
)

// TestWriteQueue_MarksChunksApart has an engine take much more than is in the kernel: what it is offered next begins
// where it has stopped taking, although that is chunks behind the first entry that is not done.
func TestWriteQueue_MarksChunksApart(t *testing.T) {
	const count, size = 200, 300
	w := writeQueue{config: &defaultConfig}
	var owner owner
	var all []byte
	for i := range count {
		p := bytes.Repeat([]byte{byte(i)}, size)
		all = append(all, p...)
		op := newOperation(&owner, kindWrite, nil, nil)
		op.buffer[0], op.size = p, size
		w.push(op)
	}
	w.phase = owned
	w.claim()
	v := takeVectors()
	defer v.giveBack()
	taken, done := 0, 0
	for done < len(all) {
		if got := bytes.Join(w.fill(v), nil); !bytes.Equal(got, all[taken:]) {
			t.Fatalf("taken %d, done %d: %d bytes are offered, not the %d that are left", taken, done, len(got), len(all)-taken)
		}
		more, finished := min(7*size+100, len(all)-taken), 0
		if taken-done > 90*size || more == 0 {
			finished = min(3*size, taken-done)
		}
		var fx writeEffects
		w.accounted(int64(more), int64(finished), nil, &fx)
		w.settle(int64(more), &fx)
		fx.release()
		taken, done = taken+more, done+finished
	}
	if !w.empty() {
		t.Error("something is left")
	}
}
