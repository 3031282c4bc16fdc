package netconn_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// acceptStyles are the ways to accept.
var acceptStyles = []struct {
	name   string
	accept func(ln *netstream.Listener) (*netstream.NetworkStream, error)
}{
	{"AcceptStream", (*netstream.Listener).AcceptStream},
	{"BeginAccept", func(ln *netstream.Listener) (*netstream.NetworkStream, error) {
		ar, err := ln.BeginAccept(nil, nil)
		if err != nil {
			return nil, err
		}
		return ln.EndAccept(ar)
	}},
}

// accepting accepts on a goroutine of its own.
func accepting(ln *netstream.Listener, accept func(*netstream.Listener) (*netstream.NetworkStream, error)) <-chan connected {
	ch := make(chan connected, 1)
	go func() {
		s, err := accept(ln)
		ch <- connected{s, err}
	}()
	return ch
}

func notYet(t *testing.T, ch <-chan connected) {
	t.Helper()
	select {
	case c := <-ch:
		t.Fatalf("accepted although the group is full: %v, %v", c.s, c.err)
	case <-time.After(20 * time.Millisecond): // never too short for a right program
	}
}

// countingListener counts what it has accepted.
type countingListener struct {
	net.Listener
	mu sync.Mutex
	n  int // guarded by mu
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.n++
		l.mu.Unlock()
	}
	return conn, err
}

func (l *countingListener) accepted() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

// A full group's listener leaves connections in the backlog until a stream has left. The engine is the one that was chosen.
func TestMaxStreams_AListenerWaitsForAPlace(t *testing.T) {
	eachListener(t, func(t *testing.T, c kit.ConnCase) {
		for _, st := range acceptStyles {
			t.Run(st.name, func(t *testing.T) {
				inner, err := net.Listen(c.Network, listenAddress(t, c.Network))
				kit.Must(t, err)
				counting := &countingListener{Listener: inner}
				group := &netstream.Group{MaxStreams: 2}
				ln, err := netstream.NewListener(counting, c.Config(&netstream.Config{Group: group}))
				kit.Must(t, err)
				defer ln.Close()
				const clients = 6
				for range clients {
					conn, err := net.Dial(c.Network, ln.Addr().String())
					kit.Must(t, err)
					defer conn.Close()
				}
				var open []*netstream.NetworkStream
				for i := range clients {
					ch := accepting(ln, st.accept)
					if i >= 2 {
						notYet(t, ch)
						if n := counting.accepted(); n != i {
							t.Fatalf("%d were accepted, %d have been streams", n, i)
						}
						open[0].Close()
						open = open[1:]
					}
					got := kit.Within(t, "an accept", ch)
					kit.Must(t, got.err)
					if engine, why := got.s.Socket().Engine(); c.Engine == netstream.EngineEpoll && engine != c.Engine {
						t.Errorf("on %v: %s", engine, why)
					}
					open = append(open, got.s)
					if n := group.Stats().Streams; n > 2 {
						t.Fatalf("%d streams in the group", n)
					}
				}
				for _, s := range open {
					s.Close()
				}
			})
		}
	})
}

// Several listeners of one group share its places, and no waiting accept keeps one from another.
func TestMaxStreams_SeveralListeners(t *testing.T) {
	group := &netstream.Group{MaxStreams: 1}
	cfg := &netstream.Config{Group: group}
	var listeners [2]*netstream.Listener
	var accepts [2]<-chan connected
	for i := range listeners {
		ln, err := netstream.Listen("tcp", "127.0.0.1:0", cfg)
		kit.Must(t, err)
		defer ln.Close()
		listeners[i], accepts[i] = ln, accepting(ln, acceptStyles[i].accept)
	}
	for i := range 10 { // both wait, and the one that is called is served
		conn, err := net.Dial("tcp", listeners[i%2].Addr().String())
		kit.Must(t, err)
		defer conn.Close()
		got := kit.Within(t, "an accept", accepts[i%2])
		kit.Must(t, got.err)
		other, err := net.Dial("tcp", listeners[1-i%2].Addr().String()) // it has no place, wherever it waits
		kit.Must(t, err)
		defer other.Close()
		notYet(t, accepts[1-i%2])
		got.s.Close()
		got = kit.Within(t, "the other accept", accepts[1-i%2])
		kit.Must(t, got.err)
		got.s.Close()
		kit.Within(t, "Done", got.s.Done())
		for k := range accepts {
			accepts[k] = accepting(listeners[k], acceptStyles[k].accept)
		}
	}
}

