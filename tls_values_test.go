package netstream

import (
	"container/list"
	"crypto/tls"
	"errors"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/seed-9ac8cf60/netstream/internal/engine"
)

// A handshake needs a stream on which nothing goes on.
func TestAuthenticate_NeedsAnIdleStream(t *testing.T) {
	closed := disposedError("NetworkStream", nil)
	failed := errors.New("failed")
	for name, c := range map[string]struct {
		spoil func(*NetworkStream)
		want  error
	}{
		"idle":       {func(*NetworkStream) {}, nil},
		"closed":     {func(s *NetworkStream) { s.life.close(nil, false); s.life.end.streamErr = closed }, closed},
		"draining":   {func(s *NetworkStream) { s.life.drain() }, errClosing},
		"due":        {func(s *NetworkStream) { s.auth = new(authentication) }, errAuthenticating},
		"running":    {func(s *NetworkStream) { s.auth = &authentication{phase: authRunning} }, errAuthenticating},
		"done":       {func(s *NetworkStream) { s.auth = &authentication{phase: authDone} }, errAuthenticated},
		"failed":     {func(s *NetworkStream) { s.auth = &authentication{phase: authFailed, err: failed} }, failed},
		"a read":     {func(s *NetworkStream) { s.read.push(new(operation)) }, errNotIdle},
		"a reader":   {func(s *NetworkStream) { s.read.phase = owned }, errNotIdle},
		"a write":    {func(s *NetworkStream) { s.write.push(new(operation)) }, errNotIdle},
		"a writer":   {func(s *NetworkStream) { s.write.phase = waiting }, errNotIdle},
		"torn":       {func(s *NetworkStream) { s.write.torn(&IOError{Torn: true}, false) }, errNotIdle},
		"an end":     {func(s *NetworkStream) { s.write.fin.ask() }, errNotIdle},
		"no reading": {func(s *NetworkStream) { s.shutRead = true }, errNotIdle},
		"waits for room": {func(s *NetworkStream) {
			s.write.forceCharge(DefaultMaxPendingBytes)
			op := newOperation(&s.owner, kindRoom, nil, nil)
			op.size = 1
			s.enterRoomLocked(op)
		}, errNotIdle},
	} {
		config, err := new(Config).withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		s := bareStream(config, nil, nil)
		c.spoil(s)
		if err := s.mayAuthenticateLocked(new(authentication)); err != c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// With Config.TLS a stream is made for its handshake: whoever finds it in its group before can send nothing, and begin no
// handshake of its own.
func TestAuthenticate_IsDueFromTheStart(t *testing.T) {
	group := new(Group)
	client, server := engine.Pipe()
	defer server.Close()
	config, err := (&Config{Group: group, TLS: &tls.Config{InsecureSkipVerify: true}}).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	s, err := newStream(client, config, true)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if n := group.Broadcast([]byte("x"), func(_ *NetworkStream, err error) { t.Error(err) }); n != 0 {
		t.Errorf("%d took it", n)
	}
	_, readErr := s.Read(make([]byte, 1))
	for what, err := range map[string]error{
		"post": s.Post([]byte("x")), "end": s.CloseWrite(), "handshake": s.AuthenticateAsClient(t.Context(), config.TLS), "read": readErr,
	} {
		if !errors.Is(err, errAuthenticating) {
			t.Errorf("%s: %v", what, err)
		}
	}
	server.Close()
	if err := s.authenticateNow(t.Context(), s.auth, config.TLS, false); err == nil || errors.Is(err, errAuthenticating) {
		t.Error("its own handshake:", err)
	}
}

// A deadline that has passed before a handshake ends it at once.
func TestAuthenticate_AfterTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(nil)
		defer b.Close()
		defer a.Close()
		a.SetWriteDeadline(time.Now().Add(-time.Second))
		start := time.Now()
		err := a.AuthenticateAsClient(t.Context(), &tls.Config{InsecureSkipVerify: true})
		if !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 0 {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

// crowd is the handshakes of a listener that never was, with so many of them.
func crowd(t *testing.T, ages ...time.Duration) (h *handshakes, places []*list.Element) {
	config, err := new(Config).withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	h = newHandshakes(&Listener{config: config}, nil)
	for _, age := range ages {
		a, b := Pipe(nil)
		t.Cleanup(func() { a.Close(); b.Close() })
		places = append(places, h.running.PushBack(&shaking{stream: a, auth: new(authentication), since: time.Now().Add(-age)}))
	}
	return h, places
}

// The oldest handshake makes room once it has had its time: a second if it waits for its peer, ten if it waits for this side.
func TestHandshakes_WhoMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for i, c := range []struct {
			oldest time.Duration
			wait   time.Duration
		}{
			{0, crowdPause},
			{handshakePatience - time.Millisecond, time.Millisecond},
			{handshakePatience, crowdPause}, // it waits for this side
			{busyPatience - 1, crowdPause},
			{busyPatience, 0},
		} {
			h, places := crowd(t, c.oldest, 0)
			for range mostHandshakes - 2 {
				h.running.PushBack(&shaking{auth: new(authentication), since: time.Now()})
			}
			slow, wait := h.crowdOut()
			k := places[0].Value.(*shaking)
			if out := c.wait == 0; wait != c.wait || (slow == k.stream) != out || k.crowded != out ||
				h.running.Len() != mostHandshakes-map[bool]int{true: 1}[out] {
				t.Errorf("%d: wait %v, crowded %t, %d are running", i, wait, k.crowded, h.running.Len())
			}
		}
		h, _ := crowd(t, time.Hour)
		if slow, wait := h.crowdOut(); slow != nil || wait != 0 {
			t.Error("there was room:", slow, wait)
		}
	})
}

