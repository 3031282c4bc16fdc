package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/seed-9ac8cf60/netstream"
)

// talker is one end of a connection: it writes numbered frames with BeginWrite, several at a time, and posts some between
// them, reads the peer's with BeginRead, and counts. Everything happens in callbacks.
type talker struct {
	s      *netstream.NetworkStream
	tag    uint32
	frames int    // to send, before the last one
	before uint64 // bytes read from s before

	mu                sync.Mutex
	rng               *rand.Rand
	next              uint32 // number of the next frame
	stopped           bool   // no more frames: all sent, or one has failed
	byeSent           bool
	writeOver         bool
	readOver, closing bool
	sum               counts
	cancelled         map[uint32]bool
	in                frameReader
	readErr           error // the end of the reading, when that was not the peer's last frame
	faulty            []error
	harmed            bool // it did something itself that loses frames
	torn              bool // a frame is out in part
	posted            int  // frames that were posted, and their bytes: what became of them the stream tells at the end
	postedBytes       int64
	limit             *time.Timer
}

// counts is what one talker has counted, or many together.
type counts struct {
	Connections, Whole, Broken           int
	Begun, Completed, Sent, Cut, TakenBy int // writes; TakenBy: cancelled. Posts are among Sent only
	Posted, LostPosts                    int
	BytesOut                             int64
	Received, ReportedLost               int
	ReadsBegun, ReadsCompleted           int
	BytesIn                              int64
}

func (a *counts) add(b counts) {
	a.Connections += b.Connections
	a.Whole += b.Whole
	a.Broken += b.Broken
	a.Begun += b.Begun
	a.Posted += b.Posted
	a.LostPosts += b.LostPosts
	a.Completed += b.Completed
	a.Sent += b.Sent
	a.Cut += b.Cut
	a.TakenBy += b.TakenBy
	a.BytesOut += b.BytesOut
	a.Received += b.Received
	a.ReportedLost += b.ReportedLost
	a.ReadsBegun += b.ReadsBegun
	a.ReadsCompleted += b.ReadsCompleted
	a.BytesIn += b.BytesIn
}

// outgoing is a buffer on its way; it is filled anew as soon as it has completed.
type outgoing struct {
	buf  []byte
	size int
	seq  uint32
	bye  bool
}

const chaosMaxFrame = 128 << 10

// newTalker starts a conversation on s, which lasts for patience times the time that is drawn for it, at most.
func newTalker(s *netstream.NetworkStream, rng *rand.Rand, patience int) *talker {
	k := &talker{s: s, rng: rng, tag: rng.Uint32(), frames: 1 + rng.IntN(60), cancelled: make(map[uint32]bool)}
	k.in.max, k.before = chaosMaxFrame, s.Stats().BytesRead
	if rng.IntN(3) == 0 {
		s.Socket().SetWriteBuffer(4 << 10)
		s.Socket().SetReadBuffer(4 << 10)
	}
	if rng.IntN(12) == 0 {
		k.harmed = true
		s.SetWriteDeadline(time.Now().Add(time.Duration(rng.IntN(500)) * time.Millisecond))
	}
	life := time.Duration(patience*(200+rng.IntN(scaled(300, 2700)))) * time.Millisecond
	how, part := rng.IntN(5), time.Duration(rng.IntN(100))*time.Millisecond
	k.mu.Lock()
	k.limit = time.AfterFunc(life, func() { k.giveUp(how, part) })
	k.mu.Unlock()
	abreast, in := 1+rng.IntN(8), make([]byte, 1+rng.IntN(16<<10)) // from here on rng belongs to mu
	for range abreast {
		k.send(&outgoing{buf: make([]byte, 0, 1<<10)})
	}
	k.receive(in)
	return k
}

// giveUp ends a conversation that has lasted long enough, in one of the ways there are.
func (k *talker) giveUp(how int, part time.Duration) {
	k.mu.Lock()
	if k.closing {
		k.mu.Unlock()
		return
	}
	k.closing, k.stopped, k.harmed = true, true, true
	k.mu.Unlock()
	switch how {
	case 0:
		k.s.CloseTimeout(part)
	case 1:
		k.s.CloseWithError(io.ErrNoProgress)
	case 2:
		k.s.SetDeadline(time.Unix(1, 0))
	case 3:
		k.s.Socket().Close()
	}
	k.s.Close()
}

func (k *talker) frameSize() int {
	switch n := k.rng.IntN(100); {
	case n < 90:
		return frameOverhead + k.rng.IntN(1<<10)
	case n < 98:
		return frameOverhead + k.rng.IntN(8<<10)
	default:
		return frameOverhead + k.rng.IntN(chaosMaxFrame-frameOverhead)
	}
}

// send begins the next frame. The number is drawn and the write begun under one lock, so that both have one order.
func (k *talker) send(o *outgoing) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for !k.stopped && int(k.next) < k.frames && k.rng.IntN(3) == 0 {
		k.post()
	}
	if k.stopped {
		return
	}
	kind := byte(frameData)
	if o.bye = int(k.next) >= k.frames; o.bye {
		kind, k.stopped = frameBye, true
	}
	o.size, o.seq = k.frameSize(), k.next
	if o.size > cap(o.buf) {
		o.buf = make([]byte, o.size)
	}
	o.buf = o.buf[:o.size]
	fillFrame(o.buf, k.tag, o.seq, kind)
	cancel := !o.bye && k.rng.IntN(30) == 0
	ar, err := k.s.BeginWrite(o.buf, 0, o.size, k.sent, o)
	if err != nil { // nothing was lent
		k.stopped, k.writeOver = true, true
		return
	}
	k.next++
	k.sum.Begun++
	if cancel && k.s.Cancel(ar) {
		k.cancelled[o.seq] = true
	}
}

