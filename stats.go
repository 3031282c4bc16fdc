package netstream

import "time"

// Stats is a snapshot of what a stream, or all streams of a group, have done. Counters never go down.
type Stats struct {
	BytesRead     uint64        // taken from the kernel
	BytesWritten  uint64        // accepted by the kernel
	ReadOps       uint64        // reads started, blocking and begun
	WriteOps      uint64        // writes started, blocking and begun
	Dropped       uint64        // writes that OverflowDropOldest took away
	PendingBytes  int64         // of writes that are pending, see [NetworkStream.Pending]
	PendingWrites int           // their number
	OldestPending time.Duration // age of the oldest write that the kernel has not accepted yet; 0: none
	Streams       int           // how many streams were counted: 1, or the group's open ones
}

// counters are the sums behind Stats; guarded by the stream's mu.
type counters struct {
	bytesRead, bytesWritten, readOps, writeOps, dropped uint64
}

// Stats returns a snapshot. It may be called at any time, after Close too.
func (s *NetworkStream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &s.counters
	st := Stats{
		BytesRead: c.bytesRead, BytesWritten: c.bytesWritten,
		ReadOps: c.readOps, WriteOps: c.writeOps, Dropped: c.dropped,
		Streams: 1,
	}
	writes, bytes := s.write.pendingLocked()
	st.PendingWrites, st.PendingBytes = int(writes), bytes
	st.OldestPending = s.oldestPendingLocked()
	return st
}

func (s *NetworkStream) oldestPendingLocked() time.Duration {
	w := &s.write
	begun := w.oldest
	if op := w.queued.head; begun == 0 && op != nil {
		begun = op.begun
	}
	if begun == 0 {
		return 0
	}
	return max(sinceStart()-begun, 1)
}

// add sums two snapshots; the age is that of the older one.
func (st *Stats) add(other Stats) {
	st.BytesRead += other.BytesRead
	st.BytesWritten += other.BytesWritten
	st.ReadOps += other.ReadOps
	st.WriteOps += other.WriteOps
	st.Dropped += other.Dropped
	st.PendingBytes += other.PendingBytes
	st.PendingWrites += other.PendingWrites
	st.OldestPending = max(st.OldestPending, other.OldestPending)
	st.Streams += other.Streams
}
