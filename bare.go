package netstream

// Writes without a callback tell the queue nothing when their caller is done with them, except by being ended.
// The bare word counts those that have completed and have not been ended: epoch<<32 | count. The loop starts a
// new epoch when it finds the queue empty, so that writes nobody ever ends do not count for ever.

func (w *writeQueue) addBare(op *operation) {
	v := w.bare.Add(1)
	op.bare, op.epoch = true, uint32(v>>32)
}

// endedBare is called by the End of a bare write. One of an earlier epoch does not count any more.
func (w *writeQueue) endedBare(epoch uint32) {
	for {
		v := w.bare.Load()
		if uint32(v>>32) != epoch || uint32(v) == 0 || w.bare.CompareAndSwap(v, v-1) {
			return
		}
	}
}

func (w *writeQueue) forgetBare() {
	for {
		v := w.bare.Load()
		if uint32(v) == 0 || w.bare.CompareAndSwap(v, (v>>32+1)<<32) {
			return
		}
	}
}

func (w *writeQueue) hasBare() bool { return uint32(w.bare.Load()) != 0 }