// A handshake that ends gives its stream to whoever accepts, or is counted as failed and closed; the one who waits for its
// place is told.
func TestHandshakes_HowOneEnds(t *testing.T) {
	for i, c := range []struct {
		err             error
		crowded, closed bool
		ready           bool
		failures        uint64
	}{
		{ready: true},
		{err: errors.New("failed"), failures: 1},
		{crowded: true, failures: 1},
		{closed: true},
		{err: errors.New("closed"), closed: true},
	} {
		h, places := crowd(t, 0)
		k := places[0].Value.(*shaking)
		k.crowded = c.crowded
		if c.closed {
			h.phase = listenClosed
		}
		h.end(k.stream, places[0], c.err)
		if (len(h.ready) == 1) != c.ready || h.failures != c.failures || h.running.Len() != 0 || len(h.over) != 1 {
			t.Errorf("%d: %d are ready, %d have failed, %d told", i, len(h.ready), h.failures, len(h.over))
		}
		if k.stream.isClosed() == c.ready {
			t.Errorf("%d: closed: %t", i, k.stream.isClosed())
		}
	}
}

// A handshake that cannot begin, because somebody has closed the stream, has failed.
func TestHandshakes_OneThatCannotBegin(t *testing.T) {
	h, places := crowd(t, 0)
	h.running.Init()
	s := places[0].Value.(*shaking).stream
	s.Close()
	s.auth = new(authentication)
	h.config = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return nil, nil }}
	h.begin(s)
	if h.failures != 1 || h.running.Len() != 0 {
		t.Errorf("%d have failed, %d are running", h.failures, h.running.Len())
	}
}

// A listener that is closed closes what it has not handed out, and begins no handshake any more.
func TestHandshakes_Close(t *testing.T) {
	h, places := crowd(t, 0, 0, 0)
	stream := func(i int) *NetworkStream { return places[i].Value.(*shaking).stream }
	h.end(stream(1), places[1], nil) // it is ready, and 0 is in its handshake
	h.running.Remove(places[2])      // it comes later
	h.close()
	h.begin(stream(2))
	for i := range places {
		if !stream(i).isClosed() {
			t.Errorf("stream %d is open", i)
		}
	}
	var none *handshakes
	none.close()
}
