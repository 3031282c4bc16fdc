package netstream

import (
	"sync/atomic"
	"time"
)

// Stats is a snapshot of what a stream, or all streams of a group, have done. Counters never go down. Over TLS too the bytes are
// the program's.
type Stats struct {
	BytesRead     uint64        // taken from the kernel
	BytesWritten  uint64        // accepted by the kernel; over TLS, those of which the kernel has the whole record
	ReadOps       uint64        // reads started, blocking and begun
	WriteOps      uint64        // writes started: blocking, begun and posted
	Posts         uint64        // those of them that were posted
	LostPosts     uint64        // posts that failed; those dropped are not among them
	LostBytes     uint64        // of the lost posts, what the kernel has not accepted
	Dropped       uint64        // writes that OverflowDropOldest took away
	FailedWrites  uint64        // begun writes that failed, ended or not; those cancelled or dropped are not among them
	PendingBytes  int64         // of writes that are pending, see [NetworkStream.Pending]
	PendingWrites int           // their number
	OldestPending time.Duration // age of the oldest write that the kernel has not accepted yet, about that if it is a post; 0: none
	Streams       int           // how many streams were counted: 1, or those still in the group
	WriteErr      error         // what WriteErr says; of a group, that of some stream whose writing has failed
}

// counters are the sums behind Stats; guarded by the stream's mu, except where it says otherwise.
type counters struct {
	// bytesWritten is atomic, and first, so that it is aligned everywhere: the owner of the direction adds to it without mu,
	// before anybody can see that a write has completed.
	bytesWritten uint64

	bytesRead, readOps, writeOps, posts, dropped uint64

	failures *writeFailures // nil as long as no begun write has failed

	place int // among the members of the stream's group, from 1; 0: none. Guarded by the group's mu
}

func (c *counters) stats() Stats {
	st := Stats{
		BytesRead: c.bytesRead, BytesWritten: atomic.LoadUint64(&c.bytesWritten),
		ReadOps: c.readOps, WriteOps: c.writeOps, Posts: c.posts, Dropped: c.dropped,
	}
	if f := c.failures; f != nil {
		st.FailedWrites, st.WriteErr = f.count, f.lost
		st.LostPosts, st.LostBytes = f.posts, f.bytes
	}
	return st
}

// orphaned returns the sums of a stream that has been collected: nobody counts any more. The collection lies between
// the last count and this look, which the race detector does not know.
func (c *counters) orphaned() Stats {
	sums := c.copied()
	return sums.stats()
}

//go:norace
func (c *counters) copied() counters { return *c }

// Stats returns a snapshot. It may be called at any time, after Close too.
func (s *NetworkStream) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.counters.stats()
	st.Streams = 1
	writes, bytes := s.write.pending()
	st.PendingWrites, st.PendingBytes = int(writes), bytes
	if writes > 0 { // the last one stops counting a moment before its owner takes it out of the queue
		st.OldestPending = s.write.oldestAge()
	}
	return st
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
	st.FailedWrites += other.FailedWrites
	st.Posts += other.Posts
	st.LostPosts += other.LostPosts
	st.LostBytes += other.LostBytes
	if st.WriteErr == nil {
		st.WriteErr = other.WriteErr
	}
}
