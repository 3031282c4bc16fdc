package reliability_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// chaos is one run: talkers on both sides of the proxy, and what they have counted.
type chaos struct {
	t      *testing.T
	c      kit.ConnCase
	seed   uint64
	ln     *netstream.Listener
	proxy  *proxy
	served meeting[*talker] // by the number of the link
	count  atomic.Uint64

	proxied  bool
	tls      bool
	patience atomic.Int64   // how many times as long as drawn a conversation may last
	talking  atomic.Int64   // talkers without a proxy: no WaitGroup, because they come while others are waited for
	serving  sync.WaitGroup // connections through the proxy that were accepted and have no talker yet
	over     chan struct{}  // closed when nothing is accepted any more

	mu     sync.Mutex
	newest string // without a proxy: who was accepted last
	widows []widow
	sum    counts
	kinds  map[faultKind]int
	bad    int

	unshaken int      // conversations that have not got through their handshake
	refusals sync.Map // why a server has not, by the number of the link
}

func newChaos(t *testing.T, c kit.ConnCase, proxied, tls bool) *chaos {
	t.Helper()
	r := &chaos{t: t, c: c, proxied: proxied, tls: tls, seed: drawSeed(t), over: make(chan struct{}), kinds: make(map[faultKind]int)}
	r.patience.Store(1)
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", r.config())
	kit.Must(t, err)
	r.ln = ln
	r.accept()
	return r
}

func (r *chaos) config() *netstream.Config {
	return r.c.Config(&netstream.Config{HandshakeTimeout: chaosHandshake})
}

// accept serves every connection that comes, in callbacks.
func (r *chaos) accept() {
	_, err := r.ln.BeginAccept(func(ar netstream.AsyncResult) {
		s, err := r.ln.EndAccept(ar)
		if err != nil {
			close(r.over)
			return
		}
		if r.proxied {
			r.serving.Add(1)
			r.accept()
			go r.serve(s)
			return
		}
		r.talking.Add(1)
		if from := s.RemoteAddr(); from != nil { // nil when it was reset before
			r.mu.Lock()
			r.newest = from.String()
			r.mu.Unlock()
		}
		r.accept() // not before: the next one has its callback on another goroutine
		k := r.talker(s)
		go func() {
			defer r.talking.Add(-1)
			r.finish(k, nil)
		}()
	}, nil)
	if err != nil { // closed between two accepts
		close(r.over)
	}
}

// stop accepts nothing any more and waits until all that was accepted has its talker.
func (r *chaos) stop() {
	r.t.Helper()
	r.ln.Close()
	kit.Within(r.t, "the last accept", r.over)
	kit.Within(r.t, "the last talker", kit.Async(func() error { r.serving.Wait(); return nil }))
}

func (r *chaos) talker(s *netstream.NetworkStream) *talker {
	return newTalker(s, r.random(), int(r.patience.Load()))
}

// serve learns from the proxy which of its connections this is, and talks.
func (r *chaos) serve(s *netstream.NetworkStream) {
	defer r.serving.Done()
	number := make([]byte, linkNumber)
	if _, err := io.ReadFull(s, number); err != nil { // cut before a word was said
		s.Close()
		return
	}
	if err := r.handshake(s, true); err != nil {
		s.Close()
		r.refusals.Store(string(number), err)
		r.served.put(string(number), nil)
		return
	}
	r.served.put(string(number), r.talker(s))
}

func (r *chaos) random() *rand.Rand { return rand.New(rand.NewPCG(r.seed, r.count.Add(1))) }

// TestChaos has many talkers talk through a proxy that does them harm. What came through is whole, once and in order;
// what did not is reported by the connection on which it was; and where no harm was done, nothing is missing.
func TestChaos(t *testing.T) {
	testChaos(t, false)
}

