package netconn_test

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// connected is what a connect came to.
type connected struct {
	s   *netstream.NetworkStream
	err error
}

// connectStyles are the ways to connect.
var connectStyles = []struct {
	name    string
	connect func(ctx context.Context, network, address string, cfg *netstream.Config) (*netstream.NetworkStream, error)
}{
	{"Dial", netstream.Dial},
	{"BeginConnect", func(ctx context.Context, network, address string, cfg *netstream.Config) (*netstream.NetworkStream, error) {
		ar, err := netstream.BeginConnect(ctx, network, address, cfg, nil, nil)
		if err != nil {
			return nil, err
		}
		return netstream.EndConnect(ar)
	}},
	{"BeginConnect-callback", func(ctx context.Context, network, address string, cfg *netstream.Config) (*netstream.NetworkStream, error) {
		ch := make(chan connected, 1)
		_, err := netstream.BeginConnect(ctx, network, address, cfg, func(ar netstream.AsyncResult) {
			s, err := netstream.EndConnect(ar)
			ch <- connected{s, err}
		}, nil)
		if err != nil {
			return nil, err
		}
		c := <-ch
		return c.s, c.err
	}},
	{"BeginConnect-waitone", func(ctx context.Context, network, address string, cfg *netstream.Config) (*netstream.NetworkStream, error) {
		ar, err := netstream.BeginConnect(ctx, network, address, cfg, nil, nil)
		if err != nil {
			return nil, err
		}
		ar.AsyncWaitHandle().WaitOne()
		return netstream.EndConnect(ar)
	}},
}

func TestConnect(t *testing.T) {
	eachListener(t, func(t *testing.T, c kit.ConnCase) {
		ln, _ := listen(t, c)
		for _, st := range connectStyles {
			t.Run(st.name, func(t *testing.T) {
				client, err := st.connect(t.Context(), c.Network, ln.Addr().String(), c.Config(nil))
				if err != nil {
					t.Fatal(err)
				}
				defer client.Close()
				server, err := ln.AcceptStream()
				if err != nil {
					t.Fatal(err)
				}
				defer server.Close()
				if got, want := client.RemoteAddr().String(), ln.Addr().String(); got != want {
					t.Errorf("connected to %s, want %s", got, want)
				}
				if _, err := client.Write([]byte("hello")); err != nil {
					t.Error(err)
				}
				p := make([]byte, 10)
				if n, err := server.Read(p); string(p[:n]) != "hello" || err != nil {
					t.Errorf("read %q, %v", p[:n], err)
				}
			})
		}
	})
}

func TestBeginConnectStartsOnTheLoop(t *testing.T) {
	if !kit.HaveEpoll {
		t.Skip("needs a loop")
	}
	ln, _ := listen(t, kit.ConnCase{Network: "tcp"})
	for _, st := range connectStyles {
		s, err := st.connect(t.Context(), "tcp", ln.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		want := netstream.EngineEpoll
		if st.name == "Dial" { // blocking calls are served at net's speed until one has to wait
			want = netstream.EnginePortable
		}
		if engine, why := s.Socket().Engine(); engine != want {
			t.Errorf("%s: on %v: %s", st.name, engine, why)
		}
		s.Close()
	}
}

// The context bounds the connecting only.
func TestConnectContextDoesNotBoundTheStream(t *testing.T) {
	eachListener(t, func(t *testing.T, c kit.ConnCase) {
		ln, _ := listen(t, c)
		for _, st := range connectStyles {
			ctx, cancel := context.WithCancel(t.Context())
			client, err := st.connect(ctx, c.Network, ln.Addr().String(), c.Config(nil))
			if err != nil {
				t.Fatal(err)
			}
			cancel()
			server, err := ln.AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			time.AfterFunc(20*time.Millisecond, func() { server.Write([]byte("x")) })
			if _, err := client.Read(make([]byte, 1)); err != nil {
				t.Error(st.name, err)
			}
			client.Close()
			server.Close()
		}
	})
}

// closedAddress is one where nobody listens.
func closedAddress(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

func TestConnectRefused(t *testing.T) {
	address := closedAddress(t)
	for _, st := range connectStyles {
		t.Run(st.name, func(t *testing.T) {
			s, err := st.connect(t.Context(), "tcp", address, nil)
			if s != nil || !errors.Is(err, netstream.CodeConnectionRefused) || !errors.Is(err, kit.Refused) {
				t.Errorf("got %v, %v", s, err)
			}
			checkChain(t, err, "dial")
			var socket *netstream.SocketError
			if errors.As(err, &socket) && socket.ErrorCode() != 10061 {
				t.Errorf("ErrorCode %d", socket.ErrorCode())
			}
			if want := "dial tcp " + address + ": " + kit.ConnectCall + ": " + kit.Refused.Error(); err.Error() != want {
				t.Errorf("text %q, want %q", err, want)
			}
		})
	}
}

func TestConnectUnixErrors(t *testing.T) {
	missing := filepath.Join(kit.TempDir(t), "nobody")
	s, err := netstream.Dial(t.Context(), "unix", missing, nil)
	if s != nil || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v, %v", s, err)
	}
	checkChain(t, err, "dial")
	if !strings.HasPrefix(err.Error(), "dial unix "+missing+": ") {
		t.Errorf("text %q", err)
	}
}

// fullBacklog returns an address whose connects wait: its queue of connections is full and nobody accepts.
func fullBacklog(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	raw, err := ln.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	shrinkBacklog(t, raw)
	for refused := 0; refused < 3; { // one in time for nobody may be the machine's doing
		conn, err := net.DialTimeout("tcp", ln.Addr().String(), 200*time.Millisecond)
		if err != nil {
			refused++
			continue
		}
		refused = 0
		t.Cleanup(func() { conn.Close() })
	}
	return ln.Addr().String()
}

func TestConnectContextEnds(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("other systems refuse what does not fit into the backlog")
	}
	address := fullBacklog(t)
	for _, st := range connectStyles {
		t.Run(st.name+" cancelled", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(30*time.Millisecond, cancel)
			s, err := st.connect(ctx, "tcp", address, nil)
			if s != nil || !errors.Is(err, context.Canceled) || !errors.Is(err, netstream.CodeOperationAborted) {
				t.Errorf("got %v, %v", s, err)
			}
			checkChain(t, err, "dial")
		})
		t.Run(st.name+" out of time", func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
			defer cancel()
			s, err := st.connect(ctx, "tcp", address, nil)
			if s != nil || !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, netstream.CodeTimedOut) {
				t.Errorf("got %v, %v", s, err)
			}
			var netErr net.Error
			if !errors.As(err, &netErr) || !netErr.Timeout() {
				t.Errorf("%v is no timeout", err)
			}
			checkChain(t, err, "dial")
		})
		t.Run(st.name+" ended before", func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if s, err := st.connect(ctx, "tcp", address, nil); s != nil || !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, %v", s, err)
			}
		})
	}
}

