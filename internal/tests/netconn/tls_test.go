package netconn_test

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/nettest"

	"github.com/seed-9ac8cf60/netstream"
	"github.com/seed-9ac8cf60/netstream/internal/tests/kit"
)

// tlsFails are the subtests that a bare *tls.Conn fails: a write that has timed out is final there (crypto/tls
// keeps the error and returns it from then on), and these write on after one.
var tlsFails = []string{"PastTimeout", "FutureTimeout", "ConcurrentMethods"}

// streamTLSFails are those that a stream over a *tls.Conn cannot mend. PastTimeout it does: a deadline that has passed
// never reaches the connection below.
var streamTLSFails = []string{"FutureTimeout", "ConcurrentMethods"}

const tlsChildEnv = "NETSTREAM_TEST_TLS_CHILD" // "bare", "bare, cut" or "stream"

// TestTLSChild runs nettest in the child processes of the two tests below, because nettest has no way of leaving out
// or expecting anything.
func TestTLSChild(t *testing.T) {
	what := os.Getenv(tlsChildEnv)
	if what == "" {
		t.Skip("runs in child processes only")
	}
	pipe := kit.ConnCase{Network: "tcp"}
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		below1, below2 := pipe.NetPair(t)
		a, b, err := kit.TLSOver(below1, below2)
		if err != nil {
			return nil, nil, nil, err
		}
		c1, c2 = a, b
		switch what {
		case "bare":
			return a, b, func() { a.Close(); b.Close() }, nil
		case "bare, cut":
			// A subtest that fails waits for an answer that cannot come. nettest ends it after a minute, this
			// after 2 s.
			cut := time.AfterFunc(2*time.Second, func() { below1.Close(); below2.Close() })
			return c1, c2, func() { cut.Stop(); c1.Close(); c2.Close() }, nil
		}
		c1, c2 = kit.MustNew(t, a, nil), kit.MustNew(t, b, nil)
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

var subtestLine = regexp.MustCompile(`(?m)^ +--- (PASS|FAIL): TestTLSChild/(\w+)`)

// tlsChild runs TestTLSChild with more arguments and returns the names of the subtests that passed and failed.
func tlsChild(t *testing.T, what string, args ...string) (passed, failed []string, output string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"-test.v", "-test.timeout=5m"}, args...)...)
	cmd.Env = append(os.Environ(), tlsChildEnv+"="+what)
	out, err := cmd.CombinedOutput()
	for _, m := range subtestLine.FindAllStringSubmatch(string(out), -1) {
		if m[1] == "PASS" {
			passed = append(passed, m[2])
		} else {
			failed = append(failed, m[2])
		}
	}
	if err != nil && len(failed) == 0 {
		t.Fatalf("child: %v\n%s", err, out)
	}
	return passed, failed, string(out)
}

func TestStreamOverTLSIsACorrectNetConn(t *testing.T) {
	passed, failed, out := tlsChild(t, "stream", "-test.run=^TestTLSChild$",
		"-test.skip=^TestTLSChild$/^("+strings.Join(streamTLSFails, "|")+")$")
	if len(passed) != 9 || len(failed) > 0 {
		t.Errorf("%d subtests passed, 9 should have; failed: %v\n%s", len(passed), failed, out)
	}
}

// TestBareTLSFailsTheSameSubtests shows that what the test above leaves out is not the stream's doing. When it fails
// because a subtest passed, the lists above can be shortened.
func TestBareTLSFailsTheSameSubtests(t *testing.T) {
	for _, name := range tlsFails {
		t.Run(name, func(t *testing.T) {
			// ConcurrentMethods is a race that the bare connection wins at times: it is run until it loses.
			_, failed, out := tlsChild(t, "bare, cut", "-test.run=^TestTLSChild$/^"+name+"$", "-test.count=100", "-test.failfast")
			if !slices.Equal(failed, []string{name}) {
				t.Errorf("failed %v, want %s to fail\n%s", failed, name, out)
			}
			if !strings.Contains(out, "i/o timeout") {
				t.Errorf("the failure does not come from a write that timed out:\n%s", out)
			}
		})
	}
	t.Run("others", func(t *testing.T) {
		passed, failed, out := tlsChild(t, "bare", "-test.run=^TestTLSChild$",
			"-test.skip=^TestTLSChild$/^("+strings.Join(tlsFails, "|")+")$")
		if len(passed) != 8 || len(failed) > 0 {
			t.Errorf("%d subtests passed, 8 should have; failed: %v\n%s", len(passed), failed, out)
		}
	})
}