func testChaos(t *testing.T, tls bool) {
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) { // starts the loops
		warm, peer := c.WithPeer(t, nil)
		warm.Close()
		peer.Close()
	})
	kit.SocketsClosed(t)
	goroutines, descriptors := kit.Budget(t), kit.OpenDescriptors()
	kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
		r := newChaos(t, c, true, tls)
		r.proxy = newProxy(t, r.ln.Addr().String(), r.seed, tls)
		end := time.Now().Add(lasting(900*time.Millisecond) / 3) // for each engine
		var wg sync.WaitGroup
		talkers := scaled(100, 1000)
		if tls { // a thousand handshakes at once leave little time to talk
			talkers = scaled(100, 300)
		}
		for range talkers {
			wg.Go(func() {
				for time.Now().Before(end) && !t.Failed() {
					r.converse()
				}
			})
		}
		wg.Wait()
		r.atLeastOne()
		r.proxy.close()
		r.stop()
		for _, l := range r.proxy.links.rest() { // reset before Dial had come back
			l.end()
		}
		for _, w := range r.widows { // their servers have been accepted late, or never
			server, _ := r.served.take(w.link.number, 0)
			r.conclude(w.link, w.client, server)
		}
		r.report()
		if r.sum.Whole == 0 {
			t.Error("not one conversation came to its end")
		}
	})
	goroutines("after everything", -kit.Slack, kit.Slack)
	var left []string
	for end := time.Now().Add(kit.Patience); ; time.Sleep(10 * time.Millisecond) {
		if left = kit.NewDescriptors(descriptors); len(left) == 0 || time.Now().After(end) {
			break
		}
	}
	if len(left) > 0 {
		t.Error("descriptors left over:", left)
	}
}

// atLeastOne has conversations, one at a time and each with more time than the last, until one has come to its end: a
// machine may be too busy for so many at once to get anywhere in the time that they are given.
func (r *chaos) atLeastOne() {
	whole := func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.sum.Whole > 0 }
	for end := time.Now().Add(kit.Patience); !whole() && !r.t.Failed() && time.Now().Before(end); {
		r.patience.Add(1)
		r.converse()
	}
}

// converse has one conversation through the proxy, waits for its end and checks it.
func (r *chaos) converse() {
	start := time.Now()
	s, err := netstream.Dial(context.Background(), "tcp", r.proxy.ln.Addr().String(), r.config())
	if errors.Is(err, netstream.CodeConnectionReset) {
		return // the proxy was quick
	}
	if err != nil {
		r.t.Error("Dial:", err)
		return
	}
	failed := r.handshake(s, false)
	var client *talker
	if failed == nil {
		client = r.talker(s)
	}
	l, ok := r.proxy.links.take(s.LocalAddr().String(), time.Minute)
	for ok && l.born.Before(start) { // of an older connection from this port, which Dial has not survived
		l.end()
		l, ok = r.proxy.links.take(s.LocalAddr().String(), time.Minute)
	}
	if !ok {
		r.t.Error("the proxy does not know the connection")
		return
	}
	if failed != nil {
		r.abandon(l, s, failed)
		return
	}
	r.await(client)
	wait := time.Minute // a server whose connection was cut before it accepted may never know of it
	excused := l.harmed.Load() || client.hasHarmed()
	if excused {
		wait = time.Second / 4
	}
	server, ok := r.served.take(l.number, wait)
	if ok && server == nil && !excused {
		r.excuse(l)
	}
	if !ok {
		if !excused {
			r.fail("the server has not accepted an undisturbed connection")
		}
		l.harmed.Store(true)
		l.cut.Store(true)
		l.drop(false)
		r.mu.Lock()
		r.widows = append(r.widows, widow{l, client})
		r.mu.Unlock()
		return
	}
	r.served.forget(l.number)
	r.conclude(l, client, server)
}

// widow is a client whose server has not been seen.
type widow struct {
	link   *link
	client *talker
}

// conclude checks a conversation that is over; server is nil when there never was one.
func (r *chaos) conclude(l *link, client, server *talker) {
	r.await(client)
	if server != nil {
		r.await(server)
	}
	l.end()
	r.finish(client, server)
	r.judge(&l.pumps[0], client, server)
	r.judge(&l.pumps[1], server, client)
}

// await waits for a talker's end. Their own limits are a few seconds.
func (r *chaos) await(k *talker) {
	select {
	case <-k.s.Done():
	case <-time.After(2 * time.Minute):
		buf := make([]byte, 1<<20)
		panic(fmt.Sprintf("a conversation hangs: %+v, %v\n%s", k.s.Stats(), k.s.Err(), buf[:runtime.Stack(buf, true)]))
	}
}