func TestConnectArguments(t *testing.T) {
	for _, st := range connectStyles {
		t.Run(st.name, func(t *testing.T) {
			var null *netstream.ArgumentNullError
			//lint:ignore SA1012 that is the test
			if s, err := st.connect(nil, "tcp", "127.0.0.1:1", nil); s != nil || !errors.As(err, &null) || null.ParamName != "ctx" {
				t.Errorf("without a context: %v, %v", s, err)
			}
			for _, network := range []string{"udp", "unixgram", "ip", "", "tcp7"} {
				s, err := st.connect(t.Context(), network, "127.0.0.1:1", nil)
				if s != nil || !errors.Is(err, netstream.CodeProtocolNotSupported) {
					t.Errorf("network %q: %v, %v", network, s, err)
				}
				checkChain(t, err, "dial")
			}
			var argument *netstream.ArgumentError
			if s, err := st.connect(t.Context(), "tcp", "127.0.0.1:1", &netstream.Config{LeaveOpen: true}); s != nil || !errors.As(err, &argument) {
				t.Errorf("LeaveOpen: %v, %v", s, err)
			}
			for _, address := range []string{"127.0.0.1", "127.0.0.1:none", "127.0.0.1:99999", "[::1"} {
				s, err := st.connect(t.Context(), "tcp", address, nil)
				if s != nil || err == nil {
					t.Errorf("address %q: %v, %v", address, s, err)
				}
				checkChain(t, err, "dial")
			}
		})
	}
}

func TestEndConnectMisused(t *testing.T) {
	ln, dial := listen(t, kit.ConnCase{Network: "tcp"})
	var null *netstream.ArgumentNullError
	if _, err := netstream.EndConnect(netstream.AsyncResult{}); !errors.As(err, &null) {
		t.Error("EndConnect of the zero result:", err)
	}
	ar, err := netstream.BeginConnect(t.Context(), "tcp", ln.Addr().String(), nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := kit.MustNew(t, dial(), nil)
	defer s.Close()
	var argument *netstream.ArgumentError
	if _, err := s.EndRead(ar); !errors.As(err, &argument) {
		t.Error("EndRead of a connect's result:", err)
	}
	var wg sync.WaitGroup
	var once, twice int
	var mu sync.Mutex // guards once and twice
	for range 2 {
		wg.Go(func() {
			s, err := netstream.EndConnect(ar)
			mu.Lock()
			defer mu.Unlock()
			var invalid *netstream.InvalidOperationError
			switch {
			case err == nil:
				once++
				s.Close()
			case errors.As(err, &invalid):
				twice++
			default:
				t.Error("EndConnect:", err)
			}
		})
	}
	wg.Wait()
	if once != 1 || twice != 1 {
		t.Errorf("of two EndConnects %d succeeded and %d were told that it is too late", once, twice)
	}
}

func TestListenErrors(t *testing.T) {
	taken, err := netstream.Listen("tcp", "127.0.0.1:0", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = netstream.Listen("tcp", taken.Addr().String(), nil)
	if !errors.Is(err, netstream.CodeAddressAlreadyInUse) || !errors.Is(err, kit.AddressInUse) {
		t.Error("a taken address:", err)
	}
	checkChain(t, err, "listen")
	_, err = netstream.Listen("udp", "127.0.0.1:0", nil)
	checkChain(t, err, "listen")
	var null *netstream.ArgumentNullError
	if _, err := netstream.NewListener(nil, nil); !errors.As(err, &null) {
		t.Error("NewListener(nil):", err)
	}
	var outOfRange *netstream.ArgumentOutOfRangeError
	if _, err := netstream.Listen("tcp", "127.0.0.1:0", &netstream.Config{MaxPendingBytes: -2}); !errors.As(err, &outOfRange) {
		t.Error("Listen with a bad Config:", err)
	}
}