func TestTLSOverStreams(t *testing.T) {
	kit.EachConn(t, func(t *testing.T, c kit.ConnCase) {
		a, b := c.Pair(t, nil, nil)
		client, server := kit.MustTLSOver(t, a, b)

		sent := make([]byte, 1<<20)
		mathrand.New(mathrand.NewSource(1)).Read(sent)
		var wg sync.WaitGroup
		exchange := func(conn *tls.Conn) {
			wg.Go(func() {
				if _, err := conn.Write(sent); err != nil {
					t.Error("write:", err)
				}
			})
			wg.Go(func() {
				got := make([]byte, len(sent))
				if _, err := io.ReadFull(conn, got); err != nil || !bytes.Equal(got, sent) {
					t.Error("read:", err, "equal:", bytes.Equal(got, sent))
				}
			})
		}
		exchange(client)
		exchange(server)
		wg.Wait()

		// A read that timed out is not final under TLS: the error's Temporary sees to that.
		client.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, err := client.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("read past the deadline: %v", err)
		}
		client.SetReadDeadline(time.Time{})

		// One half closed, the other still carries data.
		if err := client.CloseWrite(); err != nil {
			t.Fatal("CloseWrite:", err)
		}
		if n, err := server.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("read after the peer's close_notify: %d, %v, want EOF", n, err)
		}
		if _, err := server.Write([]byte("still here")); err != nil {
			t.Error("write after the peer's close_notify:", err)
		}
		if err := server.Close(); err != nil {
			t.Error("close:", err)
		}
		if got, err := io.ReadAll(client); string(got) != "still here" || err != nil {
			t.Errorf("read %q, %v", got, err)
		}
		if err := client.Close(); err != nil && !errors.Is(err, kit.BrokenPipe) { // the peer is gone already
			t.Error("close:", err)
		}
	})
}

func TestBeginAndEndOverTLS(t *testing.T) {
	kit.EachStyle(t, func(t *testing.T, st kit.Style) {
		a, b, _, _ := kit.StreamsOverTLS(t)
		const messages = 50
		var want bytes.Buffer
		for i := range messages {
			fmt.Fprintf(&want, "message %d;", i)
		}
		failed := make(chan error, 1)
		go func() {
			for i := range messages {
				if err := st.Write(a, fmt.Appendf(nil, "message %d;", i)); err != nil {
					failed <- err
					return
				}
			}
			failed <- a.CloseWrite()
		}()
		var got bytes.Buffer
		p := make([]byte, 100)
		for {
			n, err := st.Read(b, p)
			got.Write(p[:n])
			if err != nil {
				if err != io.EOF {
					t.Error("read:", err)
				}
				break
			}
		}
		if err := kit.Within(t, "the writes", failed); err != nil {
			t.Error("write:", err)
		}
		if got.String() != want.String() {
			t.Errorf("got %q", got.String())
		}
	})
}

func TestPipelinedWritesOverTLSArriveInOrder(t *testing.T) {
	a, b, _, _ := kit.StreamsOverTLS(t)
	const messages = 500
	var order []int // by the callbacks, which run one at a time
	var want bytes.Buffer
	all := make(chan struct{})
	for i := range messages {
		p := bytes.Repeat([]byte{byte(i)}, 1+i*7%3000)
		want.Write(p)
		_, err := a.BeginWrite(p, 0, len(p), func(ar netstream.AsyncResult) {
			if err := a.EndWrite(ar); err != nil {
				t.Error("EndWrite:", err)
			}
			if order = append(order, ar.AsyncState().(int)); len(order) == messages {
				close(all)
			}
		}, i)
		if err != nil {
			t.Fatal(err)
		}
	}
	got := make([]byte, want.Len())
	if _, err := io.ReadFull(b, got); err != nil || !bytes.Equal(got, want.Bytes()) {
		t.Error("read:", err, "equal:", bytes.Equal(got, want.Bytes()))
	}
	kit.Within(t, "the callbacks", all)
	if !slices.IsSorted(order) {
		t.Error("callbacks out of order:", order)
	}
}