// finish takes over what the talkers have counted; server may be nil.
func (r *chaos) finish(client, server *talker) {
	for _, k := range []*talker{client, server} {
		if k == nil {
			continue
		}
		r.await(k)
		for _, err := range k.check() {
			r.fail("%v", err)
		}
		r.mu.Lock()
		r.sum.add(k.sum)
		r.sum.Received += k.in.frames
		r.sum.BytesIn += k.in.bytes
		r.mu.Unlock()
	}
	r.mu.Lock()
	r.sum.Connections++
	if server != nil && client.in.bye && server.in.bye {
		r.sum.Whole++
	} else {
		r.sum.Broken++
	}
	r.mu.Unlock()
}

func (r *chaos) fail(format string, a ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bad++; r.bad <= 20 {
		r.t.Errorf(format, a...)
	}
}

// judge compares what one end has sent with what the proxy and the other end have seen of it.
func (r *chaos) judge(p *pump, from, to *talker) {
	r.mu.Lock()
	for _, kind := range p.happened {
		r.kinds[kind]++
	}
	r.mu.Unlock()
	if from == nil {
		return
	}
	sent := from.sum
	if p.taken > sent.BytesOut && !r.tls {
		r.fail("%d bytes came out of a stream that says %d", p.taken, sent.BytesOut)
	}
	if p.endedWell() && p.taken != sent.BytesOut && !r.tls {
		r.fail("a clean end after %d of %d bytes", p.taken, sent.BytesOut)
	}
	if p.endedWell() && from.torn {
		r.fail("a clean end behind a torn write")
	}
	if to == nil {
		r.lost(sent.Sent)
		return
	}
	in := &to.in
	if in.frames > 0 && in.tag != from.tag {
		r.fail("frames of another connection")
		return
	}
	lost := sent.Sent - in.frames
	if lost < 0 {
		r.fail("%d frames sent, %d received", sent.Sent, in.frames)
	}
	r.lost(lost)
	for _, seq := range in.left {
		if !from.cancelled[seq] {
			r.fail("frame %d is missing in the middle", seq)
		}
	}
	switch {
	case in.bye && lost != 0:
		r.fail("the last frame has come, but %d are missing", lost)
	case !in.bye && to.readErr == nil:
		r.fail("%d frames are missing and the receiver was not told", lost)
	case !in.bye && !p.link.harmed.Load() && !from.harmed && !to.harmed:
		r.fail("no harm was done, but %d frames are missing: %v", lost, to.readErr)
	case r.tls:
		r.judgeSealed(from, to)
	case to.readErr == io.EOF && in.bytes != p.passed:
		r.fail("a clean end after %d bytes; %d were passed on", in.bytes, p.passed)
	case to.readErr == io.EOF && len(in.buf) > 0 && !p.cutHere && !p.link.cut.Load() && p.endedWell():
		r.fail("a clean end in the middle of a frame: the sender's writes failed with %v", from.s.WriteErr())
	}
}

func (r *chaos) lost(n int) {
	r.mu.Lock()
	r.sum.ReportedLost += n
	r.mu.Unlock()
}

func (r *chaos) report() {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.sum
	r.t.Logf("%d connections: %d to their end, %d broken", s.Connections, s.Whole, s.Broken)
	if r.tls {
		r.t.Logf("%d more ended in their handshake", r.unshaken)
	}
	begunSent, postsSent := s.Sent-(s.Posted-s.LostPosts), s.Posted-s.LostPosts
	r.t.Logf("writes: %d begun = %d completed = %d sent + %d failed + %d cancelled; %d MB", s.Begun, s.Completed, begunSent, s.Cut, s.TakenBy, s.BytesOut>>20)
	r.t.Logf("posts: %d = %d sent + %d lost", s.Posted, postsSent, s.LostPosts)
	r.t.Logf("reads: %d begun = %d completed", s.ReadsBegun, s.ReadsCompleted)
	if !r.proxied { // the other half of the counts has died with its process
		r.t.Logf("frames: %d sent, %d received", s.Sent, s.Received)
		return
	}
	r.t.Logf("frames: %d sent = %d received + %d reported lost", s.Sent, s.Received, s.ReportedLost)
	k := r.kinds
	r.t.Logf("faults: %d stalls, %d trickles, %d hangs, %d half-closes, %d cuts, %d resets", k[faultStall], k[faultTrickle], k[faultHang], k[faultHalfClose], k[faultCut], k[faultReset])
	if s.Sent != s.Received+s.ReportedLost {
		r.t.Errorf("%d frames sent, %d received, %d reported lost", s.Sent, s.Received, s.ReportedLost)
	}
}