// Dial, New and BeginConnect do not wait for a place.
func TestMaxStreams_DialAndNewAreRefused(t *testing.T) {
	eachListener(t, func(t *testing.T, c kit.ConnCase) {
		ln, _ := listen(t, c)
		cfg := c.Config(&netstream.Config{Group: &netstream.Group{MaxStreams: 1}})
		conn, err := net.Dial(c.Network, ln.Addr().String())
		kit.Must(t, err)
		first := kit.MustNew(t, conn, cfg)
		defer first.Close()
		full := func(what string, err error) {
			t.Helper()
			var socket *netstream.SocketError
			if !errors.Is(err, netstream.ErrGroupFull) || !errors.As(err, &socket) || socket.Code != netstream.CodeTooManyOpenSockets {
				t.Errorf("%s: %v", what, err)
			}
		}
		for _, st := range connectStyles {
			_, err := st.connect(t.Context(), c.Network, ln.Addr().String(), cfg)
			full(st.name, err)
			checkChain(t, err, "dial")
		}
		conn, err = net.Dial(c.Network, ln.Addr().String())
		kit.Must(t, err)
		defer conn.Close()
		_, err = netstream.New(conn, cfg)
		full("New", err)
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Errorf("the refused conn was touched: %v", err)
		}
		first.Close()
		kit.Within(t, "Done", first.Done())
		kit.MustNew(t, conn, cfg).Close()
	})
}

// A New that fails for another reason keeps no place.
func TestMaxStreams_AFailedNewTakesNoPlace(t *testing.T) {
	cfg := &netstream.Config{Group: &netstream.Group{MaxStreams: 1}, Engine: netstream.EngineEpoll}
	ours, theirs := net.Pipe()
	defer theirs.Close()
	for range 3 {
		if _, err := netstream.New(ours, cfg); !errors.Is(err, errors.ErrUnsupported) {
			t.Fatal(err)
		}
	}
	cfg.Engine = netstream.EnginePortable
	kit.MustNew(t, ours, cfg).Close()
}

// A Pipe of which only one end fits panics, and that end does not stay.
func TestMaxStreams_APipeThatDoesNotFitLeavesTheGroup(t *testing.T) {
	group := &netstream.Group{MaxStreams: 1}
	func() {
		defer func() {
			if err, ok := recover().(error); !ok || !errors.Is(err, netstream.ErrGroupFull) {
				t.Errorf("it panics with %v", err)
			}
		}()
		netstream.Pipe(&netstream.Config{Group: group})
	}()
	kit.Eventually(t, "the group is empty", func() bool { return group.Stats().Streams == 0 })
}

// Close of the listener and Shutdown of the group end the wait, also that of a connection which was accepted and lost the
// last place to another.
func TestMaxStreams_TheWaitEnds(t *testing.T) {
	for _, st := range acceptStyles {
		for _, end := range []string{"Close", "Shutdown"} {
			for _, held := range []bool{false, true} {
				t.Run(st.name+" "+end, func(t *testing.T) {
					group := &netstream.Group{MaxStreams: 1}
					cfg := &netstream.Config{Group: group}
					ln, err := netstream.Listen("tcp", "127.0.0.1:0", cfg)
					kit.Must(t, err)
					defer ln.Close()
					var accept <-chan connected
					if held {
						accept = accepting(ln, st.accept)
						time.Sleep(5 * time.Millisecond) // or it waits without a connection, which is the other case
					}
					a, b := kit.ConnCase{Network: "tcp"}.NetPair(t)
					defer b.Close()
					s := kit.MustNew(t, a, cfg)
					defer s.Close()
					conn, err := net.Dial("tcp", ln.Addr().String())
					kit.Must(t, err)
					defer conn.Close()
					if !held {
						accept = accepting(ln, st.accept)
					}
					notYet(t, accept)
					if end == "Close" {
						kit.Must(t, ln.Close())
					} else {
						kit.Must(t, group.Shutdown(context.Background()))
					}
					got := kit.Within(t, "the accept", accept)
					kit.Aborted("TcpListener")(t, got.err)
					if got.s != nil {
						t.Error("there is a stream")
					}
				})
			}
		}
	}
}