// post posts the next frame, whose memory is never used again. The caller holds mu.
func (k *talker) post() {
	p := make([]byte, k.frameSize())
	fillFrame(p, k.tag, k.next, frameData)
	if err := k.s.Post(p); err != nil {
		k.stopped, k.writeOver = true, true
		return
	}
	k.next++
	k.posted++
	k.postedBytes += int64(len(p))
}

// sent is the callback of the writes.
func (k *talker) sent(ar netstream.AsyncResult) {
	o := ar.AsyncState().(*outgoing)
	err := k.s.EndWrite(ar)
	k.mu.Lock()
	k.sum.Completed++
	switch {
	case err == nil && !k.cancelled[o.seq]:
		k.sum.Sent++
		k.sum.BytesOut += int64(o.size)
	case k.cancelled[o.seq] && errors.Is(err, context.Canceled):
		k.sum.TakenBy++
		if n, complaint := ioCount(err); n != 0 || complaint != nil {
			k.faulty = append(k.faulty, fmt.Errorf("cancelled after %d bytes: %w", n, err))
		}
		err = nil
	case err == nil:
		k.faulty = append(k.faulty, fmt.Errorf("frame %d was sent after Cancel had taken it back", o.seq))
	default:
		n, complaint := ioCount(err)
		if complaint == nil && (n < 0 || n >= int64(o.size)) {
			complaint = fmt.Errorf("%d of %d bytes: %w", n, o.size, err)
		}
		if complaint != nil {
			k.faulty = append(k.faulty, complaint)
		}
		k.sum.Cut++
		k.sum.BytesOut += n
		k.torn = k.torn || n > 0
		k.stopped = true
	}
	if o.bye && err == nil {
		k.byeSent = true
	}
	k.writeOver = k.writeOver || err != nil || k.byeSent
	finish := k.byeSent && o.bye && k.rng.IntN(2) == 0
	k.mu.Unlock()
	if finish {
		k.s.CloseWrite()
	}
	if err == nil {
		k.send(o)
	}
	k.closeWhenOver()
}

// receive begins a read into p.
func (k *talker) receive(p []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, err := k.s.BeginRead(p, 0, len(p), k.received, &p); err != nil {
		k.readOver, k.readErr = true, err
		return
	}
	k.sum.ReadsBegun++
}

// received is the callback of the reads.
func (k *talker) received(ar netstream.AsyncResult) {
	p := *ar.AsyncState().(*[]byte)
	n, err := k.s.EndRead(ar)
	k.mu.Lock()
	k.sum.ReadsCompleted++
	if err == nil {
		if bad := k.in.feed(p[:n]); bad != nil {
			k.faulty, err = append(k.faulty, bad), bad
		}
	} else if err != io.EOF {
		if moved, complaint := ioCount(err); complaint != nil || moved != 0 {
			k.faulty = append(k.faulty, fmt.Errorf("a read failed after %d bytes: %w", moved, err))
		}
	}
	if k.readErr = err; err != nil || k.in.bye {
		k.readOver = true
	}
	over := k.readOver
	k.mu.Unlock()
	if over {
		k.closeWhenOver()
	} else {
		k.receive(p)
	}
}

// closeWhenOver closes when both directions have ended.
func (k *talker) closeWhenOver() {
	k.mu.Lock()
	now := k.readOver && k.writeOver && !k.closing
	if now {
		k.closing = true
		k.limit.Stop()
	}
	k.mu.Unlock()
	if now {
		k.s.Close()
	}
}

func (k *talker) hasHarmed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.harmed
}

// check holds what was counted to the promises, as far as one end can know. The stream must be done.
func (k *talker) check() []error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.limit.Stop()
	bad := k.faulty
	complain := func(format string, a ...any) { bad = append(bad, fmt.Errorf(format, a...)) }
	st := k.s.Stats()
	if int(st.Posts) != k.posted || st.LostPosts > st.Posts || st.Dropped != 0 {
		complain("%d frames posted, Stats says %d, %d of them lost, %d dropped", k.posted, st.Posts, st.LostPosts, st.Dropped)
	}
	k.sum.Posted, k.sum.LostPosts = k.posted, int(st.LostPosts)
	k.sum.Sent += k.posted - int(st.LostPosts)
	k.sum.BytesOut += k.postedBytes - int64(st.LostBytes)
	var failure *netstream.IOError
	if errors.As(st.WriteErr, &failure) {
		k.torn = k.torn || failure.Torn
	} else if st.LostPosts > 0 {
		complain("%d posts were lost, and WriteErr is %v", st.LostPosts, st.WriteErr)
	}
	sum := k.sum
	if sum.Begun != sum.Completed || sum.Begun+sum.Posted-sum.LostPosts != sum.Sent+sum.Cut+sum.TakenBy {
		complain("%d writes begun, %d completed: %d sent, %d failed, %d cancelled", sum.Begun, sum.Completed, sum.Sent, sum.Cut, sum.TakenBy)
	}
	if sum.ReadsBegun != sum.ReadsCompleted {
		complain("%d reads begun, %d completed", sum.ReadsBegun, sum.ReadsCompleted)
	}
	if st.BytesWritten != uint64(sum.BytesOut) {
		complain("Stats says %d bytes written, the completions %d", st.BytesWritten, sum.BytesOut)
	}
	if st.BytesRead-k.before != uint64(k.in.bytes) {
		complain("Stats says %d bytes read, the completions %d", st.BytesRead, k.in.bytes)
	}
	if st.PendingBytes != 0 || st.PendingWrites != 0 {
		complain("pending at the end: %d writes, %d bytes", st.PendingWrites, st.PendingBytes)
	}
	return bad
}