func TestEngineEpollRefusesTLS(t *testing.T) {
	below1, below2 := kit.ConnCase{Network: "tcp"}.NetPair(t)
	c, s := kit.MustTLSOver(t, below1, below2)
	defer c.Close()
	defer s.Close()
	_, err := netstream.New(c, &netstream.Config{Engine: netstream.EngineEpoll})
	if !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("New: %v, want an error that wraps errors.ErrUnsupported", err)
	}
	go c.Write([]byte("x"))
	if _, err := s.Read(make([]byte, 1)); err != nil {
		t.Error("after the failure the connection is not untouched:", err)
	}
}

// cutOverTLS begins a write that cannot finish and closes a in the middle of it, when the peer has got a part.
func cutOverTLS(t *testing.T, a *netstream.NetworkStream, peer io.Reader) {
	t.Helper()
	big := make([]byte, 64<<20)
	ar, err := a.BeginWrite(big, 0, len(big), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(peer, make([]byte, 64<<10)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond) // the kernel's buffers fill up
	if ar.IsCompleted() {
		t.Fatal("the write should not have fitted")
	}
	a.Close()
	err = a.EndWrite(ar)
	var failure *netstream.IOError
	if !errors.As(err, &failure) || failure.N == 0 || !failure.Torn || !errors.Is(err, net.ErrClosed) {
		t.Errorf("EndWrite: %v (%+v), want a torn write with some bytes out, and net.ErrClosed", err, failure)
	}
}

// Promise 16: over TLS a cut write resets the connection below, and no close_notify makes it look whole.
func TestCutWriteOverTLSResets(t *testing.T) {
	t.Run("TLS sees no end", func(t *testing.T) {
		a, b, _, _ := kit.StreamsOverTLS(t)
		cutOverTLS(t, a, b)
		_, err := io.Copy(io.Discard, b)
		if !errors.Is(err, kit.Reset) || !errors.Is(err, netstream.CodeConnectionReset) {
			t.Errorf("the peer read to %v, want a reset", err)
		}
	})
	t.Run("TCP sees a reset", func(t *testing.T) {
		a, _, _, below := kit.StreamsOverTLS(t)
		cutOverTLS(t, a, below)
		if _, err := io.Copy(io.Discard, below); !errors.Is(err, kit.Reset) {
			t.Errorf("the peer read to %v, want a reset", err)
		}
	})
	t.Run("stream over TLS over stream", func(t *testing.T) {
		kit.EachTCP(t, func(t *testing.T, c kit.ConnCase) {
			lower, peer := c.WithPeer(t, nil)
			client, _ := kit.MustTLSOver(t, lower, peer)
			upper := kit.MustNew(t, client, nil)
			cutOverTLS(t, upper, peer)
			if _, err := io.Copy(io.Discard, peer); !errors.Is(err, kit.Reset) {
				t.Errorf("the peer read to %v, want a reset", err)
			}
		})
	})
}

// stayOpen is a connection that Close leaves open, so that nothing but a close_notify can end what is above it.
type stayOpen struct{ net.Conn }

func (stayOpen) Close() error { return nil }

func TestCloseOverTLSSendsCloseNotify(t *testing.T) {
	below1, below2 := kit.ConnCase{Network: "tcp"}.NetPair(t)
	defer below1.Close()
	defer below2.Close()
	client, server := kit.MustTLSOver(t, stayOpen{below1}, below2)
	s := kit.MustNew(t, client, nil)
	if _, err := s.Write([]byte("whole")); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error("close:", err)
	}
	server.SetReadDeadline(time.Now().Add(kit.Patience))
	if got, err := io.ReadAll(server); string(got) != "whole" || err != nil {
		t.Errorf("the peer read %q, %v", got, err)
	}
}