// A stream that is forgotten open gives its place up when it is collected.
func TestMaxStreams_AForgottenStreamGivesItsPlaceUp(t *testing.T) {
	group := &netstream.Group{MaxStreams: 1}
	ln, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{Group: group})
	kit.Must(t, err)
	defer ln.Close()
	kit.ForgetStream(t, kit.ConnCases[0], group, 1)
	conn, err := net.Dial("tcp", ln.Addr().String())
	kit.Must(t, err)
	defer conn.Close()
	accept := accepting(ln, acceptStyles[0].accept)
	kit.Eventually(t, "it is accepted", func() bool {
		runtime.GC()
		select {
		case got := <-accept:
			kit.Must(t, got.err)
			got.s.Close()
			return true
		default:
			return false
		}
	})
}

// limitedListener is netutil.LimitListener in short: it hands out so many connections at a time, in wrappers.
type limitedListener struct {
	net.Listener
	places chan struct{}
}

type limitedConn struct {
	net.Conn
	release func()
}

func (l *limitedListener) Accept() (net.Conn, error) {
	l.places <- struct{}{}
	conn, err := l.Listener.Accept()
	if err != nil {
		<-l.places
		return nil, err
	}
	return &limitedConn{conn, sync.OnceFunc(func() { <-l.places })}, nil
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}

// A limit by wrapping, around our listener or below it, works as ever with EngineAuto.
func TestLimitListenerAroundAndBelow(t *testing.T) {
	for _, where := range []string{"around", "below"} {
		t.Run(where, func(t *testing.T) {
			inner, err := net.Listen("tcp", "127.0.0.1:0")
			kit.Must(t, err)
			var ln net.Listener = inner
			limit := func() { ln = &limitedListener{ln, make(chan struct{}, 2)} }
			if where == "below" {
				limit()
			}
			ln, err = netstream.NewListener(ln, nil)
			kit.Must(t, err)
			if where == "around" {
				limit()
			}
			defer ln.Close()
			for range 6 {
				conn, err := net.Dial("tcp", ln.Addr().String())
				kit.Must(t, err)
				defer conn.Close()
				s, err := ln.Accept()
				kit.Must(t, err)
				kit.WriteText(t, conn, "in")
				kit.ReadText(t, s, "in")
				s.Close()
			}
		})
	}
}

// Dials that lose the race for a group's last place say so as dials.
func TestMaxStreams_DialsThatLoseTheRace(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	kit.Must(t, err)
	defer ln.Close()
	g := netstream.Group{MaxStreams: 1}
	const dials = 20
	type outcome struct {
		s   *netstream.NetworkStream
		err error
	}
	outcomes := make(chan outcome, dials)
	for range dials {
		go func() {
			s, err := netstream.Dial(context.Background(), "tcp", ln.Addr().String(), &netstream.Config{Group: &g})
			outcomes <- outcome{s, err}
		}()
	}
	for range dials {
		o := kit.Within(t, "a Dial", outcomes)
		if o.err == nil {
			defer o.s.Close()
			continue
		}
		var op *net.OpError
		if !errors.Is(o.err, netstream.ErrGroupFull) || !errors.As(o.err, &op) || op.Op != "dial" {
			t.Errorf("%#v", o.err)
		}
	}
}
